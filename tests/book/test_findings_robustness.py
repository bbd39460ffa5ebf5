"""Sentences about attacks, checks, transfer and the loss say what the records have, on both sides of each rule."""

from pathlib import Path

import pytest
from recorded import FOLDER, HALF, put, put_accuracy

from snslib.book import findings
from snslib.claims import paper
from snslib.claims.numbers.robustness import CHECKS
from snslib.study.records import Record
from snslib.training import pretrained

NARROW = "cifar10/vgg16-w0.25"


def attacked(pgd: float, auto: float, warnings: tuple[str, ...] = ()) -> list[Record]:
    config = {"n": 100, "attack": {"steps": 10, "eps": 8 / 255}, "trained": {"width": 0.25}}
    return [
        Record("pgd-accuracy", {"clean": 0.9, "pgd": pgd}, config, data={"name": "digits"}),
        Record("autoattack", {"accuracy": auto, "warnings": list(warnings)}, config),
    ]


def checks(*failed: str) -> Record:
    return Record("sanity-checks", {name: {"passed": name not in failed} for name in CHECKS}, {})


def test_the_attack_that_leaves_the_least_is_named_only_where_it_leaves_less() -> None:
    networks = {"vanilla": attacked(0.0, 0.0, ("zero gradient",)), "pat": attacked(0.5, 0.2)}
    vanilla, pat, warned = findings.lowest_under_attack(networks).data.splitlines()
    assert vanilla.startswith("- Vanilla: 0.00% under the paper's PGD, and no other attack leaves less (95% interval 0")
    assert pat == (  # Wilson's interval of 20 in 100
        "- PAT: 50.00% under the paper's PGD, 20.00% under AutoAttack, the attack that leaves the least "
        "(95% interval 13.34% to 28.88%)."
    )
    assert warned == "- AutoAttack warns about Vanilla: zero gradient"


@pytest.mark.parametrize(
    ("failed", "expected"),
    [
        ((), "No network fails a check. All four checks are passed by Vanilla, PAT: where"),
        (("growing", "noise"), "Failed: PAT fails growing radius, noise. All four checks are passed by Vanilla: where"),
    ],
)
def test_failed_checks_and_the_networks_without_are_named(failed: tuple[str, ...], expected: str) -> None:
    text = findings.masked_gradients({"vanilla": checks(), "pat": checks(*failed)}).data
    assert text.startswith(expected)


def test_where_every_network_fails_none_is_said_to_pass() -> None:
    assert findings.masked_gradients({"pat": checks("noise")}).data == "Failed: PAT fails noise."


def test_what_was_found_orders_networks_by_their_lowest_accuracy() -> None:
    networks = {"vanilla": attacked(0.1, 0.0), "nat": attacked(0.4, 0.15), "pat": attacked(0.5, 0.4)}
    text = findings.after_all_attacks(networks, {"pat": checks("transfer")}).data
    assert "On 100 test images of digits, one seed, eps 8/255:" in text
    assert "- **Robust after all attacks**: PAT (40.00%), NAT (15.00%). A network\n" in text
    assert "the 95% interval of its lowest accuracy lies above 5%." in text
    assert "- **Not robust**: Vanilla (0.00%)." in text
    assert "overrates most** is NAT, by 25 points." in text
    assert "- **Masked gradients**: PAT fails transfer." in text
    assert "a network of width 0.25." in text
    text = findings.after_all_attacks({"vanilla": attacked(0.0, 0.0)}, {"vanilla": checks()}).data
    assert "- **Robust after all attacks**: none." in text
    assert "- **Masked gradients**: no check fails." in text


def test_published_rows_are_sorted_by_the_same_rule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained, "RESULTS", tmp_path)
    text = findings.robust_rows([FOLDER]).data
    assert text.count(": none.") == 4
    assert text.startswith("In brackets the accuracy under the paper's PGD, and what the attack leaves that leaves the")
    assert "test images" not in text
    measured = (("vanilla", 0.0, 0.0, "one_step"), ("pat", 0.5, 0.2, ""), ("nat", 0.2, 0.06, ""), ("eat", 0.0, 0.0, ""))
    for row, pgd, auto, failed in measured:
        put(row, "pgd-accuracy", {"clean": 0.9, "pgd": pgd}, n=100, attack={"steps": 10})
        put(row, "autoattack", {"accuracy": auto, "warnings": []}, n=100)
        put(row, "sanity-checks", checks(failed).result, n=100)
    put("alp", "pgd-accuracy", {"clean": 0.9, "pgd": 0.5}, n=100, attack={"steps": 10})  # without AutoAttack: left out
    about, _, robust, others, fallen, failing = findings.robust_rows([FOLDER]).data.splitlines()
    assert about.endswith("leaves the least; on the first 100 test images, unless it says otherwise.")
    assert robust.endswith("above 5%): PAT (50.00%, 20.00% under AutoAttack).")
    assert others == "- **Not robust**: NAT (20.00%, 6.00% under AutoAttack)."
    assert fallen == "- **No image is right** under the paper's own PGD: Vanilla; EAT."
    assert failing == "- **Checks failed**, by the 4 rows that went through them: Vanilla: one step."


