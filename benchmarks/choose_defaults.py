"""How learning rates were chosen: by accuracy on validation images, never on test images.

    python benchmarks/choose_defaults.py digits
    SNSLIB_DATA=~/data python benchmarks/choose_defaults.py tiny-imagenet-small

Trains defenses with several peak learning rates, and writes the validation accuracy of the last epoch to
results/PROFILE_defaults.json.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from snslib import files
from snslib.study.networks import Networks
from snslib.study.settings import PROFILES

RESULTS = Path(__file__).parent.parent / "results"
RATES: dict[str, dict[str, tuple[str, tuple[float, ...]]]] = {  # profile, defense: its setting and the values tried
    "digits": {
        "vanilla": ("vanilla_lr", (0.015, 0.05, 0.15)),
        "pat": ("pat_lr", (0.015, 0.05, 0.15)),
        "sns_sen_adv": ("lr", (0.001, 0.003, 0.01)),
    },
    "tiny-imagenet-small": {
        "vanilla": ("vanilla_lr", (0.03, 0.1)),
        "pat": ("pat_lr", (0.03, 0.1)),
    },
}
CHANGES: dict[str, dict[str, Any]] = {"digits": {}, "tiny-imagenet-small": {"vanilla_epochs": 6, "pat_epochs": 2}}
SEEDS = {"digits": (0, 1), "tiny-imagenet-small": (0,)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("profile", choices=RATES)
    name = parser.parse_args().profile
    profile = replace(PROFILES[name], device="cpu", **CHANGES[name])
    rows = []
    for defense, (setting, rates) in RATES[name].items():
        for rate in rates:
            for seed in SEEDS[name]:
                networks = Networks(replace(profile, seed=seed, **{setting: rate}))
                last = networks.history(defense)[-1]
                rows.append({"defense": defense, "seed": seed, "lr": rate, "clean": last["clean"], "pgd": last["pgd"]})
                print(rows[-1], flush=True)
    about = {"what": "validation accuracy of the last epoch", "profile": name, "n": networks.n_validate}
    about |= {"changes": CHANGES[name]} if CHANGES[name] else {}
    files.write_json(RESULTS / f"{name}_defaults.json", {**about, **files.provenance("cpu"), "result": rows})


if __name__ == "__main__":
    main()
