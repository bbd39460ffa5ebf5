"""How the learning rates of the digits profile were chosen: by accuracy on validation images, never on test images.

    python benchmarks/choose_digits_defaults.py

Trains each defense with three peak learning rates (a third of the profile's, the profile's, three times that) and two
seeds, and writes the validation accuracy of the last epoch to results/digits_defaults.json.
"""

import json
import os
from dataclasses import replace
from pathlib import Path

from snslib import cache
from snslib.experiment import Experiment
from snslib.settings import PROFILES

OUT = Path(__file__).parent.parent / "results" / "digits_defaults.json"
SETTING = {"vanilla": "vanilla_lr", "pat": "pat_lr", "sns_sen_adv": "lr"}
FACTORS = (1 / 3, 1.0, 3.0)
SEEDS = (0, 1)


def main() -> None:
    profile = PROFILES["digits"]
    rows = []
    for defense, setting in SETTING.items():
        for factor in FACTORS:
            for seed in SEEDS:
                rate = factor * getattr(profile, setting)
                experiment = Experiment(replace(profile, seed=seed, device="cpu", **{setting: rate}))
                last = experiment.history(defense)[-1]
                rows.append({"defense": defense, "seed": seed, "lr": rate, "clean": last["clean"], "pgd": last["pgd"]})
                print(rows[-1], flush=True)
    about = {"what": "validation accuracy of the last epoch", "profile": "digits", "n": profile.validation}
    beside = OUT.with_suffix(".tmp")
    beside.write_text(json.dumps({**about, **cache.provenance("cpu"), "result": rows}, indent=1))
    os.replace(beside, OUT)


if __name__ == "__main__":
    main()
