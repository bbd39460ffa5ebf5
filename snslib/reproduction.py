"""Every row of Table 1 or 2, and the controls that it lacks: trained, measured, and kept in ``results/``."""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from snslib import checks, published
from snslib.models import SWITCHABLE
from snslib.relation import WEATHER
from snslib.scrutinised import Scrutiny
from snslib.settings import PROFILES, Settings
from snslib.training import load_tensors
from snslib.zoo import DEFENSES


@dataclass(frozen=True)
class Row:
    """One row: a defense, and what is different in its settings.

    Args:
        defense: one of DEFENSES.
        label: as the tables show it.
        about: what it is, in a clause.
        online: x' comes from the current model at every step, nothing is locked (unless ``changes`` say so), and
            training takes as many epochs as adversarial training does, instead of Algorithm 1 to the letter.
        changes: settings that are different besides.
    """

    defense: str
    label: str
    about: str
    online: bool = False
    changes: Mapping[str, Any] = field(default_factory=dict)

    def settings(self, base: Settings) -> Settings:
        """``base`` as this row changes it."""
        if self.online:
            base = replace(base, pairs="step", train_all=True, epochs=base.pat_epochs, lr=base.pat_lr)
        return replace(base, **self.changes)


def _row(defense: str, about: str, note: str = "", online: bool = False, **changes: Any) -> Row:
    return Row(defense, DEFENSES[defense] + note, about, online, changes)


_CONTROL = "the same training without the SNS loss"
TABLE = {  # the rows of Table 1, and what they have to be set against
    "vanilla": _row("vanilla", "clean images only"),
    "nat": _row("nat", "Step-LL on the current model"),
    "eat": _row("eat", "Step-LL on the current or a static model"),
    "pat": _row("pat", "PGD on the current model"),
    "alp": _row("alp", "PAT and logit pairing"),
    "sns_sen_cls": _row("sns_sen_cls", "Eq. 10 on fixed pairs, sensitive neurons"),
    "sns_all_cls": _row("sns_all_cls", "Eq. 10 on fixed pairs, all neurons"),
    "control_cls": _row("sns_sen_cls", _CONTROL, ", λ = 0", lam=0.0),
    "sns_sen_adv": _row("sns_sen_adv", "Algorithm 1 to the letter"),
    "control_adv": _row("sns_sen_adv", _CONTROL, ", λ = 0", lam=0.0),
    "sns_sen_adv_online": _row("sns_sen_adv", "Eq. 11 with new x' at every step", ", online", online=True),
    "control_adv_online": _row("sns_sen_adv", _CONTROL, ", online, λ = 0", online=True, lam=0.0),
    "control_adv_locked": _row(
        "sns_sen_adv",
        "PGD training above locked vanilla layers",
        ", online, locked, λ = 0",
        online=True,
        lam=0.0,
        train_all=False,
    ),
}
REMEDIES = {  # not the paper's: SNS losses that switching neurons off does not lower, nor, the second, blinding them
    "relative_cls": _row("sns_sen_cls", "Eq. 10 with the relative loss", ", relative", reduction="relative"),
    "relative_adv": _row("sns_sen_adv", "Algorithm 1 with the relative loss", ", relative", reduction="relative"),
    "relative_adv_online": _row(
        "sns_sen_adv", "the online row with the relative loss", ", online, relative", online=True, reduction="relative"
    ),
    "image_relative_cls": _row(
        "sns_sen_cls", "Eq. 10, relative over images", ", image-relative", reduction="image_relative"
    ),
    "image_relative_adv": _row(
        "sns_sen_adv", "Algorithm 1, relative over images", ", image-relative", reduction="image_relative"
    ),
    "image_relative_adv_online": _row(
        "sns_sen_adv",
        "the online row, relative over images",
        ", online, image-relative",
        online=True,
        reduction="image_relative",
    ),
}
OTHER_NEURONS = {  # the online row on neurons that are not the sensitive ones: whether it matters which they are
    "random_adv_online": _row(
        "sns_sen_adv",
        "the online row on as many neurons, drawn at random",
        ", online, random neurons",
        online=True,
        neurons="random",
    ),
}
SWITCHED_OFF = {  # the online row without its neurons: whether the SNS loss does more than take them out of work
    "off_adv_online": _row(
        "sns_sen_adv",
        "the same training without the chosen neurons and without a loss on them",
        ", online, λ = 0, neurons off",
        online=True,
        lam=0.0,
        switched_off=True,
    ),
}
ONE_PASS = {  # the paper's, with x and x' in one batch: whether it matters what BatchNorm normalises together
    "sns_sen_adv_one_pass": _row(
        "sns_sen_adv", "Algorithm 1, x and x' normalised together", ", one pass", one_pass=True
    ),
    "control_adv_one_pass": _row("sns_sen_adv", _CONTROL, ", one pass, λ = 0", one_pass=True, lam=0.0),
}
FIG_3B = {  # Eq. 10 from other layers of VGG-16 on, with other lambdas and fractions; only measured, not published
    **{
        f"fig3b_{layer}": _row("sns_sen_cls", f"Eq. 10 from {layer} on", f", {layer}", first_layer=layer)
        for layer in ("conv1", "conv4", "conv8", "conv11", "fc")
    },
    **{
        f"fig3b_lam{lam:g}": _row("sns_sen_cls", f"Eq. 10 with λ = {lam:g}", f", conv8, λ = {lam:g}", lam=lam)
        for lam in (0.0, 1.0, 25.0, 125.0)
    },
    **{
        f"fig3b_top{100 * share:g}": _row(
            "sns_sen_cls", f"Eq. 10 on the top {100 * share:g}%", f", conv8, top {100 * share:g}%", fraction=share
        )
        for share in (0.02, 0.3)
    },
}
ROWS = TABLE | REMEDIES | OTHER_NEURONS | SWITCHED_OFF | ONE_PASS | FIG_3B
STRONG = {"steps": 100, "restarts": 5, "n": 1000}  # of the strong attack on recorded rows, whose step is eps / 4 ...
STRONG_LIVE = {"steps": 50}  # ... and of that which a chapter waits for
N_SCRUTINY = 1000  # test images of the measurements of snslib.scrutinised
N_SUPPRESSION = 2000  # test images of Fig. 3a
N_FIG_3B = 2000  # test images of the rows of FIG_3B


