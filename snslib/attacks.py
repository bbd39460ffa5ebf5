"""The four white-box attacks of section 3.1, all bounded in l-infinity and all in the [0, 1] space of the pixels.

Each returns adversarial images, detached, in [0, 1] and within eps of x, and leaves the model as it was: every
module's train or eval mode, every parameter's ``requires_grad`` and ``grad``, and the global random state. The model
runs in eval mode, so that an image's result does not depend on the rest of its batch, unless the model mixes the images
of a pass (:func:`snslib.passes.independent` tells); then it is that of the batch as it is given. The loss is summed,
not averaged: a step does not depend on the size of the batch, and gradients do not underflow. Where a gradient is not
finite there is no direction to go, and x' would be x as if nothing could be found: that is a ValueError, which names
the layer where it begins. So is a model whose logits have no gradient at all.

``precision`` is that of the network's passes: "float32" for what is reported; "bfloat16" is several times as fast where
the processor has matrix units for it, and good enough to train with; "tf32" is float32 but for the factors of
convolutions and matrix products, which a GPU may round (:func:`snslib.precision.in_tf32`), and the same as "float32" on
a CPU and wherever there is no TF32. Images and steps are float32 in all of them. A model
compiled by torch.compile runs compiled, and one in float64, float16 or bfloat16 gets its images in that type. On a GPU
an attack that is made over and over again is a CUDA graph where nobody can tell: see :mod:`snslib.graphs`.
"""

import copy
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from snslib import arguments, graphs, kernels
from snslib.hooks import NotFinite
from snslib.inference import attempt, fast_memory_format, frozen, own, run
from snslib.logits import read_logits
from snslib.precision import PRECISIONS, autocast

Attack = Callable[[nn.Module, Tensor, Tensor], Tensor]  # (model, x, y) to x'
ATTACKS = {  # name: as the paper writes it, in the order of Table 1
    "step_ll": "Step-LL",
    "mi_fgsm": "MI-FGSM",
    "pgd": "PGD",
    "fgsm": "FGSM",
}


def least_likely_class(model: nn.Module, x: Tensor) -> Tensor:
    """The class to which the model gives the lowest logit, int64 (N,): the target of Step-LL (Kurakin et al. 2017).

    Args:
        model: maps (N, C, H, W) in [0, 1] to logits (N, K).
        x: float (N, C, H, W) in [0, 1].

    Raises:
        ValueError: x outside [0, 1] or with NaN, no logits (N, K), logits that are NaN.
    """
    x = arguments.images("x", x)
    with frozen(model), torch.no_grad():
        logits = read_logits(run(model, x), len(x))
    if logits.isnan().any():
        raise NotFinite("model: its logits are", model, x)
    return logits.argmin(1)


def fgsm(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    eps: float = 8 / 255,
    targeted: bool = False,
    precision: str = "float32",
) -> Tensor:
    """FGSM (Goodfellow et al. 2015): one step of length eps along the sign of the input gradient.

    Args:
        model: maps (N, C, H, W) in [0, 1] to logits (N, K), K >= 2, or to what :func:`snslib.logits.read_logits` reads.
        x: float (N, C, H, W) in [0, 1]; what lies beside it by rounding is clipped.
        y: whole numbers (N,), the true classes, or the classes to reach when ``targeted``.
        eps: radius in [0, 1] pixel space.
        targeted: step toward y instead of away from it.
        precision: "float32", "tf32" or "bfloat16", see above.

    Returns:
        Adversarial images, same shape and type as x.

    Raises:
        ValueError: x outside [0, 1] or with NaN, labels that do not fit x or the logits, eps outside [0, 1], an unknown
            precision, a gradient that is not finite.
    """
    x, loss = arguments.images("x", x), Loss(x, y, targeted)
    eps = arguments.radius("eps", eps)

    def climb(loss: Loss, x: Tensor, start: Tensor) -> Tensor:
        return kernels.sign_step(start, loss.gradient(model, start), x, eps, eps)

    with _attack_mode(model, x, precision, loss) as x:
        return _climbed(climb, ("fgsm", precision, eps), model, loss, x, x).contiguous()


