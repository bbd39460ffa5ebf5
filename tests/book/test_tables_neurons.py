"""Tables of sensitive neurons, from records that are made up."""

from markdown import table_rows

from snslib.attacks import ATTACKS
from snslib.book import tables
from snslib.claims import paper
from snslib.study.records import Record


def targeted(sensitive: dict[str, list[list[int]]], channels: int = 20) -> Record:
    """Of two targets, 3 and 7, which half and a quarter of the images reached."""
    result = {
        "sensitive": sensitive,
        "channels": dict.fromkeys(sensitive, channels),
        "targets": [3, 7],
        "reached": [0.5, 0.25],
    }
    return Record("targeted-neurons", result, {})


def listed(record: Record, classes: list[str]) -> list[list[str]]:
    return table_rows(tables.targeted_neurons(record, classes, "tbl-targeted-neurons"))


def test_six_neurons_are_shown_and_the_target_in_bold_in_fc_alone() -> None:
    ranked = [[3, 1, 2, 4, 5, 6, 7], [0, 1, 2, 3, 4, 5]]
    assert listed(targeted({"conv1": ranked, "fc": [[3, 7], [3, 7]]}), ["cat", "7"]) == [
        ["target", "conv1", "fc", "reached"],
        ["3 (cat)", "3, 1, 2, 4, 5, 6, …", "**3**, 7", "50.00%"],
        ["7", "0, 1, 2, 3, 4, 5", "3, **7**", "25.00%"],
    ]


def test_a_network_shows_the_papers_layers_where_it_has_them_else_all_or_every_third() -> None:
    def header(layers: list[str]) -> list[str]:
        return listed(targeted({layer: [[0], [1]] for layer in layers}), ["a", "b"])[0][1:-1]

    vgg16 = [*(f"conv{number}" for number in range(1, 14)), "fc"]
    assert header(vgg16) == ["conv1", "conv4", "conv7", "conv11", "conv13", "fc"]
    assert header([*vgg16[:5], "fc"]) == [*vgg16[:5], "fc"]
    assert header([*vgg16[:6], "fc"]) == ["conv1", "conv4", "fc"]


def whole(record: Record, classes: list[str], name: str) -> list[list[str]]:
    return table_rows(tables.whole_lists(record, classes, name))


def test_a_whole_list_has_every_neuron_and_in_bold_those_of_all_targets() -> None:
    conv13 = [[3, 1, 2, 4, 5, 6, 7, 8], [0, 8, 3, 9, 10, 11, 12, 13]]
    record = targeted({"conv13": conv13, "conv2": [[1], [2]], "fc": [[3, 7], [3, 7]]})
    assert whole(record, ["cat", "7"], "tbl-lists-upper") == [
        ["target", "conv13", "fc"],
        ["3 (cat)", "**3**, 1, 2, 4, 5, 6, 7, **8**", "**3**, 7"],
        ["7", "0, **8**, **3**, 9, 10, 11, 12, 13", "3, **7**"],
    ]


def test_of_many_logits_ten_are_listed_and_of_an_alexnet_all_layers() -> None:
    record = targeted({"conv1": [[5], [6]], "fc": [list(range(12)), list(range(10))]})
    header, [*_, cut], [*_, ten] = whole(record, ["3", "7"], "tbl-recorded-alexnet")
    assert header == ["target", "conv1", "fc"]
    assert cut == "0, 1, 2, **3**, 4, 5, 6, 7, 8, 9, …"
    assert ten == "0, 1, 2, 3, 4, 5, 6, **7**, 8, 9"


def test_what_lists_have_in_common_is_counted_layer_by_layer_without_fc() -> None:
    ours = paper.targeted_neurons() | {"conv1": [[0, 1], [1, 2], [1, 3]], "conv2": [[0], [0], [0]]}
    header, *rows = table_rows(tables.lists_in_common({"cifar10/vgg16-w0.25": targeted(ours)}))
    assert header == ["layer", "paper: in a list", "in any", "in all", "width 1/4: in a list", "in any", "in all"]
    assert rows[0] == ["conv1", "6", "6", "6", "2", "4", "1"]
    assert [row[0] for row in rows] == ["conv1", "conv4", "conv7", "conv11", "conv13"]
    conv4, conv11 = rows[1], rows[3]
    assert conv4[1:] == ["12", "16", "9"] * 2
    assert conv11[1:] == ["50–51", "59", "49"] * 2


def test_a_layer_stands_beside_the_papers_where_that_lists_it() -> None:
    record = targeted({"conv1": [[0, 1], [1, 2]], "conv2": [[0, 1], [0, 1]], "fc": [[3, 7], [7, 3]]}, channels=4)
    table = tables.shared_neurons(record)
    assert "<!-- tbl-shared -->\n" in table.data
    assert table_rows(table)[1:] == [
        ["conv1", "2\u00a0of\u00a04", "0.33", "0.33", "0.39", "6\u00a0of\u00a064", "1.00", "1.00"],
        ["conv2", "2\u00a0of\u00a04", "1.00", "1.00", "0.39", "", "", ""],
        ["fc", "1\u00a0of\u00a04", "0.00", "0.00", "0.25", "1\u00a0of\u00a010", "0.00", "0.00"],
    ]


def test_the_papers_own_lists_give_its_own_columns() -> None:
    record = Record("targeted-neurons", {"sensitive": paper.targeted_neurons(), "channels": paper.CHANNELS}, {})
    for _, neurons, average, total, _, *printed in table_rows(tables.shared_neurons(record))[1:]:
        assert [neurons, average, total] == printed


def test_accuracy_by_beta_has_one_clean_line_and_the_best_of_all_factors() -> None:
    betas = [1.0, 0.85, 0.75, 0.7, 0.5]
    flat = dict.fromkeys(ATTACKS, [0.1] * 5) | {"clean": [0.9, 0.8, 0.7, 0.6, 0.5]}
    white_box, transferred = flat | {"pgd": [0.1, 0.2, 0.4, 0.3, 0.4]}, flat | {"pgd": [0.1, 0.2, 0.3, 0.4, 0.5]}
    result = {"betas": betas, "white_box": white_box, "transferred": transferred}
    lines = table_rows(tables.accuracy_by_beta(Record("suppression", result, {"n": 100})))
    assert lines[0] == ["attack", "made", "β 1", "β 0.85", "β 0.7", "β 0.5", "best", "at β"]
    assert lines[1] == ["clean", "", "90.00%", "80.00%", "60.00%", "50.00%", "90.00%", "1"]
    assert len(lines) == 1 + 1 + 2 * len(ATTACKS)
    assert [line[1:] for line in lines if line[0] == "PGD"] == [
        ["white box", "10.00%", "20.00%", "30.00%", "40.00%", "40.00%", "0.75"],
        ["transferred", "10.00%", "20.00%", "40.00%", "50.00%", "50.00%", "0.5"],
    ]
