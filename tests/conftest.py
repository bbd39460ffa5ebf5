"""What every test shares: the same random numbers on every run, and no deadline on a machine that others use too."""

import os

import pytest
import torch
from hypothesis import settings

if not torch.cuda.is_available():
    # Without a GPU the Triton kernels run in Triton's interpreter, on CPU tensors. Triton looks at this when it is
    # first imported, which therefore has to happen later than here.
    os.environ["TRITON_INTERPRET"] = "1"

torch.set_num_threads(1)  # the models are tiny: a second thread would mostly wait

# Ways in which a tensor (N, C, H, W) can lie in memory; "expanded" has its own values, the others keep them.
LAYOUTS = {
    "contiguous": lambda x: x.contiguous(),
    "channels_last": lambda x: x.contiguous(memory_format=torch.channels_last),
    "batch chunk": lambda x: torch.cat([x, x]).chunk(2)[1],
    "every other row": lambda x: x.repeat_interleave(2, dim=2)[:, :, ::2],
    "every other channel": lambda x: x.repeat_interleave(2, dim=1)[:, ::2],
    "positions transposed": lambda x: x.mT.contiguous().mT,
    "batch innermost": lambda x: x.permute(1, 2, 3, 0).contiguous().permute(3, 0, 1, 2),
    "expanded": lambda x: x[:1, :, :, :1].expand(x.shape),
}

settings.register_profile("reproducible", derandomize=True, deadline=None)
settings.load_profile("reproducible")


@pytest.fixture(autouse=True)
def seed() -> None:
    """Each test starts from the same global random state, whichever ran before it."""
    torch.manual_seed(0)
