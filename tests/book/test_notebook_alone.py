"""A chapter as papermill leaves it, in JupyterLab and exported by nbconvert: whole without the book."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import papermill
import pytest
from chapters import NOTEBOOKS, exercises, read
from nbformat import NotebookNode
from test_notebooks import SMALL

from snslib.book import labels

pytestmark = pytest.mark.slow

CHAPTER = next(path for path in NOTEBOOKS if path.stem == "04_sns_training")
BIN = Path(sys.executable).parent
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
MYST = r"\{[a-z][\w:-]*\}`|:::|```|~~~|<!--|\]\(|^\([\w-]+\)=|\\tag|\$"


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The chapter, run by papermill alone, with small parameters."""
    pytest.importorskip("jupyterlab", reason="JupyterLab is not installed")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium")
    folder = tmp_path_factory.mktemp("alone")
    parameters = {name: value for name, value in SMALL.items() if name in papermill.inspect_notebook(CHAPTER)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SNSLIB_CACHE", str(folder / "cache"))
        target = folder / "lab" / CHAPTER.name
        target.parent.mkdir()
        papermill.execute_notebook(CHAPTER, target, parameters, cwd=folder, progress_bar=False)
    return target


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def environment(executed: Path) -> dict[str, str]:
    """Jupyter's settings apart from the user's; JupyterLab draws all cells at once, not those in sight alone."""
    home = executed.parent.parent / "home"
    settings = home / "settings" / "@jupyterlab" / "notebook-extension" / "tracker.jupyterlab-settings"
    settings.parent.mkdir(parents=True)
    settings.write_text(json.dumps({"windowingMode": "none"}))
    folders = {"CONFIG_DIR": "config", "DATA_DIR": "data", "RUNTIME_DIR": "runtime"}
    own = {f"JUPYTER_{name}": str(home / folder) for name, folder in folders.items()}
    lab = {"JUPYTERLAB_SETTINGS_DIR": str(home / "settings"), "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces")}
    return {**os.environ, **own, **lab, "IPYTHONDIR": str(home / "ipython")}


@pytest.fixture(scope="module")
def lab(executed: Path, environment: dict[str, str], browser: Any) -> Iterator[Any]:
    """The page of JupyterLab that shows the chapter, all of it drawn, its hints and solutions unfolded."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"http://localhost:{free.getsockname()[1]}"
    command = [BIN / "jupyter-lab", "--no-browser", "--allow-root", f"--ServerApp.port={address.rpartition(':')[2]}"]
    command += ["--IdentityProvider.token=", f"--ServerApp.root_dir={executed.parent}"]
    with open(executed.parent.parent / "lab.log", "w") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            _wait_for(f"{address}/api")
            page = browser.new_page()
            page.set_default_timeout(120_000)
            page.goto(f"{address}/doc/tree/{executed.name}")
            page.wait_for_selector(".jp-Notebook .jp-Cell")
            cells = len(read(executed).cells)
            page.wait_for_function(f"document.querySelectorAll('.jp-Notebook .jp-Cell').length === {cells}")
            folded = page.get_by_text("Solution", exact=True)
            folded.nth(len(exercises(executed)) - 1).wait_for()
            page.evaluate("document.querySelectorAll('details').forEach(details => details.open = true)")
            page.wait_for_function(f"() => !({_UNSET})")
            yield page
        finally:
            server.terminate()
            server.wait()


_SHOWN = "[...document.querySelectorAll('.jp-RenderedMarkdown, .jp-RenderedHTMLCommon')]"
# Whether a formula is left as TeX, outside of code.
_UNSET = f"""{_SHOWN}.some(part => {{
    const copy = part.cloneNode(true);
    copy.querySelectorAll('pre, code, mjx-container').forEach(code => code.remove());
    return copy.textContent.includes('$');
}})"""


def _wait_for(address: str) -> None:
    for _ in range(120):
        try:
            urllib.request.urlopen(address).close()
            return
        except OSError:
            time.sleep(1)
    pytest.fail(f"nothing answers at {address}")


def prose(page: Any, where: str) -> str:
    """What a page shows but for code and formulas."""
    return page.evaluate(
        """where => [...document.querySelectorAll(where)].map(part => {
            const copy = part.cloneNode(true);
            copy.querySelectorAll('pre, code, mjx-container').forEach(code => code.remove());
            return copy.textContent;
        }).join('\\n')""",
        where,
    )


def check_links(page: Any, where: str) -> None:
    """Every link leads to an address, or to a place on its page."""
    ours = page.locator(f"{where} a[href]:not(.jp-InternalAnchorLink, .anchor-link)")  # not those that headings get
    links = ours.evaluate_all("links => links.map(link => link.getAttribute('href'))")
    pages = [link for link in links if link.startswith("http")]
    assert any(link.startswith(labels.SITE) for link in pages)
    for link in set(links) - set(pages):
        assert link.startswith("#")
        assert page.locator(f'[id="{link[1:]}"]').count() == 1, link


def captions(executed: Path, kind: str) -> list[str]:
    """The printed names of the chapter's figures or tables, such as "Figure 4.1"."""
    texts = [cell.source for cell in read(executed).cells]
    texts += [output.data.get("text/markdown", "") for output in outputs(executed) if "data" in output]
    return [name for text in texts for name in re.findall(rf"^\*\*({kind} [\d.]+)\.\*\*", text, re.M)]


