"""What is said of PAT and SNS follows from the records, on both sides of each branch."""

from disturbed import Sigma, disturbed, sensitivity

from snslib.book import findings
from snslib.claims.numbers.disturbances import Disturbed

LAYERS = ["conv1", "conv2"]
HIGH: Sigma = {"conv1": [4.0, 2.0], "conv2": [4.0, 2.0], "fc": [1.0]}
LOW: Sigma = {"conv1": [1.0, 1.0], "conv2": [1.0, 1.0], "fc": [9.0]}
MIXED: Sigma = {"conv1": [1.0, 1.0], "conv2": [5.0, 2.0], "fc": [9.0]}


def words(text: str) -> str:
    """The text in one line."""
    return " ".join(text.split())


def live(found: Disturbed, sns: Sigma = LOW) -> str:
    return words(findings.less_sensitive(found, sensitivity(sns), LAYERS).data)


def test_accuracies_under_pgd_are_given() -> None:
    text = live(disturbed(HIGH, LOW))
    assert "PAT is right on 50.00% of the test images and vanilla training on 10.00%" in text
    assert "their clean accuracies differ by -10.00 points" in text


def test_layers_in_which_pat_is_not_lower_are_named() -> None:
    assert "less sensitive in 2 of 2 convolutional layers. The paper reports all of them. That is the same" in live(
        disturbed(HIGH, LOW)
    )
    assert (
        "less sensitive in 1 of 2 convolutional layers. The paper reports all of them. The exceptions here: conv2."
        in (live(disturbed(HIGH, MIXED)))
    )


def test_smaller_outputs_are_a_reason_or_not() -> None:
    assert "less sensitive in 2 of 2 layers, so smaller outputs are not the reason." in live(disturbed(HIGH, LOW))
    tiny = live(disturbed(HIGH, LOW, output=0.01))
    assert "less sensitive in 0 of 2 layers, so smaller outputs may well be the reason." in tiny


def test_the_part_of_the_fall_in_the_top_is_given_where_anything_falls() -> None:
    # the first of two ranks falls by 3, the other by 1; of two neurons the top 10% are one
    text = live(disturbed(HIGH, LOW))
    assert "**The top 10%** fall the most" in text
    assert "75% of the fall (mean over layers) is in the top 10% of the neurons" in text
    assert "if all fell by the same amount, it would be about 10%." in text
    assert "the summed sensitivity falls in no layer." in live(disturbed(LOW, HIGH))


def test_the_fraction_decides_which_neurons_are_sensitive() -> None:
    higher_top = {"conv1": [5.0, 0.0], "conv2": [5.0, 0.0]}
    found = disturbed(HIGH, higher_top)
    of_top = findings.less_sensitive(found, sensitivity(LOW), LAYERS).data
    of_all = findings.less_sensitive(found, sensitivity(LOW), LAYERS, fraction=1.0).data
    assert "less sensitive in 0 of 2 convolutional layers" in of_top
    assert "less sensitive in 2 of 2 convolutional layers" in of_all
    assert "**The top 100%**" in of_all


def test_fog_is_left_out_where_it_is_not_recorded() -> None:
    assert "In fog" not in live(disturbed(HIGH, LOW))
    text = live(disturbed(HIGH, LOW, in_fog=(LOW, MIXED)))
    assert "PAT's sensitive neurons are more sensitive in 1 of 2 layers" in text
    assert "goes from 90.00% to 45.00% (Vanilla) and from 80.00% to 20.00% (PAT)" in text


def test_sns_is_set_against_pat_in_the_stabilised_layers() -> None:
    assert "**SNS** goes below PAT in 1 of its 2 layers" in live(disturbed(HIGH, HIGH), sns=MIXED)
    text = findings.less_sensitive(disturbed(HIGH, HIGH), sensitivity(MIXED), ["conv1"]).data
    assert "**SNS** goes below PAT in 1 of its 1 layers" in text


def test_points_that_are_all_alike_have_no_correlation() -> None:
    # vanilla 3 and 8/9, PAT 1 and 3/8: the more sensitive network loses more, under both attacks
    assert "have a rank correlation of 1.00 (95% interval 1.00 to 1.00)" in live(disturbed(HIGH, LOW))
    assert "have no rank correlation: all points are equally sensitive" in live(disturbed(HIGH, HIGH))


def test_recorded_networks_are_compared_in_all_layers() -> None:
    found = disturbed(HIGH, LOW, in_fog=(LOW, MIXED))
    text = words(findings.less_sensitive_with_sns(found, sensitivity({"conv1": [0.5, 0.5], "conv2": [3.0, 3.0]})).data)
    assert "PAT is less sensitive than vanilla in 2 of 2 layers, SNS less than PAT in 1 of 2 layers." in text
    assert "vanilla 3.00, PAT 1.00, SNS 1.75." in text
    assert "75% of the fall" in text
    assert "in 1 of 2 layers; the paper reports most." in text
    assert "everything that disturbs them. The networks differ" in text


def test_layers_are_counted_under_each_disturbance() -> None:
    text = words(findings.less_sensitive_under_each(disturbed(HIGH, LOW, in_fog=(HIGH, MIXED))).data)
    assert "Vanilla 10.00% (clean 90.00%) and PAT 50.00% (clean 80.00%)." in text
    assert "in 2 of 2 layers under PGD, 2 of 2 layers under FGSM, 1 of 2 layers under fog 5." in text
