"""What was found about a model of one's own."""

import math

from IPython.display import Markdown

from snslib.book.text import code, percent
from snslib.profile.report import Profile


def profiled_model(found: Profile) -> Markdown:
    """Accuracy, the layers that PGD moves least and most, the least even one, and neurons that never change."""
    about = found.about
    lines = [
        f"PGD with eps {about['eps'] * 255:.3g}/255 takes the accuracy from {percent(found.clean)} to "
        f"{percent(found.attacked)}, on {about['n']:,} images."
    ]
    relative = {name: value for name in found.layers if not math.isnan(value := found.relative(name))}
    if len(relative) == 1:
        (name,) = relative
        lines.append(f"Relative to its clean output, {code(name)} is moved by {relative[name]:.2f}.")
    elif relative:
        least, most = min(relative, key=relative.__getitem__), max(relative, key=relative.__getitem__)
        lines.append(
            f"Relative to its clean output, {code(least)} is moved the least ({relative[least]:.2f}) and {code(most)} "
            f"the most ({relative[most]:.2f})."
        )
    uneven = {name: value for name in found.layers if not math.isnan(value := _times_even(found, name))}
    if uneven:
        name = max(uneven, key=uneven.__getitem__)
        which = "the least alike" if len(uneven) > 1 else "compared"
        lines.append(
            f"Neurons are {which} in {code(name)}: its {len(found.omega[name])} sensitive ones of "
            f"{found.layers[name].neurons} hold {100 * found.held(name):.0f}% of its sensitivity."
        )
    still = sum(int((sigma == 0).sum()) for sigma in found.sigma.values())
    lines.append(f"{still:,} of {sum(map(len, found.sigma.values())):,} neurons never changed.")
    return Markdown("\n".join(f"- {line}" for line in lines))


def _times_even(found: Profile, layer: str) -> float:
    """What the sensitive neurons hold of a layer's sensitivity over what as many would if all were alike."""
    return found.held(layer) / len(found.omega[layer]) * found.layers[layer].neurons
