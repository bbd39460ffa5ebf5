"""What every test shares: the same random numbers on every run, and no deadline on a machine that others use too."""

import pytest
import torch
from hypothesis import settings

torch.set_num_threads(1)  # the models are tiny: a second thread would mostly wait

settings.register_profile("reproducible", derandomize=True, deadline=None)
settings.load_profile("reproducible")


@pytest.fixture(autouse=True)
def seed() -> None:
    """Each test starts from the same global random state, whichever ran before it."""
    torch.manual_seed(0)
