"""Record what torchattacks makes of a small model and a few images, in tests/core/vectors/torchattacks.npz.

torchattacks 3.5.1 pins an old requests, so it is no dependency of the tests. Its results were recorded with
torch 2.15.0 on a CPU; to record them anew, in any environment with torch and numpy:

    pip install --no-deps torchattacks==3.5.1
    python tests/core/record_vectors.py
"""

from pathlib import Path

import numpy as np
import torch
import torchattacks
from torch import Tensor, nn

VECTORS = Path(__file__).parent / "vectors" / "torchattacks.npz"
EPS, STEP_SIZE, STEPS = 8 / 255, 2 / 255, 7  # steps * step_size > eps: the projection takes part
CLASSES = 4


def small_model() -> nn.Module:
    """Smooth, so that no gradient is exactly 0 and no sign a matter of chance."""
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Softplus(), nn.Flatten(), nn.Linear(4 * 6 * 6, CLASSES))


def attacked(model: nn.Module, x: Tensor, y: Tensor, target: Tensor) -> dict[str, Tensor]:
    """torchattacks' results by name, untargeted and toward ``target``."""
    results = {}
    for name, attack in {
        "fgsm": torchattacks.FGSM(model, eps=EPS),
        "pgd": torchattacks.PGD(model, eps=EPS, alpha=STEP_SIZE, steps=STEPS, random_start=False),
        "mi_fgsm": torchattacks.MIFGSM(model, eps=EPS, alpha=STEP_SIZE, steps=STEPS, decay=1.0),
    }.items():
        results[name] = attack(x, y)
        attack.set_mode_targeted_by_label(quiet=True)
        results[f"{name}_targeted"] = attack(x, target)
    return results


def main() -> None:
    torch.manual_seed(0)
    model = small_model()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)  # decided predictions, as a trained model has
    x = torch.rand(6, 3, 8, 8)
    x[0, :, :4] = 0  # borders of [0, 1], where the results are clipped
    x[1, :, :4] = 1
    y = torch.randint(CLASSES, (6,))
    target = (y + torch.randint(1, CLASSES, (6,))) % CLASSES

    results = attacked(model, x, y, target)
    exact = attacked(model.double(), x.double(), y, target)
    for name, result in results.items():  # every sign is the same in float64: none hangs on rounding
        torch.testing.assert_close(result.double(), exact[name], rtol=0, atol=1e-6)
    tensors = {f"model.{name}": value.float() for name, value in model.state_dict().items()}
    tensors |= {"x": x, "y": y, "target": target, **results}
    VECTORS.parent.mkdir(exist_ok=True)
    np.savez_compressed(VECTORS, **{name: tensor.numpy() for name, tensor in tensors.items()})
    print(f"{VECTORS}: {', '.join(tensors)}, {VECTORS.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