def rows_for(model: str) -> list[str]:
    """The names of the rows that a network can have.

    FIG_3B's are about the layers of VGG-16, and a shortcut or a branch past a neuron keeps it from being switched off.
    """
    only_for = {**dict.fromkeys(FIG_3B, ("vgg16",)), **dict.fromkeys(SWITCHED_OFF, SWITCHABLE)}
    return [name for name in ROWS if model in only_for.get(name, (model,))]


def folder_of(settings: Settings) -> str:
    """Where the rows of a setting are kept in ``results/``: data set and network, such as "cifar10/vgg16-w0.25"."""
    return f"{settings.dataset}/{settings.model}-w{settings.width:g}"


def strong_attack(settings: Settings) -> dict[str, int]:
    """STRONG where ``results/`` has rows of this network on this data, so that they are found; else STRONG_LIVE."""
    return STRONG if folder_of(settings) in published.folders() else STRONG_LIVE


def recorded_profile(name: str) -> str:
    """The profile that ``results/`` has rows of: the "-small" one where it has none of the whole one.

    Args:
        name: of a profile; one that has no "-small" one, or that does not exist, is returned as it is.
    """
    there = [profile for profile in (name, f"{name}-small") if profile in PROFILES]
    return next((profile for profile in there if folder_of(PROFILES[profile]) in published.folders()), name)


def reproduce(
    base: Settings,
    folder: Path | None = None,
    rows: Collection[str] | None = None,
    hours: float = float("inf"),
    progress: Callable[[str], None] = print,
) -> None:
    """Train, publish and measure rows, in the order of ROWS.

    What ``results/`` holds for this configuration is kept; a training that was interrupted goes on from its last epoch,
    and measurements are written one by one. A model is measured as it is published, with its weights in float16.

    Args:
        base: the setting that the rows vary.
        folder: of the cache, see :class:`snslib.zoo.Zoo`.
        rows: names of ROWS; None takes all that the network can have.
        hours: no training or measurement begins later than this after the start.
        progress: takes a line whenever there is something to tell.

    Raises:
        ValueError: an unknown row; a row of that name is published with another configuration.
    """
    possible = rows_for(base.model)
    for name in rows or ():
        checks.one_of("rows", name, possible)
    wanted = [name for name in possible if rows is None or name in rows]
    began = time.perf_counter()
    seconds: list[float] = []
    for done, name in enumerate(wanted):
        spent = time.perf_counter() - began
        left = f", about {sum(seconds) / done * (len(wanted) - done) / 3600:.1f} h left" if done else ""
        progress(f"row {done + 1} of {len(wanted)}: {name}; {spent / 3600:.1f} h so far{left}")
        for step in _steps(name, base, folder, progress):
            if time.perf_counter() - began > 3600 * hours:
                progress(f"stopped after {hours:g} h; the same command goes on from here")
                return
            step()
        seconds.append(time.perf_counter() - began - spent)
    measure_between_rows(base, folder, progress)


