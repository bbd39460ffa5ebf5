"""Where notebooks open in a browser: links, what a Binder installs, and what the page about it says."""

import os
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from scripts import load

ROOT = Path(__file__).parents[2]
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text())
PAGE = (ROOT / "book" / "elsewhere.md").read_text()
NOTEBOOK = "notebooks/01_adversarial_examples.ipynb"

links = load("_ext/launch_links.py")


def theme(**services: str) -> dict[str, Any]:
    """The theme's options of a fork."""
    return {
        "repository_url": "https://github.com/someone/a-course",
        "repository_branch": "autumn",
        "launch_buttons": services,
    }


def test_links_lead_to_the_fork_and_its_branch() -> None:
    options = theme(colab_url="https://colab.example.org/", binderhub_url="https://binder.example.org")
    assert links.colab(options, NOTEBOOK) == f"https://colab.example.org/github/someone/a-course/blob/autumn/{NOTEBOOK}"
    assert links.binder(options, NOTEBOOK) == (
        f"https://binder.example.org/v2/gh/someone/a-course/autumn?urlpath=lab/tree/{NOTEBOOK}"
    )


@pytest.mark.parametrize(
    ("given", "hub"), [("", "https://hub.example.org"), ("https://h.edu/jupyter/", "https://h.edu/jupyter")]
)
def test_nbgitpuller_opens_the_notebook_in_the_folder_that_it_clones_into(given: str, hub: str) -> None:
    assert links.jupyterhub(theme(jupyterhub_url=given), NOTEBOOK) == (
        f"{hub}/hub/user-redirect/git-pull?repo=https%3A//github.com/someone/a-course"
        f"&urlpath=lab/tree/a-course/{NOTEBOOK}&branch=autumn"
    )


@pytest.fixture
def pip(tmp_path: Path) -> Path:
    """The folder of a `pip` that writes down what it is asked for, and fails where there is a file "broken"."""
    program = tmp_path / "bin" / "pip"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\ntest ! -e {tmp_path}/broken\n')
    program.chmod(0o755)
    return tmp_path


def post_build(pip: Path) -> tuple[int, list[str]]:
    environment = {**os.environ, "PATH": f"{pip / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run([ROOT / "binder" / "postBuild"], cwd=ROOT, env=environment, check=False)
    return done.returncode, (pip / "asked").read_text().splitlines()


def test_a_binder_installs_pytorch_without_cuda_at_the_versions_of_the_lock_and_then_the_rest(pip: Path) -> None:
    locked = dict(re.findall(r"^(torch|torchvision)==(\S+)", (ROOT / "requirements.txt").read_text(), re.M))
    status, (pytorch, rest) = post_build(pip)
    assert status == 0
    assert "--index-url https://download.pytorch.org/whl/cpu " in pytorch
    assert sorted(word for word in pytorch.split() if "==" in word) == [
        f"torch=={locked['torch']}",
        f"torchvision=={locked['torchvision']}",
    ]
    assert rest.endswith("--editable .[book]")
    assert "==" not in rest


def test_a_binder_whose_pytorch_cannot_be_installed_ends_there(pip: Path) -> None:
    (pip / "broken").touch()
    status, asked = post_build(pip)
    assert status != 0
    assert len(asked) == 1  # else the rest would bring the wheels with CUDA


def test_a_binder_has_a_python_that_snslib_runs_on() -> None:
    python = re.fullmatch(r"python-(\d+)\.(\d+)\n", (ROOT / "binder" / "runtime.txt").read_text())
    assert python
    lowest = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert tuple(map(int, python.groups())) >= tuple(map(int, lowest.removeprefix(">=").split(".")))


def test_what_the_page_names_is_there() -> None:
    for path in ("LICENSE", "LICENSE-text", "binder/", "requirements.txt", "tools/address.py", "results/"):
        assert path in PAGE
        assert (ROOT / path).exists()
    assert {"url", "branch"} <= CONFIG["repository"].keys()
    assert {"binderhub_url", "colab_url", "jupyterhub_url"} <= CONFIG["launch_buttons"].keys()
    named = re.findall(r"papermill (notebooks/\S+)", PAGE) + re.findall(r"\{hub-link\} (\S+)", PAGE)
    assert {Path(name).name for name in named} == {Path(NOTEBOOK).name}
    assert "SNSLIB_REPOSITORY" in PAGE
    assert "SNSLIB_REPOSITORY" in (ROOT / NOTEBOOK).read_text()


def test_the_licences_are_the_same_wherever_they_are_stated() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["license"] == "MIT"
    assert (ROOT / "LICENSE").read_text().startswith("MIT License")
    text, readme = ((ROOT / name).read_text() for name in ("LICENSE-text", "README.md"))
    footer = CONFIG["html"]["extra_footer"]
    for place in (PAGE, readme, footer):
        assert "CC BY 4.0" in place
        assert "MIT License" in place
    address = "https://creativecommons.org/licenses/by/4.0/"
    assert all(address in place for place in (text, PAGE, footer))
    assert "data sets" in text
    assert "data sets" in PAGE
