"""The loss of each defense, as one small class per defense, called by the training loop for each batch.

An objective maps (model, x, x', y) to the loss and its terms by name. ``pairs`` holds x' for every training image
where the defense trains on a fixed dual pair set; the loop then passes the layers that are trained as the model, and
what they read for x and x'. Where ``pairs`` is None the loop passes None for x', and a defense that needs adversarial
examples makes them from the current model.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from snslib import arguments, kernels
from snslib.attacks import Attack, step_ll
from snslib.data import Split
from snslib.hooks import record
from snslib.inference import device_of, frozen
from snslib.kernels import channel_l1
from snslib.losses import REDUCTIONS, adversarial_loss, logit_pairing, sns_loss
from snslib.precision import PRECISIONS, autocast
from snslib.training import parallel
from snslib.training.fixed_pairs import adversarial_images

PAIRS = ("fixed", "epoch", "step")
TRADES_START = 0.001  # standard deviation of what TRADES adds to x before its attack
ANEW = {"reselected": "sensitive", "redrawn": "random"}  # neurons chosen at every step, and as what before the first


class Objective(ABC):
    """The shape of an objective.

    ``pairs`` is x' of every training image, float (N, 3, H, W) in [0, 1], or None.
    """

    pairs: Tensor | None = None

    def start_epoch(self, model: nn.Module, train: Split) -> None:  # noqa: B027
        """Called before each epoch with the current model and the images trained on; most have nothing to do then."""

    @abstractmethod
    def __call__(
        self, model: nn.Module, x: Tensor, x_adv: Tensor | None, y: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of one batch, and its terms before weighting."""