def measure_between_rows(base: Settings, folder: Path | None, progress: Callable[[str], None]) -> None:
    """Publish what takes the models of several rows, as soon as these are published.

    That is the checks of the vanilla network, on which PAT's examples are tried, and how the examples of each row of
    TABLE do on each other.
    """
    path = published.RESULTS / folder_of(base)

    def all_there(rows: Collection[str]) -> bool:
        return base.seed == 0 and all((path / f"{name}.safetensors").exists() for name in rows)

    if all_there(("vanilla", "pat")):
        checked = Scrutiny(base, folder, progress).sanity_checks("vanilla", "pat", N_SCRUTINY)
        published.publish_record(path / "vanilla.json", "vanilla", checked)
    if all_there(TABLE):
        progress("attacking every row, and judging every other on what comes out")
        zoos = {name: (Scrutiny(row.settings(base), folder, progress), row.defense) for name, row in TABLE.items()}
        entry = Scrutiny(base, folder, progress).transfer_matrix(zoos, N_SCRUTINY)
        published.publish_record(path / "transfer.json", "transfer", entry)


def _steps(name: str, base: Settings, folder: Path | None, progress: Callable[[str], None]) -> list[Callable[[], None]]:
    """What is to be done for one row, in order."""
    row = ROWS[name]
    settings = row.settings(base)
    stem = name if base.seed == 0 else f"{name}-seed{base.seed}"
    record = published.RESULTS / folder_of(base) / f"{stem}.json"

    def measured(measurement: Callable[[], dict[str, Any]]) -> Callable[[], None]:
        return lambda: published.publish_record(record, stem, measurement())

    if name in FIG_3B:
        sketch = Scrutiny(replace(settings, n_test=min(settings.n_test, N_FIG_3B)), folder, progress)
        return [measured(lambda: sketch.accuracy(row.defense)), measured(lambda: sketch.accuracy_on_fixed(row.defense))]
    of_row = Scrutiny(settings, folder, progress)
    publish = partial(_publish, of_row, row.defense, record.with_suffix(".safetensors"))
    return [publish, *map(measured, _measurements(of_row, name))]


def _measurements(of_row: Scrutiny, name: str) -> list[Callable[[], dict[str, Any]]]:
    """What is measured of a row, quick things first; of a further seed only what tells how far chance moves a claim."""
    defense, settings = ROWS[name].defense, of_row.settings
    everything = [
        lambda: of_row.accuracy(defense),
        lambda: of_row.accuracy_on_fixed(defense),
        lambda: of_row.strong_accuracy(defense, **STRONG),
        lambda: of_row.sensitivity(defense),
        lambda: of_row.variance(defense, N_SCRUTINY),
    ]
    if name == "vanilla":  # whose sensitive neurons every row of the seed is looked at for
        everything.append(lambda: of_row.sensitivity(defense, split="train"))
    else:
        everything.append(lambda: of_row.accuracy_by_statistics(defense, N_SCRUTINY))
    if settings.seed != 0:
        return everything
    if name == "vanilla" and settings.model in ("vgg16", "alexnet"):  # whose neurons section 3 is about
        everything += [
            lambda: of_row.accuracy_by_eps(defense),
            lambda: of_row.sensitivity_of_halves(defense),
            lambda: of_row.targeted_neurons(of_row.penultimate_layer),
            *(partial(of_row.suppression, which, n=N_SUPPRESSION) for which in ("sensitive", "least", "random")),
            lambda: of_row.regions(of_row.region_layer),
        ]
    if name != "vanilla":  # whose checks need another row, see measure_between_rows
        everything.append(lambda: of_row.sanity_checks(defense, "vanilla", N_SCRUTINY))
    if name in ("vanilla", "pat"):  # which the figures of section 3 and the supplement compare
        others = [attack for attack in of_row.attacks if attack != "pgd"]
        everything += [partial(of_row.sensitivity, defense, under) for under in (*others, *WEATHER)]
        everything.append(lambda: of_row.corrupted_accuracy(defense))
    return [
        *everything,
        lambda: of_row.pgd_accuracy(defense, N_SCRUTINY),
        lambda: of_row.loss_surface(defense),
        lambda: of_row.targeted_pgd(defense, N_SCRUTINY),
        lambda: of_row.autoattack(defense, N_SCRUTINY),
    ]


def _publish(of_row: Scrutiny, defense: str, model: Path) -> None:
    """Train a row's model and publish it, where either is missing."""
    of_row.model(defense)
    trained = of_row.model_path(defense)
    if trained == model:
        return
    if model.exists():
        raise ValueError(
            f"rows: {model} is published with another configuration; delete it and {model.stem}.json, or choose "
            "another seed, width or data set"
        )
    tensors, state = load_tensors(trained)
    about = {"classes": of_row.data.classes, "image_size": of_row.data.image_size}
    published.publish_model(model, tensors, state | about)
