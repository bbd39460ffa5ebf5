"""Tables of the published rows show what is recorded, mark the lowest number, and say what was not run."""

from pathlib import Path
from typing import Any

import pytest
import torch
from markdown import cells
from recorded import publish
from scipy.stats import binomtest

from snslib.book import tables
from snslib.claims import paper
from snslib.claims.numbers import accuracies, robustness, stabilised
from snslib.claims.statistics import Accuracy
from snslib.files import save_tensors
from snslib.study import rows

FOLDER = "data/net-w0.25"
RESULT = {"clean": 0.9, "step_ll": 0.5, "mi_fgsm": 0.4, "pgd": 0.125, "fgsm": 0.3}


def scrutinised(row: str, pgd: float, strong: float, auto: float, failing: str = "") -> None:
    publish(row, "pgd-accuracy", {"clean": 0.9, "pgd": pgd}, n=1000, attack={"steps": 10})
    publish(row, "strong-accuracy", strong, n=1000, steps=100, restarts=5)
    publish(row, "autoattack", {"accuracy": auto, "warnings": []}, n=1000)
    publish(row, "sanity-checks", {name: {"passed": name != failing} for name in robustness.CHECKS}, n=1000)


def test_the_lowest_number_of_a_row_is_bold_and_failed_checks_are_named(results: Path) -> None:
    scrutinised("pat", 0.33, 0.31, 0.28)
    scrutinised("sns", 0.02, 0.0, 0.0, failing="one_step")
    publish("sns", "targeted-pgd", 0.01, n=1000, steps=100)
    publish("nat", "pgd-accuracy", {"clean": 0.8, "pgd": 0.1}, n=1000, attack={"steps": 10})
    labels = {"pat": "PAT", "sns": "SNS", "nat": "NAT", "alp": "ALP"}
    table = tables.stronger_attacks(labels, [FOLDER], "Caption.", "tbl-3").data
    header, _, *lines = [cells(line) for line in table.splitlines() if line.startswith("|")]
    assert header == ["model", "clean", "PGD-10", "PGD-100 × 5", "targeted", "AutoAttack", "fails"]
    assert lines[0] == ["PAT", "90.00", "33.00", "31.00", "–", "**28.00**", "none"]
    assert lines[1] == ["SNS", "90.00", "2.00", "**0.00**", "1.00", "**0.00**", "one step"]
    assert lines[2] == ["NAT", "80.00", "**10.00**", *["–"] * 4]
    assert lines[3] == ["ALP", *["–"] * 6]
    assert robustness.lowest_accuracy(FOLDER, labels) == {
        "pat": (0.33, 0.28, "AutoAttack", 1000),
        "sns": (0.02, 0.0, "PGD-100 × 5", 1000),
    }


def test_widths_are_parts_of_a_table_and_what_is_of_more_images_is_in_italics(results: Path) -> None:
    wide, narrow = "data/net-w1", "data/net-w0.25"
    publish("pat", "accuracy", RESULT, wide, n=10_000, attack={"steps": 10})
    publish("pat", "autoattack", {"accuracy": 0.125, "warnings": []}, wide, n=1000)
    publish("alp", "pgd-accuracy", {"clean": 0.8, "pgd": 0.1}, narrow, n=1000, attack={"steps": 10})
    table = tables.stronger_attacks({"pat": "PAT", "alp": "ALP"}, [wide, narrow], "Caption.", "tbl-3").data
    lines = [cells(line) for line in table.splitlines() if line.startswith("|")]
    assert lines[0] == ["model", "clean", "PGD-10", "AutoAttack", "fails"]
    assert lines[2:] == [
        ["*width 1*", "", "", "", ""],
        ["PAT", "*90.00*", "**12.50**", "**12.50**", "–"],
        ["*width 1/4*", "", "", "", ""],
        ["PAT", "–", "–", "–", "–"],
        ["ALP", "80.00", "**10.00**", "–", "–"],
    ]


def test_the_cost_is_in_epochs_and_minutes(results: Path) -> None:
    epochs = [{"pgd": share, "seconds": 90.0} for share in (0.05, 0.1, 0.08)]
    save_tensors(results / FOLDER / "pat.safetensors", {"x": torch.zeros(1)}, {"history": epochs})
    lines = [cells(line) for line in tables.cost(FOLDER).data.splitlines() if line.startswith("|")]
    assert lines[0] == ["model", "epochs", "minutes", "best", "10% after", "20% after", "30% after"]
    assert ["PAT", "3", "4", "10.00%", "2 (3 min)", "never", "never"] in lines
    assert ["ALP", "not run", *[""] * 5] in lines


