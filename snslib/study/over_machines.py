"""Rows on the workers of a Dask cluster: each sends back what it has made, and no file system is shared."""

import platform
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from snslib.study import cluster, parcels, records, results
from snslib.study import reproduce as reproduction
from snslib.study.cluster import Progress
from snslib.study.networks import Networks
from snslib.study.parcels import Parcel
from snslib.study.rows import TABLE, folder_of
from snslib.study.settings import Settings
from snslib.training import parallel, pretrained

BETWEEN = "between rows"  # the task that measures what takes the models of several
Parcels = tuple[Parcel, Parcel]  # files of results/, and of the folder of a cache


def reproduce(
    scheduler: str,
    base: Settings,
    folder: Path | None = None,
    rows: Collection[str] | None = None,
    hours: float = float("inf"),
    progress: Callable[[str], None] = print,
) -> None:
    """As :func:`snslib.study.reproduce.reproduce`, each row on a worker of a Dask cluster.

    The first row runs alone, since the others start from what it makes. A worker takes a GPU if it has one, and keeps
    what it trains and measures in its own cache besides.

    Args:
        scheduler: the address of the cluster's scheduler, such as "tcp://10.0.0.1:8786".
        base, folder, rows, hours, progress: as there.

    Raises:
        ImportError, ValueError: as there, and as :func:`snslib.study.cluster.connected`; or from several processes that
            share the work already.
        LostError: as :meth:`snslib.study.cluster.Cluster.at_once`.
    """
    if parallel.world_size() > 1:
        raise ValueError(f"scheduler: {scheduler} is asked by one process; leave out --scheduler, or torchrun")
    until, networks = reproduction.deadline(hours), Networks(base, folder, progress)
    with cluster.connected(scheduler, versions, progress) as workers:
        first, *others = reproduction.wanted(base, rows)
        reproduction.check(networks, [first, *others])
        results.publish_data(networks.data)

        def prepare(name: str) -> Callable[[Progress], Parcels]:
            return partial(_on_worker, base, until, name, _needed(name, networks))

        for group in ([first], others, [BETWEEN]):
            left = len(group)
            for name, made in workers.at_once(prepare, group):
                _keep(name, networks, made)
                left -= 1
                progress(f"{name}: finished, {left} left")


def versions() -> dict[str, str]:
    """What a row depends on besides its settings: Python, PyTorch, and the code of snslib, a key for each file."""
    code = records.modules_of("study.reproduce").items()
    return {
        "Python": ".".join(platform.python_version_tuple()[:2]),
        "torch": torch.__version__.split("+")[0],
        **{f"snslib/{name.replace('.', '/')}": records.key(text) for name, text in code},
    }


def _needed(name: str, networks: Networks) -> Parcels:
    """What there is here that a task starts from, and what it has made already."""
    there = pretrained.RESULTS / folder_of(networks.settings)
    if name == BETWEEN:
        rows = ("vanilla", "pat") if (there / "transfer.json").exists() else TABLE
        published = [there / "transfer.json", *(there / f"{row}.safetensors" for row in rows), there / "vanilla.json"]
        models = []
    else:
        models = reproduction.models_before(name, networks)
        published = [*reproduction.published_files(name, networks), *filter(_is_published, models)]
        published += [path.with_name(f"{path.stem}.json") for path in filter(_is_published, models)]
    data = there.parent / "data.json"
    cached = [path for path in models if not _is_published(path)]
    return parcels.pack(pretrained.RESULTS, [data, *published]), parcels.pack(networks.folder, cached)


def _is_published(model: Path) -> bool:
    return model.is_relative_to(pretrained.RESULTS)


def _on_worker(base: Settings, until: float, name: str, sent: Parcels, progress: Progress) -> Parcels:
    """Do a row, or what is between rows, from what is sent, and return what was made: see :func:`_needed`."""
    hours = max(0.0, until - time.time()) / 3600
    with _results_of_its_own() as folder:
        networks = Networks(replace(base, device=None), None, progress)
        for where, parcel in zip((folder, networks.folder), sent, strict=True):
            parcels.unpack(where, parcel)
        if name == BETWEEN:
            models = []
            if hours > 0:
                reproduction.measure_between_rows(networks)
        else:
            reproduction.reproduce(networks.settings, None, [name], hours, progress)
            models = [path for path in reproduction.models_before(name, networks) if not _is_published(path)]
        files = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
        published, cached = parcels.pack(folder, files), parcels.pack(networks.folder, models)
    return parcels.changed(published, sent[0]), parcels.changed(cached, sent[1])


@contextmanager
def _results_of_its_own() -> Iterator[Path]:
    """An empty ``results/`` for the one task of this process: what its checkout has is not asked and not changed."""
    with tempfile.TemporaryDirectory(prefix="snslib-results-") as name:
        before, pretrained.RESULTS = pretrained.RESULTS, Path(name)
        try:
            yield pretrained.RESULTS
        finally:
            pretrained.RESULTS = before


def _keep(name: str, networks: Networks, made: Parcels) -> None:
    """Write what a worker has made; of its cache the models alone that are the same here, made of the same images."""
    published, cached = made
    parcels.publish(published)
    known = [] if name == BETWEEN else reproduction.models_before(name, networks)
    names = {path.relative_to(networks.folder).as_posix() for path in known if not _is_published(path)}
    parcels.unpack(networks.folder, {name: content for name, content in cached.items() if name in names})