@pytest.mark.usefixtures("results")
def test_rows_of_two_widths_are_listed_by_network_with_what_is_of_other_images() -> None:
    on_all = {"clean": 0.8, "step_ll": 0.7, "mi_fgsm": 0.6, "pgd": 0.5, "fgsm": 0.5}
    put("pat", "accuracy", on_all, n=10_000, attack={"steps": 10})
    put("pat", "autoattack", {"accuracy": 0.25, "warnings": []}, n=100)
    lines = findings.robust_rows([FOLDER, NARROW]).data.splitlines()
    assert [line for line in lines if line.startswith("**")] == ["**VGG-16 at width 1**", "**VGG-16 at width 1/4**"]
    robust = [line for line in lines if line.startswith("- **Robust")]
    assert robust[0].endswith(": PAT (50.00% of 10,000 images, 25.00% under AutoAttack).")
    assert robust[1].endswith(": none.")
    assert any(line == "- **Checks failed**, by the 0 rows that went through them: none." for line in lines)


@pytest.mark.usefixtures("results")
@pytest.mark.parametrize(
    ("narrow", "counted", "concludes"),
    [
        (60.0, "ahead under 4, behind under 0 of 4", True),
        (50.0, "ahead under 0, behind under 0 of 4", True),
        (40.0, "ahead under 0, behind under 4 of 4", False),
    ],
)
def test_alp_is_counted_against_pat_attack_by_attack(narrow: float, counted: str, concludes: bool) -> None:
    assert findings.pat_and_alp([FOLDER]).data == "*Not run yet.*"
    for folder, alp in ((FOLDER, 60.0), (NARROW, narrow)):
        put_accuracy("pat", HALF, folder)
        put_accuracy("alp", dict.fromkeys(HALF, alp) | {"clean": 20.0}, folder)
    text = findings.pat_and_alp([FOLDER, NARROW]).data
    assert f"VGG-16 at width 1: ahead under 4, behind under 0 of 4; VGG-16 at width 1/4: {counted}." in text
    assert ("nowhere clearly the weaker" in text) == concludes
    printed = paper.table1()
    below = sum(printed["alp"][attack] < printed["pat"][attack] for attack in ("step_ll", "mi_fgsm", "pgd", "fgsm"))
    assert text.startswith(f"The paper prints a lower accuracy for ALP than for PAT under {below} of its 4 attacks")


@pytest.mark.usefixtures("results")
def test_without_a_clear_lead_of_alp_nothing_is_concluded() -> None:
    for row in ("pat", "alp"):
        put_accuracy(row, HALF)
    assert findings.pat_and_alp([FOLDER]).data.endswith("VGG-16 at width 1: ahead under 0, behind under 0 of 4.")


def test_a_transferred_test_adds_the_difference_of_the_two_accuracies() -> None:
    made_on = {"vanilla": {"vanilla": 0.0, "pat": 0.75}, "pat": {"vanilla": 0.5, "pat": 0.25}}
    matrix = Record("transfer-matrix", made_on, {})
    assert findings.added_by_transfer(matrix, ["pat"]).data == (
        "- PAT gets 75.00% of the vanilla network's examples right and 25.00% of its own: +50 points that a "
        "transferred test would add."
    )
    assert findings.added_by_transfer(None, ["pat"]).data.startswith("*Not run yet")


def test_the_loss_along_the_gradient_is_the_middle_column_and_a_peak_before_the_end_is_named() -> None:
    rising = [[0.0, 1.0, 0.0], [3.0, 2.0, 4.0], [0.0, 9.0, 0.0]]
    peaked = [[0.0, 1.0, 0.0], [3.0, 12.0, 4.0], [0.0, 9.0, 0.0]]
    offsets = [-8 / 255, 0.5 / 255, 8 / 255]
    surfaces = {
        name: Record("loss-surface", {"offsets": offsets, "loss": loss}, {})
        for name, loss in (("vanilla", rising), ("pat", peaked))
    }
    vanilla, pat = findings.along_gradient(surfaces).data.splitlines()
    assert vanilla == (
        "- Vanilla: from 2 at the images to 9 at the end of the gradient's signs, and to 4 at the worse end of the "
        "random signs."
    )
    assert pat.endswith(" On the way it peaks at 12, 0.5/255 off.")
    assert findings.along_gradient({}).data == "*Not run yet.*"
