"""A fork sets its addresses in `_config.yml`, and tools/address.py brings them into the files that carry them."""

import shutil
from pathlib import Path

import pytest
from chapters import NOTEBOOKS, read
from scripts import load

ROOT = Path(__file__).parent.parent
CARRIERS = ["README.md", "CONTRIBUTING.md", "snslib/book/labels.py", *(f"notebooks/{p.name}" for p in NOTEBOOKS)]

address = load("../tools/address.py")
NOW = address.wanted(ROOT)
BOOK = NOW.site.removeprefix("https://").rstrip("/")


@pytest.fixture
def fork(tmp_path: Path) -> Path:
    for name in ["_config.yml", *CARRIERS]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def configure(root: Path, **changes: str) -> None:
    text = (root / "_config.yml").read_text()
    for name, new in changes.items():
        text = text.replace(getattr(address.wanted(root), name), new)
    (root / "_config.yml").write_text(text)


def test_every_file_has_the_addresses_of_the_configuration(fork: Path) -> None:
    assert address.rewrite(fork) == []
    for path in NOTEBOOKS:
        (first,) = [cell.source for cell in read(path).cells if cell.id.endswith("-install")]
        assert f'"SNSLIB_REPOSITORY", "{NOW.repository}"' in first
    for path in CARRIERS:
        assert NOW.site in (ROOT / path).read_text() or path == "notebooks/speed.ipynb", path


@pytest.mark.parametrize("name", ["someone/a-course", f"someone/{NOW.name}", f"{NOW.name}-2"])
def test_another_repository_is_named_everywhere_and_once(fork: Path, name: str) -> None:
    before = {path: (fork / path).read_text() for path in CARRIERS}
    configure(fork, repository=f"https://git.example.org/{name}")
    changed = {path.as_posix() for path in address.rewrite(fork)}
    assert changed == {path for path in CARRIERS if path.startswith(("README", "notebooks/"))}
    for path in CARRIERS:
        text = (fork / path).read_text()
        assert text.count(name) == before[path].count(NOW.name)
        assert text.count(NOW.name) == name.count(NOW.name) * text.count(name)
    assert f"https://colab.research.google.com/github/{name}/blob/main/" in (fork / "README.md").read_text()
    assert address.rewrite(fork) == []
    configure(fork, repository=NOW.repository)
    address.rewrite(fork)
    assert {path: (fork / path).read_text() for path in CARRIERS} == before  # so nothing else was touched


def test_another_place_of_the_book_is_what_all_links_lead_to(fork: Path) -> None:
    configure(fork, site="https://someone.example.org/course/")
    assert {path.as_posix() for path in address.rewrite(fork)} == {*CARRIERS} - {"notebooks/speed.ipynb"}
    for path in CARRIERS:
        text = (fork / path).read_text()
        assert BOOK not in text
        assert text.count("someone.example.org/course") == (ROOT / path).read_text().count(BOOK)
    assert address.rewrite(fork) == []


@pytest.mark.parametrize("wrong", ["github.com/someone/course", 'https://x.org/"; rm -rf /', "null"])
def test_what_is_no_address_is_refused_before_anything_is_written(fork: Path, wrong: str) -> None:
    before = {path: (fork / path).read_bytes() for path in CARRIERS}
    configure(fork, repository=wrong)
    with pytest.raises(ValueError, match=r"repository: url in _config\.yml is"):
        address.rewrite(fork)
    assert {path: (fork / path).read_bytes() for path in CARRIERS} == before
