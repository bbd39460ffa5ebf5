"""Every row of Table 1 or 2, and the controls that it lacks: trained, measured, and kept in ``results/``."""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from snslib import checks, published
from snslib.experiment import Experiment
from snslib.settings import Settings
from snslib.training import load_tensors
from snslib.zoo import DEFENSES


@dataclass(frozen=True)
class Row:
    """One row: a defense, and what is different in its settings.

    Args:
        defense: one of DEFENSES.
        label: as the tables show it.
        about: what it is, in a clause.
        online: x' comes from the current model at every step, nothing is locked, and training takes as many epochs as
            adversarial training does, instead of Algorithm 1 to the letter.
        control: lambda is 0, everything else is the same.
    """

    defense: str
    label: str
    about: str
    online: bool = False
    control: bool = False

    def settings(self, base: Settings) -> Settings:
        """``base`` as this row changes it."""
        if self.online:
            base = replace(base, pairs="step", train_all=True, epochs=base.pat_epochs, lr=base.pat_lr)
        return replace(base, lam=0.0) if self.control else base


def _row(defense: str, about: str, note: str = "", **changes: bool) -> Row:
    return Row(defense, DEFENSES[defense] + note, about, **changes)


ROWS = {
    "vanilla": _row("vanilla", "clean images only"),
    "nat": _row("nat", "Step-LL on the current model"),
    "eat": _row("eat", "Step-LL on the current or a static model"),
    "pat": _row("pat", "PGD on the current model"),
    "alp": _row("alp", "PAT and logit pairing"),
    "sns_sen_cls": _row("sns_sen_cls", "Eq. 10 on fixed pairs, sensitive neurons"),
    "sns_all_cls": _row("sns_all_cls", "Eq. 10 on fixed pairs, all neurons"),
    "control_cls": _row("sns_sen_cls", "the same training without the SNS loss", ", λ = 0", control=True),
    "sns_sen_adv": _row("sns_sen_adv", "Algorithm 1 to the letter"),
    "control_adv": _row("sns_sen_adv", "the same training without the SNS loss", ", λ = 0", control=True),
    "sns_sen_adv_online": _row("sns_sen_adv", "Eq. 11 with new x' at every step", ", online", online=True),
    "control_adv_online": _row(
        "sns_sen_adv", "the same training without the SNS loss", ", online, λ = 0", online=True, control=True
    ),
}
STRONG = {"steps": 100, "restarts": 5, "n": 1000}  # of the strong attack, whose step is eps / 4


def folder_of(settings: Settings) -> str:
    """Where the rows of a setting are kept in ``results/``: data set and network, such as "cifar10/vgg16-w0.25"."""
    return f"{settings.dataset}/{settings.model}-w{settings.width:g}"


def reproduce(
    base: Settings,
    folder: Path | None = None,
    rows: Collection[str] = tuple(ROWS),
    hours: float = float("inf"),
    progress: Callable[[str], None] = print,
) -> None:
    """Train, publish and measure rows, in the order of ROWS.

    What ``results/`` holds for this configuration is kept; a training that was interrupted goes on from its last epoch,
    and measurements are written one by one. A model is measured as it is published, with its weights in float16.

    Args:
        base: the setting that the rows vary.
        folder: of the cache, see :class:`snslib.zoo.Zoo`.
        rows: names of ROWS.
        hours: no training or measurement begins later than this after the start.
        progress: takes a line whenever there is something to tell.

    Raises:
        ValueError: an unknown row; a row of that name is published with another configuration.
    """
    for name in rows:
        checks.one_of("rows", name, ROWS)
    wanted = [name for name in ROWS if name in rows]
    began = time.perf_counter()
    seconds: list[float] = []
    for done, name in enumerate(wanted):
        spent = time.perf_counter() - began
        left = f", about {sum(seconds) / done * (len(wanted) - done) / 3600:.1f} h left" if done else ""
        progress(f"row {done + 1} of {len(wanted)}: {name}; {spent / 3600:.1f} h so far{left}")
        experiment = Experiment(ROWS[name].settings(base), folder, progress)
        path = published.RESULTS / folder_of(base) / (name if base.seed == 0 else f"{name}-seed{base.seed}")
        for step in _steps(experiment, ROWS[name].defense, path):
            if time.perf_counter() - began > 3600 * hours:
                progress(f"stopped after {hours:g} h; the same command goes on from here")
                return
            step()
        seconds.append(time.perf_counter() - began - spent)


def _steps(experiment: Experiment, defense: str, path: Path) -> Sequence[Callable[[], None]]:
    """What is to be done for one row, in order."""
    model, record = path.with_name(f"{path.name}.safetensors"), path.with_name(f"{path.name}.json")
    measurements: list[Callable[[], dict[str, Any]]] = [
        lambda: experiment.accuracy(defense),
        lambda: experiment.accuracy_on_fixed(defense),
        lambda: experiment.strong_accuracy(defense, **STRONG),
        lambda: experiment.sensitivity(defense),
    ]
    if defense == "vanilla":
        measurements.append(lambda: experiment.sensitivity(defense, split="train"))

    def train() -> None:
        experiment.model(defense)
        trained = experiment.model_path(defense)
        if trained == model:
            return
        if model.exists():
            raise ValueError(
                f"rows: {model} is published with another configuration; delete it and {record.name}, or choose "
                "another seed, width or data set"
            )
        tensors, state = load_tensors(trained)
        about = {"classes": experiment.data.classes, "image_size": experiment.data.image_size}
        published.publish_model(model, tensors, state | about)

    def measure(measurement: Callable[[], dict[str, Any]]) -> Callable[[], None]:
        return lambda: published.publish_record(record, path.name, measurement())

    return [train, *map(measure, measurements)]
