"""The table of defenses (Table 1): label, schedule, objective and starting network of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from snslib.study.settings import Settings
from snslib.training.loop import Schedule
from snslib.training.objectives import (
    ALP,
    ANEW,
    EAT,
    PAT,
    SNS,
    TRADES,
    Objective,
    Vanilla,
    VulnerabilitySuppression,
)

if TYPE_CHECKING:
    from snslib.study.networks import Networks

# Whose adversarial examples EAT trains on, besides its own (C.1): of these networks, or of the others ...
SOURCES = {"alexnet": ("alexnet", "resnet18")}
OTHER_SOURCES = ("googlenet", "resnet18")  # ... GoogLeNet with BatchNorm in the place of Inception-v2


@dataclass(frozen=True)
class Defense:
    """How a network of a setting is trained.

    Args:
        label: as the paper writes it, or who proposed it.
        schedule: how long and how fast, by the settings.
        objective: what is minimised; it may train the networks that it needs.
        depends_on: what else the trained network depends on, JSON-able, besides data, model, schedule and attack.
        attacks: whether training attacks anything, so that the network depends on the settings' attack.
        starts_from: the defense whose network training starts from; None starts from random weights.
        fraction: the share of each layer's neurons that count as sensitive; None is that of the settings.
        attacked: the settings whose vanilla networks training attacks besides its own.
        later: whether it is not the paper's but of later work: no chapter trains it live.
    """

    label: str
    schedule: Callable[[Settings], Schedule]
    objective: Callable[[Networks], Objective]
    depends_on: Callable[[Networks], dict[str, Any]] = lambda networks: {}
    attacks: bool = True
    starts_from: str | None = None
    fraction: float | None = None
    attacked: Callable[[Networks], list[Networks]] = lambda networks: []
    later: bool = False

    def steered_by(self, settings: Settings, taken_from: Mapping[str, str]) -> str:
        """The settings that decide whether training converges: its peak learning rate, and a weight of the loss.

        Args:
            settings: those of the network; a weight of 0 is none to lower.
            taken_from: of these the ones that another setting gives, by that one's name; "" for what none changes. See
                :attr:`snslib.study.rows.Row.taken_from`.
        """
        if self.schedule is _vanilla:
            return "vanilla_lr"
        if self.schedule is _adversarial:
            return "pat_lr"
        names = ["lr", "lam"] if settings.lam > 0 else ["lr"]
        return " or ".join(filter(None, (taken_from.get(name, name) for name in names)))


def _schedule(settings: Settings, epochs: int, lr: float, first_layer: str | None = None) -> Schedule:
    s = settings
    return Schedule(epochs, lr, s.batch_size, first_layer=first_layer, seed=s.seed, precision=s.precision)


def _vanilla(settings: Settings) -> Schedule:
    return _schedule(settings, settings.vanilla_epochs, settings.vanilla_lr)


def _adversarial(settings: Settings) -> Schedule:
    return _schedule(settings, settings.pat_epochs, settings.pat_lr)


def _stabilising(settings: Settings) -> Schedule:
    return _schedule(settings, settings.epochs, settings.lr, None if settings.train_all else settings.first_layer)


def sources(networks: Networks) -> list[Networks]:
    """The networks whose vanilla ones are EAT's static models; see SOURCES."""
    s = networks.settings
    return [
        networks
        if name == s.model
        else networks.with_settings(model=name, first_layer="conv1", vanilla_epochs=s.source_epochs)
        for name in SOURCES.get(s.model, OTHER_SOURCES)
    ]


def _eat(networks: Networks) -> Objective:
    static = [source.model("vanilla") for source in sources(networks)]
    return EAT(networks.settings.eps, static, networks.settings.precision)


def _trades(networks: Networks) -> Objective:
    s = networks.settings
    return TRADES(s.eps, cast(float, s.step_size), s.steps, s.precision)


def _anp_vs(networks: Networks) -> Objective:
    return VulnerabilitySuppression(networks.pgd_in_training, networks.conv_layers)


def _sns(label: str, name: str, adversarial: bool, fraction: float | None = None) -> Defense:
    def objective(networks: Networks) -> Objective:
        s = networks.settings
        fixed = s.pairs == "fixed"
        return SNS(
            omega=networks.stabilised_neurons(name),
            lam=s.lam,
            adversarial=adversarial,
            reduction=s.reduction,
            source=s.pairs,
            pairs=networks.fixed_pairs() if fixed else None,
            attack=None if fixed else networks.pgd_in_training,
            one_pass=s.one_pass,
            anew=s.neurons if s.neurons in ANEW else None,
        )

    def depends_on(networks: Networks) -> dict[str, Any]:
        s = networks.settings
        sns = {
            "lam": s.lam,
            "fraction": fraction or s.fraction,
            "pairs": s.pairs,
            "reduction": s.reduction,
            "n_pairs": s.n_pairs,
            "layers": networks.stabilised_layers,
        }
        # No key for what is as it was when the first networks were published, so that they are found.
        if s.one_pass:
            sns["one_pass"] = True
        if s.neurons != "sensitive":
            sns["neurons"] = s.neurons
        if s.switched_off:
            sns["switched_off"] = True
        return {"vanilla": networks.configuration("vanilla"), "sns": sns}

    return Defense(label, _stabilising, objective, depends_on, starts_from="vanilla", fraction=fraction)


DEFENSES = {
    "vanilla": Defense("Vanilla", _vanilla, lambda networks: Vanilla(), attacks=False),
    "nat": Defense("NAT", _adversarial, lambda networks: EAT(networks.settings.eps, [], networks.settings.precision)),
    "eat": Defense(
        "EAT",
        _adversarial,
        _eat,
        lambda networks: {"sources": [source.configuration("vanilla") for source in sources(networks)]},
        attacked=sources,
    ),
    "pat": Defense("PAT", _adversarial, lambda networks: PAT(networks.pgd_in_training)),
    "alp": Defense("ALP", _adversarial, lambda networks: ALP(networks.pgd_in_training)),
    "sns_sen_cls": _sns(r"$\mathrm{SNS}_{sen}^{cls}$", "sns_sen_cls", adversarial=False),
    "sns_all_cls": _sns(r"$\mathrm{SNS}_{all}^{cls}$", "sns_all_cls", adversarial=False, fraction=1.0),
    "sns_sen_adv": _sns(r"$\mathrm{SNS}_{sen}^{adv}$", "sns_sen_adv", adversarial=True),
    "trades": Defense("TRADES", _adversarial, _trades, lambda networks: {"beta": TRADES.beta}, later=True),
    "anp_vs": Defense(
        "ANP-VS without pruning",
        _adversarial,
        _anp_vs,
        lambda networks: {"weight": VulnerabilitySuppression.weight, "layers": networks.conv_layers},
        later=True,
    ),
}
LABELS = {name: defense.label for name, defense in DEFENSES.items() if not defense.later}  # of what chapters train