def step_ll(model: nn.Module, x: Tensor, eps: float = 8 / 255, precision: str = "float32") -> Tensor:
    """Step-LL (Kurakin et al. 2017): one step of length eps toward the least likely class.

    Arguments, result and errors as in :func:`fgsm`; the target comes from the model's own prediction.
    """
    return fgsm(model, x, least_likely_class(model, x), eps, True, precision)


def mi_fgsm(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    eps: float = 8 / 255,
    step_size: float = 0.8 / 255,
    steps: int = 10,
    decay: float = 1.0,
    targeted: bool = False,
    precision: str = "float32",
) -> Tensor:
    """MI-FGSM (Dong et al. 2018): iterated sign steps along an accumulated, per-image L1-normalised gradient.

    Args:
        model, x, y, eps, targeted, precision: as in :func:`fgsm`.
        step_size: the paper's alpha = eps / 10, in [0, 1].
        steps: the paper's k = 10, >= 1.
        decay: the paper's mu = 1.0, >= 0.

    Returns:
        Adversarial images, same shape and type as x.

    Raises:
        ValueError: as in :func:`fgsm`, and for step_size outside [0, 1], steps < 1, decay < 0.
    """
    x, loss = arguments.images("x", x), Loss(x, y, targeted)
    eps, step_size, steps = _check_iterative(eps, step_size, steps)
    decay = arguments.not_negative("decay", decay)

    def climb(loss: Loss, x: Tensor, start: Tensor) -> Tensor:
        x_adv, direction = start, torch.zeros_like(start)
        for _ in range(steps):
            gradient = loss.gradient(model, x_adv)
            x_adv, direction = kernels.momentum_step(x_adv, direction, gradient, x, eps, step_size, decay)
        return x_adv

    with _attack_mode(model, x, precision, loss) as x:
        about = ("mi_fgsm", precision, eps, step_size, steps, decay)
        return _climbed(climb, about, model, loss, x, x).contiguous()


def pgd(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    eps: float = 8 / 255,
    step_size: float = 0.8 / 255,
    steps: int = 10,
    random_start: bool = False,
    restarts: int = 1,
    targeted: bool = False,
    generator: torch.Generator | None = None,
    precision: str = "float32",
) -> Tensor:
    """PGD (Madry et al. 2018): iterated sign steps, each projected on the eps ball and on [0, 1].

    Section 3.1 names no random start, so the default starts at x.

    Args:
        model, x, y, eps, targeted, precision: as in :func:`fgsm`.
        step_size: the paper's alpha = eps / 10, in [0, 1].
        steps: the paper's k = 10, >= 1.
        random_start: start anywhere in the eps ball, uniformly.
        restarts: how many starts; per image the best is kept: one that succeeds before one that does not, then the
            higher loss. More than one needs ``random_start``. Where these turn out to be worse together, as of a
            model that mixes the images of a pass, they are those of the start that is best for the whole batch.
        generator: the source of the starts, on the CPU so that a seed means the same on every device. None draws
            from a copy of the global random state and leaves that where it was.

    Returns:
        Adversarial images, same shape and type as x.

    Raises:
        ValueError: as in :func:`fgsm`, and for step_size outside [0, 1], steps < 1, restarts < 1 or without
            random_start.
    """
    x, loss = arguments.images("x", x), Loss(x, y, targeted)
    eps, step_size, steps = _check_iterative(eps, step_size, steps)
    restarts = arguments.at_least("restarts", restarts, 1)
    random_start = arguments.flag("random_start", random_start)
    if restarts > 1 and not random_start:
        raise ValueError(f"restarts: {restarts} restarts from the same point are all alike; pass random_start=True")
    if generator is None:
        generator = torch.Generator("cpu")
        generator.set_state(torch.get_rng_state())
    else:
        arguments.generator("generator", generator)

    def climb(loss: Loss, x: Tensor, start: Tensor) -> Tensor:
        x_adv = start
        for _ in range(steps):
            x_adv = kernels.sign_step(x_adv, loss.gradient(model, x_adv), x, eps, step_size)
        return x_adv

    def start() -> Tensor:
        if not random_start:
            return x
        uniform = torch.rand(x.shape, generator=generator, dtype=torch.float64, device="cpu") * 2 - 1
        return (x + eps * uniform.to(x)).clamp_(0, 1)

    about = ("pgd", precision, eps, step_size, steps)
    with _attack_mode(model, x, precision, loss) as x:
        climbs = (_climbed(climb, about, model, loss, x, start()) for _ in range(restarts))
        best = next(climbs)
        if restarts > 1:
            best = _best_of(loss, model, best, climbs)
        return best.contiguous()


