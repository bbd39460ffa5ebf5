"""The models of one setting under the attacks and checks of :mod:`snslib.evaluation.robustness`, as records."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from snslib.data import Split, to_float
from snslib.evaluation import robustness
from snslib.evaluation.accuracy import accuracy
from snslib.sensitivity import dual_pairs, neuron_variance
from snslib.study import records
from snslib.study.experiment import Experiment
from snslib.study.networks import Zoo, as_lists

N_STATISTICS = 2000  # training images whose statistics BatchNorm is given


class Scrutiny(Experiment):
    """An experiment whose models are asked whether their robustness is real.

    Each measurement takes the first n test images, a tenth of the settings' number unless given: AutoAttack makes
    thousands of attempts on each.
    """

    def first(self, n: int | None) -> Split:
        """The first n test images, or a tenth of them."""
        return self.test.take(n or max(1, len(self.test) // 10))

    def pgd_accuracy(self, defense: str, n: int | None = None) -> dict[str, Any]:
        """Accuracy under the paper's PGD, on the images on which the others here are measured.

        Result: "clean" and "pgd", the share of images still right.
        """
        images = self.first(n)

        def compute() -> dict[str, float]:
            model = self.model(defense)
            return {"clean": accuracy(model, images), "pgd": accuracy(model, images, self.attacks["pgd"])}

        return self._scrutinise("pgd-accuracy", defense, {"n": len(images)}, compute)

    def targeted_pgd(self, defense: str, n: int | None = None, steps: int = 100) -> dict[str, Any]:
        """Accuracy under ``robustness.strong_pgd`` toward the other classes, from one random start each.

        Result: the share of images that are right after every attempt.
        """
        s, images = self.settings, self.first(n)

        def compute() -> float:
            self.progress(f"targeted PGD-{steps} on {defense}")
            right = robustness.strong_pgd(self.model(defense), images, s.eps, steps, 1, targeted=True, seed=s.seed)
            return right.double().mean().item()

        return self._scrutinise("targeted-pgd", defense, {"n": len(images), "steps": steps}, compute)

    def autoattack(self, defense: str, n: int | None = None) -> dict[str, Any]:
        """Accuracy under :func:`snslib.evaluation.robustness.autoattack`.

        Result: "accuracy", the share of images that are right after its four attacks; "warnings", what AutoAttack has
        to say about the model.
        """
        s, images = self.settings, self.first(n)

        def compute() -> dict[str, Any]:
            self.progress(f"AutoAttack on {defense}")
            with _warnings_of("auto-attack") as warnings:
                right = robustness.autoattack(self.model(defense), images, s.eps, s.seed)
            return {"accuracy": right.double().mean().item(), "warnings": sorted(set(warnings))}

        inputs = {"n": len(images), "pyautoattack": robustness.autoattack_version()}
        return self._scrutinise("autoattack", defense, inputs, compute)

    def sanity_checks(self, defense: str, source: str, n: int | None = None) -> dict[str, Any]:
        """The signs of masked gradients, with transferred examples from another of the models.

        Result: as :func:`snslib.evaluation.robustness.sanity_checks` returns it.
        """
        s, images = self.settings, self.first(n)

        def compute() -> dict[str, Any]:
            model, other = self.model(defense), self.model(source)
            return robustness.sanity_checks(model, images, s.eps, other, seed=s.seed)

        inputs = {"n": len(images), "source": self._recipe(source)}
        return self._scrutinise("sanity-checks", defense, inputs, compute)

    def transfer_matrix(self, models: Mapping[str, tuple[Zoo, str]], n: int | None = None) -> dict[str, Any]:
        """Accuracy of each model on images that the paper's PGD made on each.

        Args:
            models: name to where the model comes from, and its defense.
            n: see the class.

        Result: as :func:`snslib.evaluation.robustness.transfer_matrix` returns it.
        """
        images = self.first(n)

        def compute() -> dict[str, dict[str, float]]:
            loaded = {name: zoo.model(defense) for name, (zoo, defense) in models.items()}
            return robustness.transfer_matrix(loaded, images, self.attacks["pgd"])

        recipes = {name: zoo._recipe(defense) for name, (zoo, defense) in models.items()}
        _, first = next(iter(models.values()))
        return self._scrutinise("transfer-matrix", first, {"n": len(images), "models": recipes}, compute)

    def accuracy_by_statistics(self, defense: str, n: int | None = None) -> dict[str, Any]:
        """Accuracy by the images whose statistics BatchNorm is given, see ``robustness.with_statistics_of``.

        Result: "kept" (the statistics that training left), "clean" (those of N_STATISTICS training images) and "fixed"
        (those of their x', made by PGD on the vanilla model), each to the share of test images right when they are
        "clean", are such x' too ("fixed"), and under white-box "pgd" on the model with these statistics.
        """
        images = self.first(n)
        estimated = self.data.train.take(N_STATISTICS)

        def compute() -> dict[str, dict[str, float]]:
            vanilla, model, pgd = self.model("vanilla"), self.model(defense), self.attacks["pgd"]
            pairs = list(dual_pairs(vanilla, estimated, pgd))
            models = {
                "kept": model,
                "clean": robustness.with_statistics_of(model, (x for x, _ in pairs)),
                "fixed": robustness.with_statistics_of(model, (x_adv for _, x_adv in pairs)),
            }
            made_on = robustness.transfer_matrix({"vanilla": vanilla, **models}, images, pgd)
            return {
                name: {
                    "clean": accuracy(of_these, images),
                    "fixed": made_on["vanilla"][name],
                    "pgd": made_on[name][name],
                }
                for name, of_these in models.items()
            }

        inputs = {"n": len(images), "estimated": len(estimated), "source": self._recipe("vanilla")}
        return self._scrutinise("accuracy-by-statistics", defense, inputs, compute)

    def variance(self, defense: str, n: int | None = None) -> dict[str, Any]:
        """How much each neuron varies from image to image, see :func:`snslib.sensitivity.neuron_variance`.

        Result: "over_images" and "over_all", layer to one variance per neuron, of the convolutional layers and fc.
        """
        images = self.first(n)

        def compute() -> dict[str, Any]:
            found = neuron_variance(self.model(defense), self._inputs(images), [*self.conv_layers, "fc"])
            return dict(zip(("over_images", "over_all"), map(as_lists, found), strict=True))

        return self._scrutinise("variance", defense, {"n": len(images)}, compute)

    def loss_surface(self, defense: str, points: int = 21, n: int = 20) -> dict[str, Any]:
        """The loss around the images, averaged over them.

        Result: "offsets" and "loss", as :func:`snslib.evaluation.robustness.loss_surface` returns them.
        """
        s, images = self.settings, self.test.take(n).to(self.device)

        def compute() -> dict[str, Any]:
            x = to_float(images.images)
            offsets, loss = robustness.loss_surface(self.model(defense), x, images.labels, s.eps, points, s.seed)
            return {"offsets": offsets, "loss": loss.tolist()}

        return self._scrutinise("loss-surface", defense, {"n": len(images), "points": points}, compute)

    def _scrutinise(
        self, what: str, defense: str, inputs: dict[str, Any], compute: Callable[[], Any]
    ) -> dict[str, Any]:
        """A record that depends on the code of this file too."""
        of_this = {"code": records.code("study.scrutinised")}
        return self._record(what, defense, {**inputs, "scrutiny": of_this}, compute)


@contextmanager
def _warnings_of(logger: str) -> Iterator[list[str]]:
    """What a logger warns of while the context lasts, kept instead of printed."""
    lines: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    of_package, handler = logging.getLogger(logger), Keep(logging.WARNING)
    propagated = of_package.propagate
    of_package.addHandler(handler)
    of_package.propagate = False
    try:
        yield lines
    finally:
        of_package.removeHandler(handler)
        of_package.propagate = propagated
