"""The smallest settings with which the whole pipeline runs."""

from dataclasses import replace

from snslib.study import settings

TINY = replace(
    settings.PROFILES["digits"],
    width=1 / 16,
    vanilla_epochs=2,
    pat_epochs=1,
    source_epochs=1,
    epochs=1,
    steps=1,
    n_pairs=40,
    n_test=20,
    batch_size=128,
    device="cpu",
)
