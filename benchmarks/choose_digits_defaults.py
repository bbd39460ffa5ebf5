"""How the learning rates of the digits profile were chosen: by accuracy on validation images, never on test images.

    python benchmarks/choose_digits_defaults.py

Trains each defense with three peak learning rates and two seeds, and writes the validation accuracy of the last epoch
to results/digits_defaults.json.
"""

from dataclasses import replace
from pathlib import Path

from snslib import cache
from snslib.experiment import Experiment
from snslib.settings import PROFILES

OUT = Path(__file__).parent.parent / "results" / "digits_defaults.json"
RATES = {  # defense: its setting and the values tried
    "vanilla": ("vanilla_lr", (0.015, 0.05, 0.15)),
    "pat": ("pat_lr", (0.015, 0.05, 0.15)),
    "sns_sen_adv": ("lr", (0.001, 0.003, 0.01)),
}
SEEDS = (0, 1)


def main() -> None:
    profile = PROFILES["digits"]
    rows = []
    for defense, (setting, rates) in RATES.items():
        for rate in rates:
            for seed in SEEDS:
                experiment = Experiment(replace(profile, seed=seed, device="cpu", **{setting: rate}))
                last = experiment.history(defense)[-1]
                rows.append({"defense": defense, "seed": seed, "lr": rate, "clean": last["clean"], "pgd": last["pgd"]})
                print(rows[-1], flush=True)
    about = {"what": "validation accuracy of the last epoch", "profile": "digits", "n": profile.validation}
    cache.write_json(OUT, {**about, **cache.provenance("cpu"), "result": rows})


if __name__ == "__main__":
    main()
