"""The rows of Table 1 or 2, the controls that they lack, and what else is trained beside them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from snslib.study.defenses import DEFENSES
from snslib.study.settings import PROFILES, Settings
from snslib.training import datasets, pretrained
from snslib.training.models import SWITCHABLE


@dataclass(frozen=True)
class Row:
    """One row: a defense, and what is different in its settings.

    Args:
        defense: one of DEFENSES.
        label: as the tables show it.
        about: what it is, in a clause.
        online: x' comes from the current model at every step, nothing is locked (unless ``changes`` say so), and
            training takes as many epochs as adversarial training does, instead of Algorithm 1 to the letter.
        changes: settings that are different besides.
    """

    defense: str
    label: str
    about: str
    online: bool = False
    changes: Mapping[str, Any] = field(default_factory=dict)

    def settings(self, base: Settings) -> Settings:
        """``base`` as this row changes it."""
        if self.online:
            base = replace(base, pairs="step", train_all=True, epochs=base.pat_epochs, lr=base.pat_lr)
        return replace(base, **self.changes)

    @property
    def taken_from(self) -> dict[str, str]:
        """What of a row's settings is not taken from the setting of that name: to the one that gives it, or ""."""
        return ({"lr": "pat_lr"} if self.online else {}) | dict.fromkeys(self.changes, "")


def _row(defense: str, about: str, note: str = "", online: bool = False, **changes: Any) -> Row:
    return Row(defense, DEFENSES[defense].label + note, about, online, changes)


_CONTROL = "the same training without the SNS loss"


TABLE = {  # the rows of Table 1, and what they have to be set against
    "vanilla": _row("vanilla", "clean images only"),
    "nat": _row("nat", "Step-LL on the current model"),
    "eat": _row("eat", "Step-LL on the current or a static model"),
    "pat": _row("pat", "PGD on the current model"),
    "alp": _row("alp", "PAT and logit pairing"),
    "sns_sen_cls": _row("sns_sen_cls", "Eq. 10 on fixed pairs, sensitive neurons"),
    "sns_all_cls": _row("sns_all_cls", "Eq. 10 on fixed pairs, all neurons"),
    "control_cls": _row("sns_sen_cls", _CONTROL, ", λ = 0", lam=0.0),
    "sns_sen_adv": _row("sns_sen_adv", "Algorithm 1 to the letter"),
    "control_adv": _row("sns_sen_adv", _CONTROL, ", λ = 0", lam=0.0),
    "sns_sen_adv_online": _row("sns_sen_adv", "Eq. 11 with new x' at every step", ", online", online=True),
    "control_adv_online": _row("sns_sen_adv", _CONTROL, ", online, λ = 0", online=True, lam=0.0),
    "control_adv_locked": _row(
        "sns_sen_adv",
        "PGD training above locked vanilla layers",
        ", online, locked, λ = 0",
        online=True,
        lam=0.0,
        train_all=False,
    ),
}


REMEDIES = {  # not the paper's: SNS losses that switching neurons off does not lower, nor, the second, blinding them
    "relative_cls": _row("sns_sen_cls", "Eq. 10 with the relative loss", ", relative", reduction="relative"),
    "relative_adv": _row("sns_sen_adv", "Algorithm 1 with the relative loss", ", relative", reduction="relative"),
    "relative_adv_online": _row(
        "sns_sen_adv", "the online row with the relative loss", ", online, relative", online=True, reduction="relative"
    ),
    "image_relative_cls": _row(
        "sns_sen_cls", "Eq. 10, relative over images", ", image-relative", reduction="image_relative"
    ),
    "image_relative_adv": _row(
        "sns_sen_adv", "Algorithm 1, relative over images", ", image-relative", reduction="image_relative"
    ),
    "image_relative_adv_online": _row(
        "sns_sen_adv",
        "the online row, relative over images",
        ", online, image-relative",
        online=True,
        reduction="image_relative",
    ),
}


OTHER_NEURONS = {  # the online row on neurons that are not the sensitive ones: whether it matters which they are
    "random_adv_online": _row(
        "sns_sen_adv",
        "the online row on as many neurons, drawn at random",
        ", online, random neurons",
        online=True,
        neurons="random",
    ),
}


SWITCHED_OFF = {  # the online row without its neurons: whether the SNS loss does more than take them out of work
    "off_adv_online": _row(
        "sns_sen_adv",
        "the same training without the chosen neurons and without a loss on them",
        ", online, λ = 0, neurons off",
        online=True,
        lam=0.0,
        switched_off=True,
    ),
}


ONE_PASS = {  # the paper's, with x and x' in one batch: whether it matters what BatchNorm normalises together
    "sns_sen_adv_one_pass": _row(
        "sns_sen_adv", "Algorithm 1, x and x' normalised together", ", one pass", one_pass=True
    ),
    "control_adv_one_pass": _row("sns_sen_adv", _CONTROL, ", one pass, λ = 0", one_pass=True, lam=0.0),
}


