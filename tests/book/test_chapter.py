"""The first cell of a chapter takes its parameters, refuses what it does not know, and may run again, in any order."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import nbformat
import papermill
import pytest
from IPython.core.interactiveshell import InteractiveShell
from nbformat.v4 import new_code_cell, new_notebook
from traitlets.config import Config

from snslib.book import chapter

IPYTHON: dict[str, Any] = {"__name__": "x", "_i": "history", "get_ipython": print, "json": json}

PARAMETERS = "seed: int = None\nlam: float = None  # weight of the loss"
SETTINGS = "from snslib.book import chapter\n\nnetworks = chapter.begin(globals())\nrun = networks.settings"
LATER = "caption = 'seed'\nfound = [run.seed, run.lam]"


@pytest.fixture
def shell() -> Iterator[InteractiveShell]:
    """IPython as a kernel has it, but for its messages."""
    modules = dict(sys.modules)
    config = Config()
    config.HistoryManager.enabled = False
    yield InteractiveShell(config=config)
    sys.modules["__main__"] = modules["__main__"]


def run(shell: InteractiveShell, *cells: str) -> list[BaseException | None]:
    """The error of each cell, or None."""
    return [shell.run_cell(cell, store_history=True).error_in_exec for cell in cells]


def test_the_parameter_cell_can_be_skipped(shell: InteractiveShell) -> None:
    assert run(shell, SETTINGS, LATER) == [None, None]
    assert shell.user_ns["found"] == [0, 5.0]


def test_the_first_cells_can_run_again_with_other_values(shell: InteractiveShell) -> None:
    assert not any(run(shell, PARAMETERS, SETTINGS, LATER))
    for again in ("seed = 3\nlam = '1/2'", "seed = 4\nlam = None"):
        assert not any(run(shell, again, SETTINGS, LATER))
        seed, lam = shell.user_ns["found"]
        assert (seed, lam) == ((3, 0.5) if "3" in again else (4, 5.0))
    assert not any(run(shell, SETTINGS, LATER, "seed = 5", SETTINGS, SETTINGS, LATER))
    assert shell.user_ns["found"][0] == 5


def test_what_a_later_cell_leaves_behind_is_no_parameter(shell: InteractiveShell) -> None:
    """It may have run first, to the error that it needs those above, and it may have been the reader's own."""
    (error,) = run(shell, LATER)
    assert str(error) == "name 'run' is not defined"
    assert not any(run(shell, "n = 5", PARAMETERS, "k = 20", SETTINGS, LATER, "k = 10", SETTINGS))


def test_a_misspelt_parameter_is_refused_until_it_is_put_right(shell: InteractiveShell) -> None:
    wrong = "seed = 1\nlamda = 2.0"
    for cells in ([wrong, SETTINGS], [SETTINGS], [PARAMETERS, "# Parameters\nlamda = 2.0\n", SETTINGS]):
        *_, error = run(shell, *cells)
        assert isinstance(error, chapter.ParameterError)
        assert str(error).startswith("unknown parameter lamda; this notebook takes ")
    assert not any(run(shell, "seed = 1\nlam = 2.0", SETTINGS, LATER))
    assert shell.user_ns["found"] == [1, 2.0]
    *_, error = run(shell, wrong, SETTINGS)  # also when the chapter has begun
    assert isinstance(error, chapter.ParameterError)


OTHERS = {  # what is in a notebook beside its parameters, by who puts it there
    "papermill --inject-paths": "# Parameters\nPAPERMILL_INPUT_PATH = 'a'\nPAPERMILL_OUTPUT_PATH = 's3://b'\nlam = 2",
    "VS Code": "__vsc_ipynb_file__ = '/a/b.ipynb'\nlam = 2.0",
    "a reader's lists": "seed = 3\nseeds = [1, 2]\nlams = (1, 2)",
    "a reader's values": "tmp = 3\npath = 'x'\nseed = 3\nmy_lamp_of_old = None",
    "a reader's misspelling of what is there": "seed = 3\nlam = 1\nlamb = 2\nseeds = 4",
    "a reader's computation": "lamda = 2.0\nseed = len('abc')",
    "a comment that begins like papermill's": "# Parameters of my plot\nwide = 3",
    "magics": "%matplotlib inline\n%time lamda = 3",
    "a shell": "files = !ls\nlamda = 3",
    "IPython": "exit, quit, open, In0, _i1, _dh = [0] * 6\nlam = 3",
    "a cell that cannot be parsed": "lamda = = 3",
}


