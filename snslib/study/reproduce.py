"""Every row of Table 1 or 2, and the controls that it lacks: trained, measured, and kept in ``results/``."""

import math
import time
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import cast

import torch

from snslib import arguments
from snslib.evaluation.corruptions import WEATHER
from snslib.evaluation.receptive_fields import TOP
from snslib.evaluation.robustness import autoattack_version
from snslib.files import load_tensors
from snslib.sensitivity import CHOICES
from snslib.study import measurements as measure
from snslib.study import results, room
from snslib.study.networks import Networks
from snslib.study.records import Record
from snslib.study.rows import FIG_3B, ROWS, TABLE, folder_of, rows_for
from snslib.study.settings import Settings
from snslib.training import parallel, pretrained
from snslib.training.models import split_at

STRONG = {"steps": 100, "restarts": 5, "n": 1000}  # of the strong attack on recorded rows, whose step is eps / 4 ...
STRONG_LIVE = {"steps": 50}  # ... and of that which a chapter waits for
N_ROBUSTNESS = 1000  # test images of the measurements of whether robustness is real, and of variance
N_SUPPRESSION = 2000  # test images of Fig. 3a
K = 20  # sensitive and important neurons of the penultimate layer that are compared, or all of a narrow one
N_FIG_3B = 2000  # test images of the rows of FIG_3B
DRIVEN = ("control_adv_online", "sns_sen_adv_online", "image_relative_adv_online")  # by an attack on their neurons
FIRST = (  # on which most claims hang: Table 1 but for NAT and EAT, then what Algorithm 1 may mean, with its controls
    *("vanilla", "pat", "alp", "sns_sen_cls", "sns_all_cls", "sns_sen_adv", "control_cls", "control_adv"),
    *("sns_sen_adv_online", "reselected_adv_online", "reselected_cls_online", "control_adv_online"),
)


def strong_attack(settings: Settings) -> dict[str, int]:
    """STRONG where ``results/`` has rows of this network on this data, so that they are found; else STRONG_LIVE."""
    return STRONG if folder_of(settings) in results.folders() else STRONG_LIVE


def reproduce(
    base: Settings,
    folder: Path | None = None,
    rows: Collection[str] | None = None,
    hours: float = float("inf"),
    progress: Callable[[str], None] = print,
) -> None:
    """Train, publish and measure rows: those of FIRST, then the others in the order of ROWS.

    What ``results/`` holds for this configuration is kept; a training that was interrupted goes on from its last epoch,
    and measurements are written one by one. A model is measured as it is published, with its weights in float16.

    Args:
        base: the setting that the rows vary.
        folder: of the cache, see :class:`snslib.study.networks.Networks`.
        rows: names of ROWS; None takes all that the network can have.
        hours: no training or measurement begins later than this after the start, >= 0.
        progress: takes a line on the progress.

    Raises:
        ImportError: the package of AutoAttack is not installed.
        ValueError: an unknown row; a row of that name is published with another configuration, or rows of other images
            under the name of the data set; too few classes or test images for what is measured; no room on a disk for
            what is written. All of it is noticed before anything is trained.
    """
    deadline(hours)
    in_order = wanted(base, rows)
    networks = Networks(base, folder, progress)
    check(networks, in_order)
    began = time.perf_counter()
    seconds: list[float] = []
    for done, name in enumerate(in_order):
        spent = time.perf_counter() - began
        left = f", about {sum(seconds) / done * (len(in_order) - done) / 3600:.1f} h left" if done else ""
        progress(f"row {done + 1} of {len(in_order)}: {name}; {spent / 3600:.1f} h so far{left}")
        for step in _steps(name, networks):
            if time.perf_counter() - began > 3600 * hours:
                progress(f"stopped after {hours:g} h; the same command goes on from here")
                return
            step()
        seconds.append(time.perf_counter() - began - spent)
    measure_between_rows(networks)


def deadline(hours: float) -> float:
    """When those hours are over, in seconds since 1970; ValueError for what is no number >= 0."""
    if not hours >= 0:
        raise ValueError(f"hours: expected a number >= 0, got {hours!r}")
    return time.time() + 3600 * hours


def wanted(base: Settings, rows: Collection[str] | None) -> list[str]:
    """The rows that are asked for, in the order in which they are made; the arguments are those of :func:`reproduce`.

    Raises:
        ValueError: an unknown row, or none.
    """
    possible = sorted(rows_for(base.model), key=lambda name: FIRST.index(name) if name in FIRST else len(FIRST))
    if rows is not None and (isinstance(rows, str) or not rows):
        raise ValueError(f"rows: expected a list of {', '.join(possible)}, got {arguments.shown(rows)}")
    for name in rows or ():
        arguments.one_of("rows", name, possible)
    return [name for name in possible if rows is None or name in rows]