OF_OTHER_FILES = {
    "half": lambda path: path.write_bytes(path.read_bytes()[:-60]),
    "empty": lambda path: path.write_bytes(b""),
    "another byte": lambda path: path.write_bytes(path.read_bytes().replace(b"seconds", b"sekunde")),
    "of another row": lambda path: save_tensors(
        path, {"x": torch.zeros(1)}, {"history": EPOCHS, "name": f"{FOLDER}/nat"}
    ),
    "without a history": lambda path: save_tensors(path, {"x": torch.zeros(1)}, {"recipe": {}}),
    "of no epochs": lambda path: save_tensors(path, {"x": torch.zeros(1)}, {"history": []}),
    "of other epochs": lambda path: save_tensors(path, {"x": torch.zeros(1)}, {"history": [1, 2]}),
}
EPOCHS = [{"pgd": 0.1, "seconds": 90.0}]


@pytest.mark.parametrize("damage", OF_OTHER_FILES)
def test_a_damaged_model_hides_no_other_row_of_the_cost_and_is_named(damage: str, results: Path) -> None:
    for row in ("pat", "alp"):
        save_tensors(results / FOLDER / f"{row}.safetensors", {"x": torch.zeros(1)}, {"history": EPOCHS})
    OF_OTHER_FILES[damage](results / FOLDER / "pat.safetensors")
    lines = [cells(line) for line in tables.cost(FOLDER).data.splitlines() if line.startswith("|")]
    assert ["PAT", "the model `pat` is damaged", *[""] * 5] in lines
    assert ["ALP", "1", "2", "10.00%", "1 (2 min)", "never", "never"] in lines


def test_every_row_of_fig_3b_is_in_its_figure_and_those_not_run_are_left_out(results: Path) -> None:
    assert {row for values in accuracies.FIG_3B.values() for row in values.values()} == set(rows.FIG_3B)
    assert accuracies.over_settings(FOLDER) == {}
    publish("fig3b_conv8", "accuracy", RESULT, n=8)
    publish("fig3b_lam25", "accuracy", RESULT | {"pgd": 0.0}, n=8)
    panels = accuracies.over_settings(FOLDER)
    assert {what: list(values) for what, values in panels.items()} == {
        "first layer": ["conv8"],
        "λ, from conv8": ["5", "25"],
        "neurons, from conv8": ["10%"],
    }
    assert panels["λ, from conv8"]["25"]["pgd"] == Accuracy((0.0,), 8)


SELECTED = {"sigma": {"conv8": [0.0, 3.0, 1.0, 4.0], "conv9": [2.0, 1.0]}}  # of conv8 neurons 3 and 1, of conv9 0
BEFORE = {
    "sigma": {"conv8": [9.0] * 4, "conv9": [9.0] * 2},
    "activation": {"conv8": [1.0, 5.0, 1.0, 5.0], "conv9": [2.0, 1.0]},
}
AFTER = {
    "sigma": {"conv8": [9.0, 0.0, 9.0, 1.0], "conv9": [0.25, 9.0]},
    "activation": {"conv8": [9.0, 0.0, 9.0, 4.0], "conv9": [0.5, 9.0]},
}


def put_stabilised(row: str, fixed: float, sensitivity: dict[str, Any], **chosen: str) -> None:
    trained = {"sns": {"fraction": 0.5, "layers": ["conv8", "conv9"], **chosen}}
    publish(row, "accuracy", RESULT)
    publish(row, "accuracy-on-fixed", fixed)
    publish(row, "strong-accuracy", 0.0625, steps=100, restarts=5)
    publish(row, "sensitivity", sensitivity, split="test", under="pgd", trained=trained)


