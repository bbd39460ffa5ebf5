"""The operations in which the paper's work spends its time, besides the network itself.

``reference.py`` defines each of them in plain PyTorch. Callers import from here, so that a faster implementation
takes over in this one place.
"""

from snslib.kernels.reference import channel_l1, momentum, sign_step

__all__ = ["channel_l1", "momentum", "sign_step"]
