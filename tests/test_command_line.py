"""The commands train, test and measure; their options are the fields of Settings."""

import re
import subprocess
import sys
import typing
from pathlib import Path

import pytest
import torch

from snslib.__main__ import EXAMPLES, main
from snslib.attacks import ATTACKS
from snslib.study import measurements as measure
from snslib.study import settings
from snslib.study.defenses import DEFENSES
from snslib.study.networks import Networks

SMALL = "--width 1/16 --vanilla-epochs 1 --epochs 1 --steps 1 --n-pairs 40 --n-test 20 --batch-size 128 --device cpu"
COMMANDS = ("train", "evaluate", "sensitivity", "reproduce")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("out")


@pytest.fixture(scope="module")
def networks(folder: Path) -> Networks:
    """What the commands with the options SMALL work on."""
    words = SMALL.split()
    asked = dict(zip((w.removeprefix("--").replace("-", "_") for w in words[::2]), words[1::2], strict=True))
    return Networks(settings.from_parameters(asked), folder, lambda line: None)


def run(command: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[list[str], list[str]]:
    """Lines of stdout and stderr of a command that ends well."""
    assert main([*command.split(), *SMALL.split(), "--out", str(folder)]) == 0
    out, err = capsys.readouterr()
    return out.splitlines(), err.splitlines()


def test_train_prints_where_the_model_is(folder: Path, networks: Networks, capsys: pytest.CaptureFixture[str]) -> None:
    out, err = run("train --defense sns_sen_cls", folder, capsys)
    assert out == [str(networks.model_path("sns_sen_cls"))]
    assert Path(out[0]).is_file()
    assert any(line.startswith("epoch 1/1: loss ") for line in err)
    assert run("train --defense sns_sen_cls", folder, capsys) == (out, [])  # found again


def test_evaluate_prints_the_table_and_the_record(
    folder: Path, networks: Networks, capsys: pytest.CaptureFixture[str]
) -> None:
    *table, path = run("evaluate --defense vanilla", folder, capsys)[0]
    shares = measure.accuracy(networks, "vanilla").result
    assert [line.split() for line in table] == [[name, f"{100 * share:.2f}", "%"] for name, share in shares.items()]
    assert list(shares) == ["clean", *ATTACKS]
    assert Path(path).is_file()
    assert Path(path).name.startswith("accuracy-")


def test_sensitivity_prints_layers_and_neurons(
    folder: Path, networks: Networks, capsys: pytest.CaptureFixture[str]
) -> None:
    command = "sensitivity --defense vanilla --attack fgsm --split train --fraction 0.5"
    header, *lines, path = run(command, folder, capsys)[0]
    assert header.split() == ["layer", "mean", "sensitive", "neurons"]
    sigma = measure.sensitivity(networks, "vanilla", "fgsm", "train").result["sigma"]
    assert [line.split()[0] for line in lines] == list(sigma)
    for line, values in zip(lines, sigma.values(), strict=True):
        _, mean, *neurons = line.split()
        assert float(mean) == pytest.approx(sum(values) / len(values), rel=1e-3)
        order = torch.tensor(values).sort(descending=True, stable=True).indices.tolist()
        assert [int(neuron) for neuron in neurons] == order[: len(values) // 2]
    assert Path(path).is_file()


@pytest.mark.parametrize("command", COMMANDS)
def test_help_explains_every_setting_with_the_profiles_value(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "1000")
    with pytest.raises(SystemExit) as end:
        main([command, "--profile", "cifar10", "--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    shown = dict(settings.table(settings.PROFILES["cifar10"]))
    for field, hint in typing.get_type_hints(settings.Settings, include_extras=True).items():
        about = re.escape(typing.get_args(hint)[1])
        default = "" if getattr(settings.PROFILES["cifar10"], field) is None else rf" \({re.escape(shown[field])}\)"
        assert re.search(rf"--{field.replace('_', '-')} \w+ +{about}{default}\n", text), field
    assert command == "reproduce" or all(defense in text for defense in DEFENSES)


@pytest.mark.parametrize("command", EXAMPLES)
def test_help_ends_in_an_example_that_is_understood(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "1000")
    with pytest.raises(SystemExit):
        main([command, "--help"])
    example = re.search(r"^example: python -m snslib (.+)$", capsys.readouterr().out.rstrip().splitlines()[-1])
    assert example is not None
    name, *words = example[1].split()
    with pytest.raises(SystemExit) as end:
        main([name, *words, "--help"])
    assert (name, end.value.code) == (command, 0)
    options = words[not words[0].startswith("-") :]  # behind the folder of grade
    values = dict(zip(options[::2], options[1::2], strict=True))
    fields = {option.removeprefix("--").replace("-", "_"): value for option, value in values.items()}
    known = typing.get_type_hints(settings.Settings)
    settings.from_parameters({field: value for field, value in fields.items() if field in known})


def test_fewer_images_than_were_asked_for_are_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = SMALL.replace("--n-test 20", "--n-test 100000").replace("--n-pairs 40", "--n-pairs 5000").split()
    assert main(["train", "--defense", "vanilla", *small, "--out", str(folder)]) == 0
    assert capsys.readouterr().err.splitlines()[:2] == [
        "n_test: 400 of the 100,000 asked for are there",
        "n_pairs: 1,197 of the 5,000 asked for are there",
    ]


def test_profiles_are_all_named_by_the_help() -> None:
    about = typing.get_type_hints(settings.Settings, include_extras=True)["profile"].__metadata__[0]
    assert all(profile in about for profile in settings.PROFILES)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ("--lam five", "lam: expected a number such as 5.0 or 8/255, got 'five'"),
        ("--profile digit", "profile: expected one of digits, "),
        ("--eps -1", "eps: expected a finite number from 0 to 1 (radius of the attacks"),
        ("--eps 1e999999999", "eps: expected a number such as 5.0 or 8/255, got '1e999999999'"),
        ("--lam 1e99999999/3", "lam: expected a number such as 5.0 or 8/255, got '1e99999999/3'"),
        ("--validation -5", "validation: expected an integer from 0 to 10,000,000 (training images held out), got -5"),
        ("--precision float16", "precision: expected one of float32, tf32, bfloat16, got 'float16'"),
        ("--n-test 0", "n_test: expected an integer from 1 to 10,000,000 (test images"),
    ],
)
def test_a_bad_value_is_one_line_and_status_2(
    options: str, error: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", *options.split(), "--out", str(folder)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"python -m snslib: {error}")
    assert err.count("\n") == 1


@pytest.mark.parametrize("options", ["", "fit", "train --defense pta", "train --lamda 5", "train --vanilla-e 3"])
def test_what_is_no_option_is_status_2(options: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(options.split())
    assert end.value.code == 2
    assert "usage: python -m snslib" in capsys.readouterr().err


@pytest.mark.slow
def test_it_runs_alone_and_under_torchrun(folder: Path, tmp_path: Path) -> None:
    arguments = ["-m", "snslib", "evaluate", "--defense", "vanilla", *SMALL.split(), "--out"]
    alone = subprocess.run([sys.executable, *arguments, str(folder)], capture_output=True, text=True, check=True)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    two = subprocess.run([*torchrun, *arguments, str(tmp_path)], capture_output=True, text=True, check=True)
    for out in (alone, two):
        assert [line.split()[0] for line in out.stdout.splitlines()[:-1]] == ["clean", *ATTACKS]  # printed once
    models = [{path.name for path in (where / "models").glob("vanilla-*")} for where in (folder, tmp_path)]
    assert [len(names) for names in models] == [1, 1]
    assert not models[0] & models[1]  # of what another number of processes trained
    assert two.stderr.count("training vanilla") == 1