def test_the_state_of_the_stabilised_neurons(results: Path) -> None:
    """Those looked at are the vanilla model's most sensitive, under PGD and no other disturbance."""
    labels = {"sns": "SNS", "alp": "ALP"}
    publish("vanilla", "sensitivity", SELECTED, split="train", under="pgd")
    put_stabilised("sns", 0.75, AFTER)
    publish("sns", "sensitivity", BEFORE, split="test", under="fog-5")
    assert stabilised.neuron_states(FOLDER, labels) == {}  # the vanilla network's own output is not recorded yet
    publish("vanilla", "sensitivity", BEFORE, split="test", under="pgd", trained={})
    over_images = {"conv8": [9.0, 1.0, 9.0, 2.0], "conv9": [0.25, 9.0]}
    over_all = {"conv8": [9.0, 2.0, 9.0, 4.0], "conv9": [2.5, 9.0]}
    publish("sns", "variance", {"over_images": over_images, "over_all": over_all})
    table = tables.stabilised_neurons(labels, [FOLDER], "Caption.", "tbl-2").data
    _, _, sns, alp = [cells(line) for line in table.splitlines() if line.startswith("|")]
    dead, output, sigma, relative = 1 / 3, (4 / 10 + 0.5 / 2) / 2, (0.5 + 0.25) / 2, (1 / 4 + 0.25 / 0.5) / 2
    assert sns[:5] == ["SNS", "90.00", "75.00", "12.50", "6.25"]
    over_images_share = (3 / 6 + 0.25 / 2.5) / 2
    assert sns[5:7] == [f"{100 * dead:.2f}", f"{100 * output:.3g}"]
    assert sns[7:] == [f"{100 * over_images_share:.3g}", f"{sigma:.2g}", f"{relative:.2g}"]
    assert alp[:2] == ["ALP", "not run"]


def test_each_seed_has_sensitive_neurons_of_its_own_and_the_table_shows_the_mean(results: Path) -> None:
    """Seed 1's vanilla model has neurons 0 and 2 of conv8 and 1 of conv9 for sensitive ones; all output 9."""
    other = {"sigma": {"conv8": [4.0, 0.0, 3.0, 1.0], "conv9": [1.0, 2.0]}}
    for seed, selected in (("", SELECTED), ("-seed1", other)):
        publish(f"vanilla{seed}", "sensitivity", selected, split="train", under="pgd")
        publish(f"vanilla{seed}", "sensitivity", BEFORE, split="test", under="pgd", trained={})
    put_stabilised("sns", 0.75, AFTER)
    put_stabilised("sns-seed1", 0.25, AFTER)
    put_stabilised("sns-seed2", 0.0, AFTER)  # which lacks its vanilla model
    state = stabilised.neuron_states(FOLDER, ["sns"])["sns"]
    assert (state["seeds"], state["fixed"]) == (2, 0.5)
    assert state["dead"] == pytest.approx((1 / 3 + 0) / 2)
    assert state["output"] == pytest.approx(((4 / 10 + 0.5 / 2) / 2 + (18 / 2 + 9 / 1) / 2) / 2)
    line = tables.stabilised_neurons({"sns": "SNS"}, [FOLDER], "Caption.", "tbl-2").data
    assert "| SNS, 2 seeds | 90.00 | 50.00 |" in line


def test_a_row_that_stabilises_other_neurons_is_looked_at_for_those(results: Path) -> None:
    """The least sensitive of AFTER are 0 and 2 of conv8 and 1 of conv9, which output 9 each."""
    publish("vanilla", "sensitivity", SELECTED, split="train", under="pgd")
    publish("vanilla", "sensitivity", BEFORE, split="test", under="pgd", trained={})
    put_stabilised("sns", 0.75, AFTER, neurons="least")
    state = stabilised.neuron_states(FOLDER, ["sns"])["sns"]
    assert (state["dead"], state["output"]) == (0.0, (18 / 2 + 9 / 1) / 2)


def test_where_all_chosen_neurons_are_dead_no_ratio_to_their_output_is_made_up(results: Path) -> None:
    silent = {"sigma": {"conv8": [0.0] * 4, "conv9": [0.0] * 2}, "activation": {"conv8": [0.0] * 4, "conv9": [0.0] * 2}}
    publish("vanilla", "sensitivity", SELECTED, split="train", under="pgd")
    publish("vanilla", "sensitivity", BEFORE, split="test", under="pgd", trained={})
    put_stabilised("sns", 0.75, silent)
    publish("sns", "variance", {"over_images": silent["sigma"], "over_all": silent["sigma"]})
    line = tables.stabilised_neurons({"sns": "SNS"}, [FOLDER], "Caption.", "tbl-2").data.splitlines()[-1]
    assert cells(line)[5:] == ["100.00", "0", "–", "0", "–"]
    publish("vanilla-seed1", "sensitivity", SELECTED, split="train", under="pgd")
    publish("vanilla-seed1", "sensitivity", BEFORE, split="test", under="pgd", trained={})  # where they are alive
    put_stabilised("sns-seed1", 0.75, BEFORE)
    assert stabilised.neuron_states(FOLDER, ["sns"])["sns"]["relative"] == pytest.approx((18 / 10 + 9 / 2) / 2)


