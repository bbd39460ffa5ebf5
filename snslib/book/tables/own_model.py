"""Tables of the chapter on a model of one's own."""

from IPython.display import Markdown

from snslib.book.tables.markdown import markdown_table
from snslib.book.text import code, percent, plain
from snslib.files import read_json
from snslib.profile.report import Profile
from snslib.training import pretrained


def profiled_layers(found: Profile) -> Markdown:
    """The layers of a profiled model: what they are, how sensitive, and their three most sensitive neurons."""
    lines = []
    for name, layer in found.layers.items():
        omega = found.omega[name].tolist()
        lines.append(
            [
                code(name),
                plain(layer.modules),
                "×".join(map(str, layer.shape)),
                str(layer.neurons),
                f"{found.sigma[name].mean():.3g}",
                f"{found.relative(name):.2f}",
                ", ".join(map(str, omega[:3])) + (" …" if len(omega) > 3 else ""),
            ]
        )
    header = ["layer", "modules", "output", "neurons", "mean σ", "relative", "most sensitive"]
    caption = (
        f"The layers of the network, in the order in which they run. Accuracy: {percent(found.clean)} clean, "
        f"{percent(found.attacked)} under PGD. *Relative*: σ of all neurons, as a share of their clean output."
    )
    return markdown_table(header, lines, caption, "tbl-own-layers", "lllrrrl")


def models_tried() -> Markdown:
    """The networks that ``tools/models_tried.py`` has tried, and what came of it; a line where there is no record."""
    path = pretrained.RESULTS / "models_tried.json"
    try:
        record = read_json(path)
        lines = [
            [
                code(name),
                *(f"{found[part]:,}" if part in found else "" for part in ("image_size", "layers", "neurons")),
                f"{found['seconds']:.0f}" if "seconds" in found else "",
                plain(found["outcome"]),
            ]
            for name, found in record["models"].items()
        ]
        images, versions = record["images"], next(iter(record["models"].values()))["versions"]
    except FileNotFoundError:
        return Markdown("*Not run yet.*")
    except (ValueError, KeyError, TypeError, AttributeError, StopIteration) as error:
        return Markdown(f"*{plain(str(path))} is damaged ({plain(str(error))}); tools/models_tried.py makes it anew.*")
    about = ", ".join(f"{package} {version}" for package, version in versions.items())
    caption = (
        f"Networks that were tried, with random weights and {images} random images: their size in pixels, layers and "
        f"neurons that were measured, and seconds on a CPU ({plain(about)})."
    )
    header = ["network", "pixels", "layers", "neurons", "seconds", "outcome"]
    return markdown_table(header, lines, caption, "tbl-models-tried", "lrrrrl")
