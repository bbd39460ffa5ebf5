"""What the chapter on SNS training found: about the stabilised neurons, and about accuracy under attack."""

from collections.abc import Mapping
from math import isfinite

from IPython.display import Markdown

from snslib.book.text import percent
from snslib.claims.numbers.robustness import strong_name
from snslib.claims.statistics import interval
from snslib.study.records import Record


def sns_training(
    effect: Mapping[str, Mapping[str, float]],
    accuracy: Mapping[str, Record],
    strong: Mapping[str, Record],
    fixed: Mapping[str, Record],
) -> Markdown:
    """What SNS training changed, and how much of it is the loss's own doing.

    Args:
        effect: from ``measurements.effect_of_sns``.
        accuracy: what a network is called to its record: first the vanilla one, then the trained one, and last that of
            the same training without the SNS loss.
        strong: the same under a stronger PGD.
        fixed: the same on images that PGD made on the vanilla network.
    """
    start, trained, *_ = accuracy
    before, after, without = (accuracy[name].result for name in (start, trained, list(accuracy)[-1]))
    left, on_fixed, n = strong[trained].result, fixed[trained].result, accuracy[trained].config["n"]
    low, high = interval(after["pgd"], n)
    gap = "The gap between the two is what a table of fixed examples would hide." if on_fixed > left else ""
    return Markdown(f"""
- **What the loss asked for.** {_effect(effect)}.
- **Accuracy under PGD** goes from {percent(before["pgd"])} to {percent(after["pgd"])}
  ({100 * (after["pgd"] - before["pgd"]):+.2f} points), clean accuracy from {percent(before["clean"])} to
  {percent(after["clean"])}. Without the SNS loss, the same training gives {percent(without["pgd"])} under PGD: the loss
  itself accounts for {100 * (after["pgd"] - without["pgd"]):+.2f} points.
- **Against {strong_name(strong)}**, {percent(left)} remain, while on fixed examples the same model scores
  {percent(on_fixed)}. {gap}
- One seed, {n:,} test images: the 95% interval of {percent(after["pgd"])} reaches from
  {percent(low)} to {percent(high)}, and smaller differences mean little.
""")


def _effect(effect: Mapping[str, Mapping[str, float]]) -> str:
    """How the chosen neurons changed, over the stabilised layers."""
    changes = [100 * (found["after"] / found["before"] - 1) for found in effect.values()]
    ratios = [found["relative_after"] / found["relative_before"] for found in effect.values()]
    of_active = [ratio for ratio in ratios if isfinite(ratio)]
    dead, chosen = (sum(found[name] for found in effect.values()) for name in ("dead", "chosen"))
    relative = (
        f"Relative to the neurons' outputs, it is {min(of_active):.2f} to {max(of_active):.2f} times what it was. "
        if of_active
        else ""
    )
    return (
        "Over the stabilised layers, the mean sensitivity of the chosen neurons changes by "
        f"{min(changes):+.0f}% to {max(changes):+.0f}%. {relative}{dead} of {chosen} chosen neurons are dead afterwards"
        + (": switching a neuron off is the easiest way to keep it still" if dead else "")
    )