READINGS = {  # of Algorithm 1: which neurons, chosen when, on which x', summed or averaged
    "reselected_cls_online": _row(
        "sns_sen_cls", "Eq. 10, x' and neurons anew at every step", ", online, re-selected", True, neurons="reselected"
    ),
    "reselected_adv_online": _row(
        "sns_sen_adv", "Eq. 11, x' and neurons anew at every step", ", online, re-selected", True, neurons="reselected"
    ),
    "reselected_cls_online_one_pass": _row(
        "sns_sen_cls",
        "the same, x and x' normalised together",
        ", online, re-selected, one pass",
        True,
        neurons="reselected",
        one_pass=True,
    ),
    "reselected_adv_online_one_pass": _row(
        "sns_sen_adv",
        "the same, x and x' normalised together",
        ", online, re-selected, one pass",
        True,
        neurons="reselected",
        one_pass=True,
    ),
    "redrawn_cls_online": _row(
        "sns_sen_cls", "as many neurons at random, anew at every step", ", online, redrawn", True, neurons="redrawn"
    ),
    "redrawn_adv_online": _row(
        "sns_sen_adv", "as many neurons at random, anew at every step", ", online, redrawn", True, neurons="redrawn"
    ),
    "sns_sen_cls_online": _row("sns_sen_cls", "Eq. 10 with new x' at every step", ", online", True),
    "sns_all_cls_online": _row("sns_all_cls", "Eq. 10 with new x' at every step, all neurons", ", online", True),
    "reselected_cls": _row(
        "sns_sen_cls", "Eq. 10 on fixed pairs, neurons anew at every step", ", re-selected", neurons="reselected"
    ),
    "reselected_adv": _row(
        "sns_sen_adv", "Algorithm 1, neurons anew at every step", ", re-selected", neurons="reselected"
    ),
    "sum_cls": _row("sns_sen_cls", "Eq. 10 with the literal sum", ", sum", reduction="sum"),
    "sum_adv": _row("sns_sen_adv", "Algorithm 1 with the literal sum", ", sum", reduction="sum"),
}


LATER = {  # of later work, at the budget of PAT
    "trades": _row("trades", "predictions for x' drawn to those for x"),
    "anp_vs": _row("anp_vs", "PAT with a loss on the sensitivity of all neurons"),
}


FIG_3B = {  # Eq. 10 from other layers of VGG-16 on, with other lambdas and fractions; only measured, not published
    **{
        f"fig3b_{layer}": _row("sns_sen_cls", f"Eq. 10 from {layer} on", f", {layer}", first_layer=layer)
        for layer in ("conv1", "conv4", "conv8", "conv11", "fc")
    },
    **{
        f"fig3b_lam{lam:g}": _row("sns_sen_cls", f"Eq. 10 with λ = {lam:g}", f", conv8, λ = {lam:g}", lam=lam)
        for lam in (0.0, 1.0, 25.0, 125.0)
    },
    **{
        f"fig3b_top{100 * share:g}": _row(
            "sns_sen_cls", f"Eq. 10 on the top {100 * share:g}%", f", conv8, top {100 * share:g}%", fraction=share
        )
        for share in (0.02, 0.3)
    },
}


ROWS = TABLE | REMEDIES | OTHER_NEURONS | SWITCHED_OFF | ONE_PASS | READINGS | LATER | FIG_3B


def rows_for(model: str) -> list[str]:
    """The names of the rows that a network can have.

    FIG_3B's are about the layers of VGG-16, and a shortcut or a branch past a neuron keeps it from being switched off.
    """
    only_for = {**dict.fromkeys(FIG_3B, ("vgg16",)), **dict.fromkeys(SWITCHED_OFF, SWITCHABLE)}
    return [name for name in ROWS if model in only_for.get(name, (model,))]


def folder_of(settings: Settings) -> str:
    """Where the rows of a setting are kept in ``results/``: data set and network, such as "cifar10/vgg16-w0.25"."""
    return f"{datasets.identity(settings.dataset)}/{settings.model}-w{settings.width:g}"


def recorded_profile(name: str) -> str:
    """The profile whose models ``results/`` holds: the "-small" one where it lacks those of the whole one.

    Args:
        name: of a profile; one that has no "-small" one, or that does not exist, is returned as it is.
    """
    there = [profile for profile in (name, f"{name}-small") if profile in PROFILES]
    return next((profile for profile in there if _has_models(folder_of(PROFILES[profile]))), name)


def _has_models(folder: str) -> bool:
    """Whether the weights of every row of TABLE are there that was measured: else some would be trained anew."""
    measured = [path for path in (pretrained.RESULTS / folder).glob("*.json") if path.stem in TABLE]
    return bool(measured) and all(path.with_suffix(".safetensors").exists() for path in measured)


@dataclass(frozen=True)
class Family:
    """Rows that differ in the SNS loss alone, by name.

    Args:
        control: without it, λ = 0.
        paper: with the paper's (Eq. 9).
        relative: with the first of REMEDIES.
        image_relative: with the second.
        beside: what else they are set against.
    """

    control: str
    paper: str
    relative: str
    image_relative: str
    beside: tuple[str, ...] = ()

    @property
    def rows(self) -> tuple[str, ...]:
        """All of them, in the order of a table."""
        return (*self.beside, self.control, self.paper, self.relative, self.image_relative)


FAMILIES = {
    "Eq. 10": Family("control_cls", "sns_sen_cls", "relative_cls", "image_relative_cls"),
    "Algorithm 1": Family("control_adv", "sns_sen_adv", "relative_adv", "image_relative_adv"),
    "online": Family(
        "control_adv_online", "sns_sen_adv_online", "relative_adv_online", "image_relative_adv_online", ("pat",)
    ),
}
KINDS = {  # the rows that are compared over all networks, by how they are trained
    "vanilla": ("vanilla",),
    "adversarial training": ("nat", "eat", "pat", "alp", *LATER),
    "online SNS and its control": (
        "sns_sen_adv_online",
        "control_adv_online",
        "relative_adv_online",
        "image_relative_adv_online",
    ),
    "fixed x', clean loss (Eq. 10)": (
        "sns_sen_cls",
        "sns_all_cls",
        "control_cls",
        "relative_cls",
        "image_relative_cls",
    ),
    "fixed x', adversarial loss (Algorithm 1)": ("sns_sen_adv", "control_adv", "relative_adv", "image_relative_adv"),
}