def test_accuracy_by_statistics_has_a_line_for_each_and_the_spread_of_seeds(results: Path) -> None:
    def result(clean: float) -> dict[str, dict[str, float]]:
        return {which: {"clean": clean, "fixed": 0.5, "pgd": 0.0} for which in accuracies.STATISTICS}

    publish(
        "sns_sen_adv",
        "accuracy-by-statistics",
        result(0.25) | {"clean": {"clean": 0.9, "fixed": 0.1, "pgd": 0.0}},
        n=1000,
    )
    publish("sns_sen_adv-seed1", "accuracy-by-statistics", result(0.75), n=1000)
    table = tables.by_statistics(FOLDER).data
    _, _, kept, clean, fixed, control, *_ = [cells(line) for line in table.splitlines() if line.startswith("|")]
    label = rows.ROWS["sns_sen_adv"].label
    assert kept == [f"{label}, 2 seeds", "both, as trained", "50.00 ± 35.36", "50.00 ± 0.00", "0.00 ± 0.00"]
    assert clean[:3] == ["", "clean images", "82.50 ± 10.61"]
    assert fixed[1] == "fixed x'"
    assert control == [rows.ROWS["control_adv"].label, "not run", "", "", ""]


def test_what_a_row_adds_to_its_control_has_the_interval_of_a_difference(results: Path) -> None:
    """One seed each: SciPy's Wilson intervals of the two, put together by Newcombe's formula."""
    for row, clean, fixed in (("sns", 0.9, 0.75), ("control", 0.8, 0.75), ("lonely", 0.5, 0.5)):
        publish(row, "accuracy", RESULT | {"clean": clean}, n=1000)
        publish(row, "strong-accuracy", 0.0, n=1000, steps=100, restarts=5)
        if row != "lonely":
            publish(row, "accuracy-on-fixed", fixed, n=1000)
    pairs = {"SNS": ("sns", "control"), "another": ("sns", "lonely")}
    table = tables.gain_over_control(pairs, [FOLDER], "Caption.", "tbl-6").data
    header, _, sns, another = [cells(line) for line in table.splitlines() if line.startswith("|")]
    assert header == ["", "clean", "fixed x'", "PGD", "PGD-100 × 5", "AutoAttack"]
    assert sns[0] == "SNS"
    wilson = {share: binomtest(round(1000 * share), 1000).proportion_ci(method="wilson") for share in (0.9, 0.8, 0.0)}
    low = 0.1 - ((0.9 - wilson[0.9][0]) ** 2 + (wilson[0.8][1] - 0.8) ** 2) ** 0.5
    high = 0.1 + ((wilson[0.9][1] - 0.9) ** 2 + (0.8 - wilson[0.8][0]) ** 2) ** 0.5
    assert sns[1] == f"+10.0 ({100 * low:+.1f} to {100 * high:+.1f})"
    assert sns[2].startswith("+0.0 (-")
    assert sns[4] == f"+0.0 ({-100 * wilson[0.0][1]:+.1f} to {100 * wilson[0.0][1]:+.1f})"
    assert sns[5] == "–"
    assert [cell == "–" for cell in another] == [False, False, True, False, False, True]


def test_the_figure_beside_the_paper_shows_the_mean_of_the_seeds(results: Path) -> None:
    publish("pat", "accuracy", RESULT | {"pgd": 0.25}, n=1000)
    publish("pat-seed1", "accuracy", RESULT | {"pgd": 0.75}, n=1000)
    publish("online", "strong-accuracy", 0.125, n=1000, steps=100, restarts=5)
    publish("pat", "accuracy", RESULT | {"pgd": 0.625}, "data/net-w1", n=1000)
    shares = accuracies.under_pgd(
        ["data/net-w1", FOLDER], {"pat": "PAT", "online": "Online", "alp": "ALP", "other": "Other"}
    )
    assert shares == {
        "PAT": {"the paper, PGD": paper.table1()["pat"]["pgd"] / 100, "width 1, PGD": 0.625, "width 1/4, PGD": 0.5},
        "Online": {"width 1/4, PGD-100 × 5": 0.125},
        "ALP": {"the paper, PGD": paper.table1()["alp"]["pgd"] / 100},
    }