@dataclass
class Vanilla(Objective):
    """Cross-entropy on clean images."""

    def __call__(
        self, model: nn.Module, x: Tensor, x_adv: Tensor | None, y: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        loss = F.cross_entropy(model(x), y)
        return loss, {"cls": loss}


@dataclass
class PAT(Objective):
    """PGD adversarial training (Madry et al. 2018) as in C.1: x' from the current model, clean and x' mixed 1 to 1."""

    attack: Attack

    def __call__(
        self, model: nn.Module, x: Tensor, x_adv: Tensor | None, y: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        x_adv = self.attack(model, x, y)
        loss = adversarial_loss(model(x), model(x_adv), y)
        return loss, {"adv": loss}


@dataclass
class ALP(Objective):
    """Adversarial logit pairing (Kannan et al. 2018) as in C.1: the loss of PAT plus half the logits' distance."""

    attack: Attack
    weight: float = 0.5

    def __post_init__(self) -> None:
        arguments.not_negative("weight", self.weight)

    def __call__(
        self, model: nn.Module, x: Tensor, x_adv: Tensor | None, y: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        x_adv = self.attack(model, x, y)
        logits, logits_adv = model(x), model(x_adv)
        loss, pairing = adversarial_loss(logits, logits_adv, y), logit_pairing(logits, logits_adv)
        return loss + self.weight * pairing, {"adv": loss, "pairing": pairing}


@dataclass
class EAT(Objective):
    """Ensemble adversarial training (Tramer et al. 2018) as in C.1: Step-LL on a model drawn anew for each batch.

    With equal chances it is one of the static ``sources`` or the current model. Without sources this is NAT, naive
    adversarial training (Kurakin et al. 2017). Each image has a radius of its own, the size of a number from N(0, eps),
    truncated to [0, 2 eps]: with eps = 8 that is C.1's N(0, 8) in [0, 16]. Clean images and x' are mixed 1 to 1.

    Args:
        eps: the standard deviation of the radius, in [0, 1] pixel space, in (0, 1].
        sources: the static models, trained before; on the model's device.
        precision: of the networks' passes in the attack.
    """

    eps: float
    sources: Sequence[nn.Module] = field(default=(), repr=False)
    precision: str = "float32"

    def __post_init__(self) -> None:
        arguments.number("eps", self.eps, 0, 1, above=True)

    def __call__(
        self, model: nn.Module, x: Tensor, x_adv: Tensor | None, y: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        attacked = [*self.sources, model][int(torch.randint(len(self.sources) + 1, ()))]
        radius = torch.nn.init.trunc_normal_(torch.empty(len(x), 1, 1, 1), 0, self.eps, -2 * self.eps, 2 * self.eps)
        radius = radius.abs_().to(x)
        farthest = step_ll(attacked, x, min(2 * self.eps, 1.0), self.precision)
        x_adv = torch.clamp(farthest, x - radius, x + radius)  # as a step of that length, and still in [0, 1]
        loss = adversarial_loss(model(x), model(x_adv), y)
        return loss, {"adv": loss}


@dataclass
class TRADES(Objective):
    """TRADES (Zhang et al. 2019): cross-entropy on clean images, plus how far the predictions for x' lie from theirs.

    That is the Kullback-Leibler divergence KL(p(x) || p(x')), averaged over the batch; both sides are trained. PGD
    makes x' from the current model: it climbs this divergence, not cross-entropy, and starts beside x, as there is no
    way up from x itself.

    Args:
        eps, step_size, steps: of PGD, see :func:`snslib.attacks.pgd`.
        precision: of the network's passes in PGD. What x' is compared with is computed in float32: rounded to bfloat16,
            both can be the same numbers, and the gradient 0.
        beta: the weight of the divergence, the 1 / lambda of their paper, >= 0.
    """

    eps: float
    step_size: float
    steps: int
    precision: str = "float32"
    beta: float = 6.0

    def __post_init__(self) -> None:
        arguments.radius("eps", self.eps)
        arguments.radius("step_size", self.step_size)
        arguments.at_least("steps", self.steps, 1)
        arguments.one_of("precision", self.precision, PRECISIONS)
        arguments.not_negative("beta", self.beta)

    def __call__(
        self, model: nn.Module, x: Tensor, x_adv: Tensor | None, y: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        x_adv = self._farthest(model, x)
        logits, logits_adv = model(x), model(x_adv)
        loss = F.cross_entropy(logits, y)
        divergence = _divergence(logits, logits_adv) / len(y)
        return loss + self.beta * divergence, {"cls": loss, "divergence": divergence}

    def _farthest(self, model: nn.Module, x: Tensor) -> Tensor:
        """x' (N, 3, H, W), where PGD finds the largest divergence from the predictions for x."""
        x_adv = x + TRADES_START * torch.randn(x.shape).to(x)  # drawn on the CPU: a seed means the same everywhere
        with frozen(model):
            with autocast(x.device, "float32"), torch.no_grad():
                logits = model(x)
            with autocast(x.device, self.precision):
                for _ in range(self.steps):
                    leaf = x_adv.requires_grad_(True)
                    gradient = torch.autograd.grad(_divergence(logits, model(leaf)), leaf)[0]
                    x_adv = kernels.sign_step(leaf.detach(), gradient, x, self.eps, self.step_size)
        return x_adv


def _divergence(logits: Tensor, logits_adv: Tensor) -> Tensor:
    """KL(p || p'), summed over images, of the predictions that logits (N, K) stand for."""
    exact = torch.promote_types(logits.dtype, torch.float32)
    log_p, log_p_adv = (F.log_softmax(one.to(exact), 1) for one in (logits, logits_adv))
    return F.kl_div(log_p_adv, log_p, reduction="sum", log_target=True)


@dataclass
class VulnerabilitySuppression(Objective):
    """The loss of ANP-VS (Madaan et al. 2020) without its pruning: that of PAT, plus the network's vulnerability.

    A neuron's vulnerability is its sensitivity, Eq. 1; a layer's is the sum over all its neurons, so that it grows with
    the width; and the network's is the mean over layers. With the weight 0 this is PAT.

    Args:
        attack: makes x' for each batch.
        layers: all layers whose outputs count, which are those below the logits.
        weight: of the vulnerability, >= 0; 0.0001 is what they train VGG-16 with on CIFAR-10.
    """

    attack: Attack
    layers: Sequence[str]
    weight: float = 0.0001

    def __post_init__(self) -> None:
        arguments.not_negative("weight", self.weight)

    def __call__(
        self, model: nn.Module, x: Tensor, x_adv: Tensor | None, y: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        x_adv = self.attack(model, x, y)
        with record(model, self.layers) as clean:
            logits = model(x)
        with record(model, self.layers) as adversarial:
            logits_adv = model(x_adv)
        loss = adversarial_loss(logits, logits_adv, y)
        every_neuron = {layer: torch.arange(outputs.shape[1]) for layer, outputs in clean.items()}
        vulnerability = sns_loss(clean, adversarial, every_neuron, "sum") / len(self.layers)
        return loss + self.weight * vulnerability, {"adv": loss, "vulnerability": vulnerability}


@dataclass
class SNS(Objective):
    """Sensitive Neurons Stabilizing: Eq. 10, or with ``adversarial`` Eq. 11 and Algorithm 1.

    Args:
        omega: the sensitive neurons of the stabilised layers.
        lam: the weight lambda of Eq. 9's loss.
        adversarial: train on L_adv (SNS^adv) instead of L_cls (SNS^cls).
        reduction: the reading of Eq. 9's norm, see :func:`snslib.losses.sns_loss`.
        source: where x' comes from. "fixed": made once on the vanilla model, as Algorithm 1 says, and passed as
            ``pairs``. "epoch": made anew from the current model before each epoch. "step": for each batch.
        attack: makes x' for "epoch" and "step".
        pairs: x' of every training image for "fixed".
        one_pass: x and x' go through the network in one batch, so that BatchNorm normalises them together, in place of
            one after the other, each by its own statistics.
        anew: "reselected" chooses as many neurons as ``omega`` has anew at every step, the most sensitive ones (Eq. 1
            and 2) of the batch at hand in the network as it is; "redrawn" draws them at random. None keeps ``omega``.
    """

    omega: Mapping[str, Tensor]
    lam: float
    adversarial: bool
    reduction: str = "mean"
    source: str = "fixed"
    attack: Attack | None = None
    pairs: Tensor | None = field(default=None, repr=False)
    one_pass: bool = False
    anew: str | None = None

    def __post_init__(self) -> None:
        arguments.not_negative("lam", self.lam)
        arguments.one_of("reduction", self.reduction, REDUCTIONS)
        arguments.one_of("source", self.source, PAIRS)
        if self.anew is not None:
            arguments.one_of("anew", self.anew, ANEW)
        if (self.source == "fixed") == (self.pairs is None) or (self.source != "fixed") == (self.attack is None):
            raise ValueError(f"source: {self.source!r} needs {'pairs' if self.source == 'fixed' else 'an attack'} only")

    def start_epoch(self, model: nn.Module, train: Split) -> None:
        """Make the dual pairs anew where they are the epoch's; ValueError where there is not one x' per image."""
        if self.source == "epoch":
            assert self.attack is not None
            self.pairs = adversarial_images(model, train, self.attack).to(device_of(model))
        if self.pairs is not None and len(self.pairs) != len(train):
            raise ValueError(f"pairs: expected x' of each of the {len(train)} training images, got {len(self.pairs)}")

    def __call__(
        self, model: nn.Module, x: Tensor, x_adv: Tensor | None, y: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        if x_adv is None:
            assert self.attack is not None
            x_adv = self.attack(model, x, y)
        layers = list(self.omega)
        if self.one_pass:
            with record(model, layers) as both:
                logits, logits_adv = model(torch.cat([x, x_adv])).chunk(2)
            clean, adversarial = ({layer: out.chunk(2)[side] for layer, out in both.items()} for side in (0, 1))
        else:
            with record(model, layers) as clean:
                logits = model(x)
            with record(model, layers) as adversarial:
                logits_adv = model(x_adv)
        task = adversarial_loss(logits, logits_adv, y) if self.adversarial else F.cross_entropy(logits, y)
        sns = sns_loss(clean, adversarial, self._neurons(clean, adversarial), self.reduction)  # Eq. 9
        return task + self.lam * sns, {"adv" if self.adversarial else "cls": task, "sns": sns}  # Eq. 10, Eq. 11

    def _neurons(self, clean: Mapping[str, Tensor], adversarial: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Omega_l, as it was chosen before training, or anew from the batch at hand; of several processes, of all."""
        if self.anew is None:
            return self.omega
        chosen = {}
        for layer, neurons in self.omega.items():
            a, b = clean[layer].detach(), adversarial[layer].detach()
            score = channel_l1(a, b) / len(a) if self.anew == "reselected" else torch.rand(a.shape[1]).to(a.device)
            chosen[layer] = parallel.mean(score, len(a)).topk(len(neurons)).indices
        return chosen
