"""Take the scripts that pages load from npm packages when the book is built, so that it needs no network afterwards.

`npm pack` fetches the packages, from wherever the user's npm is told to look, and `.cache/npm` keeps them. Where it
cannot, the build says so and pages load the same scripts from the CDNs that Sphinx and MyST-NB name.
"""

import base64
import hashlib
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import NamedTuple

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util import logging

CACHE = Path(__file__).resolve().parent.parent.parent / ".cache" / "npm"
SHIM = "widgets.js"  # in book/_assets
DEFER = {"defer": "defer"}  # a page is read before its scripts are run, in their order

logger = logging.getLogger(__name__)


class Package(NamedTuple):
    """An npm package: its integrity as npm states it, the script to load, and a pattern of what else that may load."""

    name: str
    version: str
    integrity: str
    script: str
    others: str

    @property
    def folder(self) -> str:
        """Where the package's files are, below `_static`."""
        return f"vendored/{self.name.rpartition('/')[2]}"


MATHJAX = Package(
    "mathjax",
    "3.2.2",
    "sha512-Bt+SSVU8eBG27zChVewOicYs7Xsdt40qm4+UpHyX7k0/O9NliPc+x77k1/FEsPsjKPZGJvtRZM1vO+geW0OhGw==",
    "es5/tex-mml-chtml.js",
    r"LICENSE|es5/(input/tex/extensions|output/(chtml/fonts/woff-v2|svg)|a11y)/.+|es5/output/svg\.js"
    r"|es5/sre/mathmaps/(base|en)\.json",
)
WIDGETS = Package(
    "@jupyter-widgets/html-manager",
    "1.0.15",
    "sha512-5thBIV6ymNgmPVOHvzx+gGy8ZSKmSazhtGw4/c4xJDVzRhG9PTeQsRjF3FUTopvFi//SABeNz1yp47bCrJ3CQA==",
    "dist/embed.js",
    r"LICENSE|dist/.+\.(woff2|txt)",
)


class UnavailableError(Exception):
    """npm is missing, or cannot fetch a package."""


def fetch(package: Package, cache: Path) -> Path:
    """The package's tarball in the cache, fetched if it is not there.

    Raises UnavailableError where npm cannot fetch it, ExtensionError where it is not the package that was pinned.
    """
    tarball = cache / f"{re.sub(r'[^a-z-]+', '-', package.name).strip('-')}-{package.version}.tgz"
    if not tarball.exists():
        npm = shutil.which("npm")
        if npm is None:
            raise UnavailableError("npm is not installed")
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            command = [npm, "pack", f"{package.name}@{package.version}", "--ignore-scripts", "--fetch-retries=0"]
            command += ["--cache", folder]  # npm's own is in the user's home, which may not be there to write to
            try:
                subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=120)
            except subprocess.CalledProcessError as error:
                code = re.search(r"code (\w+)", error.stderr)
                raise UnavailableError(f"npm pack ended with {code[1] if code else error.returncode}") from error
            except (OSError, subprocess.TimeoutExpired) as error:
                raise UnavailableError(f"npm pack did not run: {error}") from error
            (packed,) = Path(folder).glob("*.tgz")
            os.replace(packed, tarball)
    digest = base64.b64encode(hashlib.sha512(tarball.read_bytes()).digest()).decode()
    if package.integrity != f"sha512-{digest}":
        tarball.unlink()
        raise ExtensionError(f"{package.name} {package.version} is not the package that was pinned: sha512-{digest}")
    return tarball


def unpack(tarball: Path, package: Package, target: Path) -> None:
    """Write what pages load of a package to the folder `target`."""
    with tarfile.open(tarball) as archive:
        for member in archive:
            path = member.name.partition("/")[2]  # without the folder "package"
            content = archive.extractfile(member)
            if content and re.fullmatch(f"{re.escape(package.script)}|{package.others}", path):
                (target / path).parent.mkdir(parents=True, exist_ok=True)
                (target / path).write_bytes(content.read())


def vendor(app: Sphinx) -> None:
    """Unpack the packages into the built book and point its pages at them."""
    if app.builder.format != "html":
        return
    scripts, missing = {}, []
    for package in (MATHJAX, WIDGETS):
        try:
            unpack(fetch(package, CACHE), package, Path(app.outdir) / "_static" / package.folder)
        except UnavailableError as error:
            missing.append(f"{package.name} {package.version} ({error})")
        else:
            scripts[package] = f"{package.folder}/{package.script}"
    if missing:
        logger.info("Pages will need a network, for lack of %s", ", ".join(missing), color="yellow")
    if MATHJAX in scripts:
        app.config.mathjax_path = scripts[MATHJAX]
    widgets = {scripts[WIDGETS]: DEFER} if WIDGETS in scripts else app.config.nb_ipywidgets_js
    app.config.nb_ipywidgets_js = {SHIM: DEFER, **widgets}


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("builder-inited", vendor, priority=400)  # before MyST-NB reads its configuration
    return {"parallel_read_safe": True, "parallel_write_safe": True}