def _climbed(
    climb: "Callable[[Loss, Tensor, Tensor], Tensor]",
    about: tuple[object, ...],
    model: nn.Module,
    loss: "Loss",
    x: Tensor,
    start: Tensor,
) -> Tensor:
    """x' of ``climb(loss, x, start)``, which ``about`` and the model tell all about."""
    if not graphs.on_gpu(x):
        return climb(loss, x, start)

    def work(x: Tensor, start: Tensor, y: Tensor) -> tuple[Tensor, ...]:
        of_these = loss.of_classes(y)
        return climb(of_these, x, start), of_these.gradients, of_these.latest, of_these.logits

    def fits(outputs: Sequence[Tensor]) -> bool:
        return outputs[-1].shape[1] > loss.highest

    found = graphs.run(model, (*about, loss.sign), work, (x, start, loss.y), fits)
    x_adv, gradients, loss.latest, loss.logits = found
    loss.gradients = loss.gradients + gradients
    return x_adv


def _best_of(loss: "Loss", model: nn.Module, first: Tensor, others: Iterable[Tensor]) -> Tensor:
    """Of each image the x' that ranks highest; all of one attempt, where these together are worse than that one."""
    best = whole = first
    best_rank = whole_rank = loss.rank(model, first)
    for x_adv in others:
        rank = loss.rank(model, x_adv)
        best = torch.where((rank > best_rank).view(-1, 1, 1, 1), x_adv, best)
        best_rank = torch.maximum(rank, best_rank)
        if rank.mean() > whole_rank.mean():
            whole, whole_rank = x_adv, rank
    return best if loss.rank(model, best).mean() >= whole_rank.mean() else whole


def paper_attacks(eps: float, step_size: float, steps: int, precision: str = "float32") -> dict[str, Attack]:
    """The columns of Tables 1 and 2, by name: each maps (model, x, y) to adversarial images.

    Step-LL and MI-FGSM are the targeted ones. The paper does not name MI-FGSM's target; as for Step-LL it is the
    class that is least likely for the clean image. PGD and FGSM are untargeted.

    Args:
        eps, step_size, steps, precision: as in :func:`mi_fgsm`.

    Raises:
        ValueError: one of them is out of range.
    """
    eps, step_size, steps = _check_iterative(eps, step_size, steps)
    arguments.one_of("precision", precision, PRECISIONS)
    return {
        "step_ll": lambda model, x, y: step_ll(model, x, eps, precision),
        "mi_fgsm": lambda model, x, y: mi_fgsm(
            model, x, least_likely_class(model, x), eps, step_size, steps, targeted=True, precision=precision
        ),
        "pgd": lambda model, x, y: pgd(model, x, y, eps, step_size, steps, precision=precision),
        "fgsm": lambda model, x, y: fgsm(model, x, y, eps, precision=precision),
    }


SUMS = 1e-3  # rounding of the sum of probabilities, in half precision too


