"""Write the addresses that `_config.yml` sets, the repository's and the book's, wherever else a file has to carry them.

    .venv/bin/python tools/address.py

For a fork: set `repository: url` in `_config.yml`, and `ogp_site_url` where the fork publishes its own book, then run
this. A notebook that is opened on Colab has nothing around it in which it could look up where it is from.
"""

import re
import sys
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import yaml

ROOT = Path(__file__).resolve().parent.parent
CARRIERS = ("README.md", "CONTRIBUTING.md", "snslib/book/labels.py", "notebooks/*.ipynb")


class Addresses(NamedTuple):
    """Where a copy of the project is from."""

    repository: str  # without a slash at its end
    site: str  # of the published book, with one

    @property
    def name(self) -> str:
        """OWNER/NAME, as it is in links to Colab."""
        return urlsplit(self.repository).path.strip("/")


def wanted(root: Path) -> Addresses:
    """What `_config.yml` sets.

    Raises:
        ValueError: one of them is no address.
    """
    config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    found = {"repository: url": config["repository"]["url"], "ogp_site_url": config["sphinx"]["config"]["ogp_site_url"]}
    for setting, address in found.items():
        if not re.fullmatch(r"https://[\w.-]+(/[\w.~-]+)*/?", str(address)):
            raise ValueError(
                f"{setting} in _config.yml is {address}: write an address, such as https://github.com/me/fork"
            )
    repository, site = (address.rstrip("/") for address in found.values())
    return Addresses(repository, f"{site}/")


def carried(root: Path) -> Addresses:
    """What the notebooks' first cells and links have, as their texts say it."""
    notebook = next(iter(sorted((root / "notebooks").glob("*.ipynb")))).read_text(encoding="utf-8")
    labels = (root / "snslib" / "book" / "labels.py").read_text(encoding="utf-8")
    repository = re.search(r'SNSLIB_REPOSITORY\\", \\"(.+?)\\"', notebook)
    site = re.search(r'^SITE = "(.+?)"', labels, re.M)
    assert repository
    assert site
    return Addresses(repository[1], site[1])


def rewrite(root: Path) -> list[Path]:
    """Bring all files up to date, and return those that were not."""
    becomes = dict(zip(_written(carried(root)), _written(wanted(root)), strict=True))
    old = re.compile("|".join(map(re.escape, becomes)))  # in one pass: a new address may contain an old one
    changed = []
    for path in sorted(path for pattern in CARRIERS for path in root.glob(pattern)):
        before = path.read_text(encoding="utf-8")
        if (after := old.sub(lambda found: becomes[found[0]], before)) != before:
            path.write_text(after, encoding="utf-8")
            changed.append(path.relative_to(root))
    return changed


def _written(addresses: Addresses) -> list[str]:
    """The ways in which texts name them: whole, in a link to Colab, and the book's without its scheme."""
    return [addresses.repository, addresses.name, addresses.site, addresses.site.removeprefix("https://").rstrip("/")]


def main() -> None:
    try:
        changed = rewrite(ROOT)
    except ValueError as error:
        sys.exit(f"error: {error}")
    print("Changed:", ", ".join(map(str, changed)) or "nothing, every file has the addresses of _config.yml")


if __name__ == "__main__":
    main()
