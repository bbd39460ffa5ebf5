"""What the benchmarks run on: VGG-16 with realistic BatchNorm statistics, and scikit-learn's digits at 32x32."""

import torch
from torch import Tensor, nn

from snslib import build_model, load_dataset
from snslib.data import to_float


def model_and_images(
    name: str, width: float, n: int, device: str, image_size: int = 32
) -> tuple[nn.Module, Tensor, Tensor]:
    """An untrained model in eval mode, and n images with their labels; speed does not depend on the weights.

    One pass in train mode gives BatchNorm the statistics of the images, so that activations and gradients have the
    sizes that they have in a trained network.
    """
    torch.manual_seed(0)
    train = load_dataset("digits").train
    index = torch.arange(n) % len(train)
    x, y = to_float(train.images[index]).to(device), train.labels[index].to(device)
    x = nn.functional.interpolate(x, size=image_size, mode="nearest") if image_size != 32 else x
    model = build_model(name, width=width, image_size=image_size).to(device)
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        model.train()(x[:250])
    for norm in norms:
        norm.momentum = 0.1
    return model.eval(), x, y