def check(networks: Networks, rows: Collection[str]) -> None:
    """What would else be noticed after the training: in the last measurements, or when a disk is full.

    Raises:
        ImportError, ValueError: as :func:`reproduce`.
    """
    if not set(rows) <= FIG_3B.keys():
        autoattack_version()
    base, path = networks.settings, pretrained.RESULTS / folder_of(networks.settings)
    of_rows = {name: _of_row(name, networks) for name in rows}
    if "vanilla" in rows and _neurons_are_measured(base):
        _check_regions(networks)
        _check_others(networks)

    def on_disks() -> None:
        if (path.parent / "data.json").exists():
            results.publish_data(networks.data)
        for name, of_row in of_rows.items():
            if name not in FIG_3B:
                _check_published(of_row, ROWS[name].defense, path / f"{_stem(name, base)}.safetensors")
        room.require([(of_row, ROWS[name].defense) for name, of_row in of_rows.items()], path)

    parallel.on_first_process(on_disks)


def _check_regions(networks: Networks) -> None:
    """There are as many test images as it takes to say what the top outputs of a neuron are, see measure.regions."""
    layer, x = networks.region_layer, torch.empty(1, 3, *2 * [networks.data.image_size], device="meta")
    bottom, _ = split_at(room.model_without_weights(networks), layer)
    maps = room.model_without_weights(networks).get_submodule(layer)(bottom(x))
    outputs, there = maps[0, 0].numel(), len(networks.test)
    if there < (least := math.ceil(1 / (TOP * outputs))):
        raise ValueError(
            f"n_test: {there} test images are too few for vanilla: each neuron of {layer} has {outputs} outputs "
            f"for one, of which the top {100 * TOP:g}% (Fig. 4) are none; take {least} or more, or other rows"
        )


def _check_others(networks: Networks) -> None:
    """Of every class there are two training images of others to attack toward it, see measure.targeted_neurons."""
    data = networks.data
    counts = torch.bincount(data.train.labels, minlength=data.num_classes)
    if (others := len(data.train) - int(counts.max())) < 2:
        raise ValueError(
            f"dataset: {others} training image that is not of {data.classes[int(counts.argmax())]} is too few for "
            "vanilla, where two are attacked toward each class; add images, hold out fewer, or take other rows"
        )


def _check_published(of_row: Networks, defense: str, model: Path) -> None:
    if model.exists() and of_row.model_path(defense) != model:
        raise ValueError(
            f"rows: {model} is published with another configuration; delete it and {model.stem}.json, or choose "
            "another seed, width or data set"
        )


def _of_row(name: str, networks: Networks) -> Networks:
    """The networks of a row, whose settings it takes from others where it says so."""
    of_row = networks.with_settings(ROWS[name].settings(networks.settings))
    of_row.taken_from = ROWS[name].taken_from
    return of_row


def _stem(name: str, base: Settings) -> str:
    return name if base.seed == 0 else f"{name}-seed{base.seed}"


def published_files(name: str, networks: Networks) -> list[Path]:
    """Where a row is published, its model and its records, whether they are there yet or not."""
    base = networks.settings
    return [pretrained.RESULTS / folder_of(base) / f"{_stem(name, base)}{kind}" for kind in (".safetensors", ".json")]


def models_before(name: str, networks: Networks) -> list[Path]:
    """Where the models are kept that a row needs besides its own: those it starts from and attacks, and the vanilla."""
    of_row, defense = _of_row(name, networks), ROWS[name].defense
    before = [(networks, "vanilla"), *room.with_what_it_needs(of_row, defense)]
    own, paths = of_row.model_path(defense), [each.model_path(other) for each, other in before]
    return [path for path in dict.fromkeys(paths) if path != own]


def _neurons_are_measured(settings: Settings) -> bool:
    """Whether section 3, which is about the neurons of the vanilla network, is about these settings."""
    return settings.seed == 0 and settings.model in ("vgg16", "alexnet")


def _penultimate_neurons(networks: Networks) -> int:
    return cast(int, room.model_without_weights(networks).get_submodule("fc").in_features)


