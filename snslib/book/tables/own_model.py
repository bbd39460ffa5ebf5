"""Tables of the chapter on a model of one's own."""

from IPython.display import Markdown

from snslib.book.tables.markdown import markdown_table
from snslib.book.text import percent
from snslib.profile.report import Profile


def profiled_layers(found: Profile) -> Markdown:
    """The layers of a profiled model: what they are, how sensitive, and their three most sensitive neurons."""
    lines = []
    for name, layer in found.layers.items():
        omega = found.omega[name].tolist()
        lines.append(
            [
                f"`{name}`",
                layer.modules,
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
