"""Numbers of the chapters' tables, and addresses in the published book: what a function's text refers to."""

SITE = "https://snslib.github.io/neuron-sensitivity/"  # of the published book: ogp_site_url of _config.yml

# Labels of each notebook's tables in the order in which it shows them, by the number before the dot. The page about
# speed is no chapter, and its tables have no such number.
TABLES = {
    "1": ("tbl-data", "tbl-model", "tbl-attacks", "tbl-vanilla"),
    "2": ("tbl-sensitive",),
    "3": (
        "tbl-shared",
        "tbl-targeted-neurons",
        "tbl-suppression",
        "tbl-recorded-neurons",
        "tbl-lists-common",
        "tbl-lists-lower",
        "tbl-lists-upper",
        "tbl-lists-narrow",
        "tbl-recorded-alexnet",
    ),
    "4": ("tbl-omega", "tbl-sns-effect", "tbl-sns-accuracy"),
    "5": (
        "tbl-pat-accuracy",
        "tbl-disturbances",
        "tbl-relation",
        "tbl-recorded-relation",
        "tbl-recorded-disturbances",
        "tbl-recorded-all-relations",
    ),
    "6": (
        "tbl-table1",
        "tbl-recorded",
        "tbl-controls",
        "tbl-sns-adds",
        "tbl-all-readings",
        "tbl-statistics",
        "tbl-cost",
        "tbl-table2",
        "tbl-table2-controls",
    ),
    "7": (
        "tbl-harder",
        "tbl-checks",
        "tbl-recorded-scrutiny",
        "tbl-pat-alp",
        "tbl-recorded-alexnet-scrutiny",
        "tbl-remedy",
        "tbl-remedy-adds",
        "tbl-neurons-off",
        "tbl-adaptive",
    ),
    "8": ("tbl-own-layers", "tbl-models-tried"),
    "9": ("tbl-scorecard", "tbl-readings", "tbl-elsewhere"),
    "": (
        "tbl-speed-attacks",
        "tbl-speed-passes",
        "tbl-convolutions",
        "tbl-speed-threads",
        "tbl-speed-sensitivity",
        "tbl-speed-sns",
        "tbl-speed-kernels",
        "tbl-speed-gpu",
        "tbl-speed-pages",
        "tbl-speed-aims",
    ),
}
_NUMBERED = {
    label: f"Table {chapter}.{place}" if chapter else f"Table {place}"
    for chapter, labels in TABLES.items()
    for place, label in enumerate(labels, start=1)
}


def table(label: str) -> str:
    """A table's printed name, such as "Table 1.3"; "Table" for one that is in no chapter."""
    return _NUMBERED.get(label, "Table")


def section(notebook: str, label: str = "") -> str:
    """The address of a notebook's page, or of a labelled section on it, in the published book."""
    return f"{SITE}executed/{notebook}.html" + (f"#{label}" if label else "")