def measure_between_rows(networks: Networks) -> None:
    """Publish what takes the models of several rows, as soon as these are published.

    That is the checks of the vanilla network, on which PAT's examples are tried, and how the examples of each row of
    TABLE do on each other.
    """
    path = pretrained.RESULTS / folder_of(networks.settings)

    def all_there(rows: Collection[str]) -> bool:
        return networks.settings.seed == 0 and all((path / f"{name}.safetensors").exists() for name in rows)

    if all_there(("vanilla", "pat")):
        checked = measure.sanity_checks(networks, "vanilla", "pat", N_ROBUSTNESS)
        results.publish_record(path / "vanilla.json", "vanilla", checked)
    if all_there(TABLE):
        networks.progress("attacking every row, and testing every other on the examples")
        of_rows = {
            name: (networks.with_settings(row.settings(networks.settings)), row.defense) for name, row in TABLE.items()
        }
        entry = measure.transfer_matrix(networks, of_rows, N_ROBUSTNESS)
        results.publish_record(path / "transfer.json", "transfer", entry)


def _steps(name: str, networks: Networks) -> list[Callable[[], None]]:
    """What is to be done for one row, in order."""
    row, base = ROWS[name], networks.settings

    def bind() -> None:  # first of all, so that rows of other images are noticed before days of training
        results.publish_data(networks.data)

    of_row, stem = _of_row(name, networks), _stem(name, base)
    record = pretrained.RESULTS / folder_of(base) / f"{stem}.json"

    def measured(measurement: Callable[[], Record]) -> Callable[[], None]:
        return lambda: results.publish_record(record, stem, measurement())

    if name in FIG_3B:
        sketch = of_row.with_settings(n_test=min(base.n_test, N_FIG_3B))
        sketched = (measure.accuracy, measure.accuracy_on_fixed)
        return [bind, *(measured(partial(each, sketch, row.defense)) for each in sketched)]
    publish = partial(_publish, of_row, row.defense, record.with_suffix(".safetensors"))
    return [bind, publish, *map(measured, _measurements(of_row, name))]


def _measurements(of_row: Networks, name: str) -> list[Callable[[], Record]]:
    """What is measured of a row, quick things first; of a further seed only what shows how far chance moves a claim."""
    defense, settings = ROWS[name].defense, of_row.settings
    everything = [
        lambda: measure.accuracy(of_row, defense),
        lambda: measure.accuracy_on_fixed(of_row, defense),
        lambda: measure.strong_accuracy(of_row, defense, **STRONG),
        lambda: measure.outcomes(of_row, defense, **STRONG),
        lambda: measure.sensitivity(of_row, defense),
        lambda: measure.variance(of_row, defense, N_ROBUSTNESS),
    ]
    if name == "vanilla":  # whose sensitive neurons every row of the seed is looked at for
        everything.append(lambda: measure.sensitivity(of_row, defense, split="train"))
    else:
        everything.append(lambda: measure.accuracy_by_statistics(of_row, defense, N_ROBUSTNESS))
    if settings.seed != 0:
        return everything
    if name == "vanilla" and _neurons_are_measured(settings):
        everything += [
            lambda: measure.accuracy_by_eps(of_row, defense),
            lambda: measure.sensitivity_of_halves(of_row, defense),
            lambda: measure.targeted_neurons(of_row, of_row.penultimate_layer, min(K, _penultimate_neurons(of_row))),
            *(partial(measure.suppression, of_row, which, n=N_SUPPRESSION) for which in CHOICES),
            lambda: measure.regions(of_row, of_row.region_layer),
        ]
    if name != "vanilla":  # whose checks need another row, see measure_between_rows
        everything.append(lambda: measure.sanity_checks(of_row, defense, "vanilla", N_ROBUSTNESS))
    if name in ("vanilla", "pat"):  # which the figures of section 3 and the supplement compare
        others = [attack for attack in of_row.attacks if attack != "pgd"]
        everything += [partial(measure.sensitivity, of_row, defense, under) for under in (*others, *WEATHER)]
        everything.append(lambda: measure.corrupted_accuracy(of_row, defense))
    if name in DRIVEN:
        everything.append(lambda: measure.adaptive_pgd(of_row, defense))
    return [
        *everything,
        lambda: measure.pgd_accuracy(of_row, defense, N_ROBUSTNESS),
        lambda: measure.loss_surface(of_row, defense),
        lambda: measure.targeted_pgd(of_row, defense, N_ROBUSTNESS),
        lambda: measure.autoattack(of_row, defense, N_ROBUSTNESS),
    ]


def _publish(of_row: Networks, defense: str, model: Path) -> None:
    """Train a row's model and publish it, where either is missing."""
    of_row.model(defense)
    trained = of_row.model_path(defense)
    if trained == model:
        return
    _check_published(of_row, defense, model)
    tensors, state = load_tensors(trained)
    about = {"classes": of_row.data.classes, "image_size": of_row.data.image_size}
    results.publish_model(model, tensors, state | about)