@pytest.mark.parametrize("cell", OTHERS.values(), ids=OTHERS)
def test_what_others_put_into_a_notebook_is_no_parameter(cell: str, shell: InteractiveShell) -> None:
    run(shell, cell, PARAMETERS, cell)
    assert run(shell, SETTINGS, LATER) == [None, None]
    run(shell, cell)
    assert run(shell, SETTINGS) == [None]


def test_a_cell_that_is_headed_like_papermills_is_so_only_where_papermill_puts_it(shell: InteractiveShell) -> None:
    later = "# Parameters\nwidth_cm = 12\nlamda = 3"
    assert not any(run(shell, PARAMETERS, SETTINGS, later, SETTINGS, LATER, SETTINGS))
    *_, error = run(shell, PARAMETERS, "# Parameters\nlamda = 3", SETTINGS)
    assert isinstance(error, chapter.ParameterError)
    for repaired in ("# Parameters\nlam = 3", "# Parameters\n"):
        assert not any(run(shell, repaired, SETTINGS, LATER))


@pytest.mark.parametrize("clobbered", ["In = 3", "In = {}", "In = [1, 2]", "del In, Out"])
def test_a_notebook_whose_history_is_gone_begins(clobbered: str, shell: InteractiveShell) -> None:
    run(shell, PARAMETERS, clobbered, "tmp = 3\nresults = {}\nopen = None\nPAPERMILL_INPUT_PATH = 'x'")
    assert run(shell, SETTINGS, LATER) == [None, None]


@pytest.mark.parametrize(
    ("cells", "named"),
    [
        (["# Parameters\nwholly_other = 1"], "wholly_other"),
        (["# Parameters\nlamda = [1, 2]\nPAPERMILL_INPUT_PATH = 'x'"], "lamda"),
        (["# Parameters\nlamda = float('nan')"], "lamda"),
        (["seed: int = 1\nlamb: float = 2.0"], "lamb"),
        (["seed = 1\nlamb = 8/255"], "lamb"),
        (["seed = 1\nlamda = None", "# Parameters\nSeed = 2"], "Seed, lamda"),
    ],
)
def test_what_papermill_passes_and_what_is_misspelt_is_refused(
    cells: list[str], named: str, shell: InteractiveShell
) -> None:
    *_, error = run(shell, *cells, SETTINGS)
    assert isinstance(error, chapter.ParameterError)
    assert str(error).startswith(f"unknown parameter {named}; this notebook takes ")


@pytest.mark.parametrize(
    "call",
    ["chapter.begin(globals())", "chapter.begin_profile(globals())", "chapter.begin_records(globals(), eps=('1',))"],
)
def test_a_bad_value_is_one_line_without_a_traceback(
    call: str, shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    *_, error = run(shell, "eps = 'big'", f"from snslib.book import chapter\n{call}")
    assert isinstance(error, ValueError)
    shown = [line for line in capsys.readouterr().out.splitlines() if line]
    assert shown == [f"ParameterError: {error}"]
    assert shown[0].startswith("ParameterError: eps: expected ")


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [["--report-mode"], ["--inject-paths"], ["--inject-input-path", "--inject-output-path"], ["-b", "bGFtOiAy"]],
)
def test_papermill_may_be_given_any_of_its_options(options: list[str], tmp_path: Any) -> None:
    cells = [new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]}), new_code_cell(SETTINGS)]
    nbformat.write(new_notebook(cells=cells), tmp_path / "in.ipynb")
    command = [sys.executable, "-m", "papermill", "in.ipynb", "out.ipynb", "-k", "python3", "-p", "seed", "3", *options]
    end = subprocess.run([*command, "--language", "python"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert end.returncode == 0, end.stderr


@pytest.mark.slow
def test_papermill_ends_in_that_line(tmp_path: Any) -> None:
    cells = [new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]}), new_code_cell(SETTINGS)]
    nbformat.write(new_notebook(cells=cells), tmp_path / "in.ipynb")
    source, target, kernel = tmp_path / "in.ipynb", tmp_path / "out.ipynb", {"kernel_name": "python3"}
    with pytest.raises(papermill.PapermillExecutionError) as end:
        papermill.execute_notebook(source, target, {"lamda": 2}, progress_bar=False, language="python", **kernel)
    line = "ParameterError: unknown parameter lamda; this notebook takes lam, seed"
    assert [part for part in str(end.value).splitlines() if "Error" in part or "File" in part] == [line]
    (output,) = nbformat.read(target, as_version=4).cells[-1].outputs
    assert output.traceback == [line]


