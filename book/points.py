"""Points of a sweep: their settings, and their runs on the workers of a Dask cluster, who send back what they make."""

import tempfile
from collections.abc import Iterator
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import execute
from execute import ROOT

from snslib import locks
from snslib.study import cluster, parcels, records, room, settings
from snslib.study import measurements as measure
from snslib.study.networks import Networks
from snslib.study.parcels import Parcel
from snslib.study.settings import Settings

Run = tuple[Path, dict[str, Any], str]  # where a notebook goes when it was run, its parameters, and the run's digest


def settings_of(point: dict[str, Any]) -> Settings:
    """The settings of a run."""
    return settings.from_parameters({name: value for name, value in point.items() if name != "defense"})


def networks_of(point: dict[str, Any]) -> tuple[Networks, str]:
    """The networks of a run, and the defense whose accuracy the sweep compares."""
    return Networks(settings_of(point)), point.get("defense", "sns_sen_adv")


def run_on(scheduler: str, source: Path, runs: dict[str, Run]) -> Iterator[str]:
    """Run a notebook for every point on the workers of a cluster, the first point alone, and write what they send.

    Args:
        scheduler: its address, such as "tcp://10.0.0.1:8786".
        source: the notebook.
        runs: by their titles.

    Yields:
        The title of each as it ends.

    Raises:
        ImportError, ValueError: as :func:`snslib.study.cluster.connected`; or a worker has other images.
        LostError, Exception: as :meth:`snslib.study.cluster.Cluster.at_once`.
    """
    about = partial(cluster.of_script, "book/points.py", "state", source.name)

    def prepare(title: str) -> partial[tuple[Parcel, Parcel]]:
        _, point, digest = runs[title]
        networks, defense = networks_of(point)
        sent = parcels.pack(networks.folder, models_in_cache(networks, defense))
        return partial(cluster.of_script, "book/points.py", "run", source.name, point, digest, sent)

    with cluster.connected(scheduler, about, partial(print, flush=True)) as workers:
        for titles in ([*runs][:1], [*runs][1:]):
            for title, made in workers.at_once(prepare, titles):
                keep(*runs[title][:2], *made)
                yield title


def state(name: str) -> dict[str, str]:
    """What the run of a notebook depends on besides its parameters: versions, and a checksum of each file."""
    versions = {package: version.partition("+")[0] for package, version in execute.installed_versions(ROOT).items()}
    scripts = (ROOT / "book" / script for script in ("execute.py", "points.py"))
    paths = [ROOT / "notebooks" / name, *scripts, *execute.library_files(ROOT)]
    return versions | {path.relative_to(ROOT).as_posix(): sha256(path.read_bytes()).hexdigest() for path in paths}


def models_in_cache(networks: Networks, defense: str) -> list[Path]:
    """Where the models are kept that a point trains, but for those that are published."""
    paths = [each.model_path(other) for each, other in room.with_what_it_needs(networks, defense)]
    return [path for path in paths if path.is_relative_to(networks.folder)]


def run(
    name: str, point: dict[str, Any], digest: str, sent: Parcel, progress: cluster.Progress
) -> tuple[Parcel, Parcel]:
    """Run a notebook on a worker; what it left, and what of the cache the sweep goes on from."""
    networks, defense = networks_of(point)
    parcels.unpack(networks.folder, sent)
    (ROOT / ".cache").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="point-", dir=ROOT / ".cache") as folder:
        target = Path(folder) / name
        execute.run_and_record(ROOT, ROOT / "notebooks" / name, target, point, digest, shown=False)
        left = parcels.pack(target.parent, [target, target.with_suffix(".run.json")])
    progress("measuring its accuracy, or finding it")
    record = measure.accuracy(networks, defense)
    of_record = records.record_path(networks.folder, record.what, record.config)
    made = parcels.pack(networks.folder, [*models_in_cache(networks, defense), of_record])
    return left, parcels.changed(made, sent)


def keep(target: Path, point: dict[str, Any], left: Parcel, made: Parcel) -> None:
    """Write what a worker has sent of a run; ValueError where it was made of other images than are here."""
    networks, defense = networks_of(point)
    parcels.unpack(networks.folder, made)
    if not networks.model_path(defense).exists():
        raise ValueError(
            f"scheduler: a worker has other images of {networks.data.name} than are here, or another copy of them; "
            "give both the same files, in the folder that SNSLIB_DATA names"
        )
    for content, path in zip(left.values(), (target, target.with_suffix(".run.json")), strict=True):
        with locks.written_beside(path) as new:
            new.write_bytes(content)