@contextmanager
def _attack_mode(model: nn.Module, x: Tensor, precision: str, loss: "Loss") -> Iterator[Tensor]:
    """The model frozen and computing in a precision, and x detached, in the memory format that suits the model.

    NotFinite at the end where a gradient of the loss was, and a warning where the model gives probabilities.
    """
    arguments.one_of("precision", precision, PRECISIONS)
    with frozen(model), autocast(x.device, precision):
        yield fast_memory_format(model, x.clone() if x.is_inference() else x.detach())
    if not loss.gradients.isfinite():
        raise NotFinite("model: the gradient of its loss is", model, x, loss.latest, loss=loss.of_logits)
    if _are_probabilities(loss.logits):
        warnings.warn(
            "model: its outputs are in [0, 1] and sum to 1 for every image, as probabilities do; attacks climb the "
            "cross-entropy of logits and are weak on these: let it return what comes before the softmax",
            stacklevel=4,
        )


def _are_probabilities(logits: Tensor) -> bool:
    exact = logits.double()
    return bool(((exact >= 0) & (exact <= 1)).all() & ((exact.sum(1) - 1).abs() < SUMS).all())


class Loss:
    """Summed cross-entropy to y, which every attack climbs; negated when y is a target to reach.

    ``gradients`` is the sum of all gradients so far: NaN and infinity stay in it, so that one look at the end will do,
    for which alone a GPU has to be waited for. ``latest`` is what the last one was taken at, and ``logits`` the model's
    for it.
    """

    def __init__(self, x: Tensor, y: Tensor, targeted: bool = False) -> None:
        with torch.inference_mode(False):
            self.y = arguments.labels("y", y, len(x), x.device).clone()  # made in inference mode, no gradient passes
            self.gradients = torch.zeros((), dtype=torch.float64, device=x.device)
        self.highest = arguments.highest_class("y", self.y)
        self.sign = -1.0 if arguments.flag("targeted", targeted) else 1.0
        self.latest = x
        self.logits = torch.empty(0, 0)

    def of_classes(self, y: Tensor) -> "Loss":
        """The same of as many images of other classes, of none of which a gradient has been taken yet."""
        other = copy.copy(self)
        other.y, other.gradients = y, torch.zeros_like(self.gradients)
        return other

    def of_logits(self, logits: Tensor) -> Tensor:
        exact = logits.to(torch.promote_types(logits.dtype, torch.float32))
        return self.sign * F.cross_entropy(exact, self.y, reduction="sum")

    def gradient(self, model: nn.Module, x: Tensor) -> Tensor:
        def compute(given: Tensor) -> Tensor:
            leaf = given.detach().requires_grad_(True)
            logits = read_logits(model(own(model, leaf)), len(x), self.highest, "y")
            slope = torch.autograd.grad(self.of_logits(logits), leaf, allow_unused=True) if logits.requires_grad else []
            if not slope or slope[0] is None:
                raise ValueError(
                    "model: its logits have no gradient with respect to the images, as after quantisation, detach(), "
                    "argmax or torch.no_grad in it; attacks need the model before that"
                )
            self.logits = logits.detach()
            return slope[0]

        self.latest = x
        gradient = attempt(model, x, compute)
        self.gradients += gradient.sum(dtype=torch.promote_types(gradient.dtype, torch.float32))
        return gradient

    @torch.no_grad()
    def rank(self, model: nn.Module, x_adv: Tensor) -> Tensor:
        """(N,), higher is the better attack: success in the first place, then the loss (squeezed into (-1/2, 1/2))."""
        logits = read_logits(run(model, x_adv), len(x_adv), self.highest, "y")
        reached = logits.argmax(1) == self.y
        success = reached if self.sign < 0 else ~reached
        loss = self.sign * F.cross_entropy(logits.double(), self.y, reduction="none")
        return success.double() + loss / (2 + 2 * loss.abs())


def _check_iterative(eps: float, step_size: float, steps: int) -> tuple[float, float, int]:
    return arguments.radius("eps", eps), arguments.radius("step_size", step_size), arguments.at_least("steps", steps, 1)