def test_the_settings_say_how_many_images_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Any] = []
    monkeypatch.setattr(chapter, "display", shown.append)
    networks = chapter.begin(IPYTHON | {"n_test": 100_000, "n_pairs": 100, "validation": 5000})
    lines = shown[0].data.splitlines()
    assert "| `n_test` | 400 of the 100,000 asked for are there |" in lines
    assert "| `n_pairs` | 100 |" in lines
    assert "| `validation` | 279 of the 5,000 asked for, at most a fifth of the training images |" in lines
    assert (len(networks.test), len(networks.data.validation)) == (400, 279)


def test_parameters_become_the_settings_of_the_networks() -> None:
    namespace = IPYTHON | {"lam": "2", "eps": "8/255", "seed": None, "defense": "sns_sen_cls"}
    settings = chapter.begin(namespace).settings
    assert (settings.lam, settings.eps, settings.seed) == (2.0, 8 / 255, 0)
    assert namespace["defense"] == "sns_sen_cls"


def test_without_its_parameters_a_chapter_has_the_defaults() -> None:
    namespace = dict(IPYTHON)
    assert chapter.begin(namespace).settings.profile == "digits"
    assert chapter.DEFAULTS.items() <= namespace.items()


def test_a_misspelt_parameter_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^unknown parameter lamda; this notebook takes lam, seed$"):
        chapter.begin(IPYTHON | {"lam": 2.0, "seed": None, "lamda": 3.0})


@pytest.mark.parametrize(("name", "value"), [("defense", "pat"), ("recorded", "cifar100/vgg16-w1")])
def test_a_bad_choice_is_named(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"^{name}: expected one of .*, got '{value}'$"):
        chapter.begin(IPYTHON | {name: value})


def test_pages_of_records_and_the_chapter_about_any_model_take_their_own() -> None:
    chapter.begin_records(IPYTHON | {"record": "all"}, record=("all", "cpu"))
    with pytest.raises(ValueError, match=r"^record: expected one of all, cpu, got .gpu.$"):
        chapter.begin_records(IPYTHON | {"record": "gpu"}, record=("all", "cpu"))
    assert chapter.begin_profile(IPYTHON | {"network": None, "eps": "8/255"}) == {"eps": 8 / 255}
    with pytest.raises(ValueError, match="unknown parameter model; this notebook takes eps"):
        chapter.begin_profile(IPYTHON | {"model": None, "eps": 0.1, "In": ["# Parameters\nmodel = None\neps = 0.1\n"]})
    with pytest.raises(ValueError, match=r"^network: torchvision has no classifier 'resnet51'; did you mean resnet50"):
        chapter.begin_profile(IPYTHON | {"network": "torchvision:resnet51", "data": "photos"})
    with pytest.raises(ValueError, match="network, data: one needs the other"):
        chapter.begin_profile(IPYTHON | {"network": "torchvision:resnet50", "data": None})
    with pytest.raises(ValueError, match="record: not set; run the cell of parameters first"):
        chapter.begin_records(dict(IPYTHON), record=("all", "cpu"))