def outputs(executed: Path) -> list[NotebookNode]:
    return [output for cell in read(executed).cells for output in cell.get("outputs", [])]


def test_jupyterlab_shows_text_formulas_and_links(lab: Any, executed: Path) -> None:
    where = ".jp-RenderedMarkdown, .jp-RenderedHTMLCommon"
    assert re.findall(MYST, prose(lab, where), re.M) == []
    assert lab.locator("mjx-merror").count() == 0
    assert lab.locator("mjx-container").count() > 100
    check_links(lab, ".jp-Notebook")
    text = lab.locator(".jp-Notebook").text_content()
    for said in ("Zhang et al. (2021)", "Algorithm 4.1.", "(4.1)", "Computed live: digits", "Settings of this run"):
        assert said in text


def test_jupyterlab_shows_tables_and_pictures_with_captions(lab: Any, executed: Path) -> None:
    shown = [caption.split(". ")[0] for caption in lab.locator("table caption").all_text_contents()]
    assert shown == captions(executed, "Table")
    assert len(shown) == len(labels.TABLES["4"])
    figures = captions(executed, "Figure")
    assert len(figures) == lab.locator(".jp-OutputArea-output img, .jp-OutputArea-output svg").count()
    text = lab.locator(".jp-Notebook").text_content()
    assert all(f"{name}. " in text for name in figures)


def test_jupyterlab_shows_the_exercises_with_folded_hints_and_solutions(lab: Any, executed: Path) -> None:
    found = exercises(executed)
    summaries = lab.locator(".jp-Notebook summary").all_text_contents()
    assert summaries[-2 * len(found) :] == ["Hint", "Solution"] * len(found)
    text = lab.locator(".jp-Notebook").text_content()
    assert "Exercise 4.1: not solved yet." in text
    assert lab.locator("details pre").count() > 1  # the code of solutions is code


def test_an_export_to_html_is_whole(executed: Path, environment: dict[str, str], browser: Any) -> None:
    command = [BIN / "jupyter-nbconvert", "--to", "html", executed, "--output-dir", executed.parent.parent]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    context = browser.new_context(offline=True)  # so that formulas stay as MathJax gets them
    page = context.new_page()
    page.goto((executed.parent.parent / f"{executed.stem}.html").as_uri(), wait_until="domcontentloaded")
    where = ".jp-RenderedMarkdown, .jp-RenderedHTMLCommon"
    text = prose(page, where)
    formulas = re.findall(r"\$\$.*?\$\$|\$[^$]+\$", text, re.S)
    written = [formula for cell in read(executed).cells for formula in _formulas(cell)]
    assert len(written) > 100
    assert {"".join(formula.split()) for formula in written} <= {"".join(formula.split()) for formula in formulas}
    rest = re.sub(r"\$\$.*?\$\$|\$[^$]+\$", "", text, flags=re.S)
    assert re.findall(MYST, rest, re.M) == []
    check_links(page, "main")
    shown = [caption.split(". ")[0] for caption in page.locator("table caption").all_text_contents()]
    assert shown == captions(executed, "Table")
    assert len(captions(executed, "Figure")) == page.locator(".jp-OutputArea-output :is(img, svg)").count()
    context.close()


def _formulas(cell: NotebookNode) -> list[str]:
    if cell.cell_type != "markdown":
        return []
    prose = re.sub(r"^ *```.*?^ *```$|`[^`\n]+`", "", cell.source, flags=re.M | re.S)
    return re.findall(r"\$\$.*?\$\$|\$[^$]+\$", prose, re.S)
