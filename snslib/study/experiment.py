"""What the paper measures on the models of one setting: each measurement is a record, found again when asked twice."""

from dataclasses import asdict
from typing import Any, cast

import torch
from torch import Tensor, nn

from snslib import arguments, attacks
from snslib.data import Split
from snslib.evaluation import receptive_fields
from snslib.evaluation.accuracy import accuracy, predicted
from snslib.evaluation.corruptions import CORRUPTIONS, as_attack
from snslib.evaluation.neuron_sets import index_errors
from snslib.evaluation.robustness import strong_pgd
from snslib.hooks import suppress
from snslib.inference import images_at_once
from snslib.sensitivity import (
    CHOICES,
    choose_neurons,
    dual_pairs,
    important_neurons,
    neuron_activation,
    neuron_sensitivity,
    top_neurons,
)
from snslib.study.networks import Zoo, as_lists, shared_accuracy

BETAS = [1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5]  # Fig. 3a
EPSILONS = [n / 255 for n in (2, 4, 8, 16, 32, 64)]  # of accuracy_by_eps
BLOCKS = 20  # of the images that are attacked toward a class, for the errors of Fig. 2b


class Experiment(Zoo):
    """The models of one setting and the measurements on them; see :class:`snslib.study.networks.Zoo` for its arguments.

    Each method returns a record as :func:`snslib.study.records.record` describes it, and says what is under "result".
    """

    def accuracy(self, defense: str) -> dict[str, Any]:
        """Accuracy on the test images, clean and under the four attacks, white-box (Table 1).

        Result: "clean" and each attack to the share of images still right.
        """

        def compute() -> dict[str, float]:
            model = self.model(defense)
            return {
                name: shared_accuracy(model, self.test, attack)
                for name, attack in {"clean": None, **self.attacks}.items()
            }

        return self._record("accuracy", defense, {"n": len(self.test)}, compute)

    def accuracy_on_fixed(self, defense: str) -> dict[str, Any]:
        """Accuracy on test images that PGD made on the *vanilla* model: no white-box attack, and no test of a defense.

        Result: the share of images still right.
        """

        def compute() -> float:
            vanilla, model = self.model("vanilla"), self.model(defense)

            def transfer(_: nn.Module, x: Tensor, y: Tensor) -> Tensor:
                return self.attacks["pgd"](vanilla, x, y)

            return shared_accuracy(model, self.test, transfer)

        inputs = {"n": len(self.test), "source": self._recipe("vanilla")}
        return self._record("accuracy-on-fixed", defense, inputs, compute)

    def strong_accuracy(self, defense: str, steps: int = 50, restarts: int = 1, n: int | None = None) -> dict[str, Any]:
        """Accuracy under a stronger PGD: more steps of eps / 4 from random starts, on the first n test images or all.

        Result: the share of images that are right as they are and after the attack from every start.
        """
        s = self.settings
        images = self.test.take(n)

        def compute() -> float:
            right = strong_pgd(self.model(defense), images, s.eps, steps, restarts, seed=s.seed)
            return right.double().mean().item()

        inputs = {"n": len(images), "steps": steps, "restarts": restarts}
        return self._record("strong-accuracy", defense, inputs, compute)

    def accuracy_by_eps(self, defense: str, epsilons: list[float] = EPSILONS) -> dict[str, Any]:
        """Accuracy on the test images under PGD at several radii, each with a step size of eps / 10.

        Result: the share of images still right, one per radius.
        """
        steps = self.settings.steps

        def compute() -> list[float]:
            model = self.model(defense)
            attack_at = [attacks.paper_attacks(eps, eps / 10, steps)["pgd"] for eps in epsilons]
            return [shared_accuracy(model, self.test, attack) for attack in attack_at]

        return self._record("accuracy-by-eps", defense, {"n": len(self.test), "epsilons": epsilons}, compute)

    def corrupted_accuracy(self, defense: str) -> dict[str, Any]:
        """Accuracy on the test images under the four corruptions of Fig. 7b and 10.

        Result: each corruption to the share of images still right at severities 1 to 5.
        """

        def compute() -> dict[str, list[float]]:
            model, seed = self.model(defense), self.settings.seed
            return {
                name: [shared_accuracy(model, self.test, as_attack(name, severity, seed)) for severity in range(1, 6)]
                for name in CORRUPTIONS
            }

        return self._record("corrupted-accuracy", defense, {"n": len(self.test)}, compute)

    def sensitivity_of_halves(self, defense: str) -> dict[str, Any]:
        """Sensitivity under PGD, measured apart on two disjoint halves of the images that select the neurons.

        The halves are every other one of ``n_pairs`` training images: what differs between them is chance.

        Result: per half, layer to one number per neuron.
        """
        images = self.data.train.take(self.settings.n_pairs)
        halves = [Split(images.images[start::2], images.labels[start::2]) for start in (0, 1)]
        layers = [*self.conv_layers, "fc"]

        def compute() -> list[dict[str, list[float]]]:
            model = self.model(defense)
            pairs = [dual_pairs(model, half, self.attacks["pgd"]) for half in halves]
            return [as_lists(neuron_sensitivity(model, of_half, layers)) for of_half in pairs]

        return self._record("sensitivity-of-halves", defense, {"split": "train", "n": len(images)}, compute)

    def effect_of_sns(self, defense: str) -> dict[str, dict[str, float]]:
        """What training did to the neurons that SNS stabilises, from the test-split records of ``sensitivity``.

        Returns:
            Stabilised layer to: "chosen", how many neurons are stabilised; "before" and "after", their mean sensitivity
            in the vanilla and in the trained model; "relative_before" and "relative_after", their summed sensitivity
            over their summed clean output; "dead", how many put out nothing any more for any test image.
        """
        omega = self.stabilised_neurons(defense)
        results = {"before": self.sensitivity("vanilla")["result"], "after": self.sensitivity(defense)["result"]}
        effect: dict[str, dict[str, float]] = {}
        for layer, neurons in omega.items():
            effect[layer] = {"chosen": len(neurons)}
            for when, result in results.items():
                sigma, activation = (torch.tensor(result[name][layer])[neurons] for name in ("sigma", "activation"))
                effect[layer][when] = sigma.mean().item()
                effect[layer][f"relative_{when}"] = (sigma.sum() / activation.sum()).item()
                effect[layer]["dead"] = int((activation == 0).sum())  # of the trained model, which comes last
        return effect

    def targeted_neurons(self, layer: str = "pool5", k: int = 20) -> dict[str, Any]:
        """Sensitive and important neurons of the vanilla model for each target class (sections 3.2 and 3.3).

        For each class y, targeted PGD moves up to n_pairs training images of other classes toward y. Of more than ten
        classes, ten are drawn by the seed (B.1).

        Args:
            layer: the penultimate layer, whose neurons are important or not (Eq. 3-5).
            k: how many sensitive and important neurons of that layer are compared.

        Result: "sensitive", layer to the top neurons for each class; "penultimate", the k "sensitive" and "important"
        neurons of ``layer`` for each class, from "all" images and from those that "reached" the class, as Eq. 3
        demands (empty where none did); "reached", the share of images that did; "n" per class; "targets", the
        classes; "channels", layer to its number of neurons; "errors", layer to the standard errors of J_avg and J_total
        over the attacked images, as :func:`snslib.evaluation.neuron_sets.index_errors` has them.
        """
        s = self.settings

        def compute() -> dict[str, Any]:
            model = self.model("vanilla")
            layers = [*self.conv_layers, "fc"]
            result: dict[str, Any] = {"sensitive": {name: [] for name in layers}}
            result["penultimate"] = {which: {"sensitive": [], "important": []} for which in ("reached", "all")}
            result |= {name: [] for name in ("reached", "n")}
            by_block: dict[str, list[Tensor]] = {name: [] for name in layers}  # per class (BLOCKS, C)
            drawn = torch.randperm(self.data.num_classes, generator=torch.Generator().manual_seed(s.seed))
            result["targets"] = sorted(drawn[:10].tolist())
            for target in result["targets"]:
                self.progress(f"targeted PGD toward class {target} of {self.data.num_classes}")
                train = self.data.train
                others = Split(train.images[train.labels != target], train.labels[train.labels != target])

                def toward(model: nn.Module, x: Tensor, y: Tensor, target: int = target) -> Tensor:
                    aim = torch.full_like(y, target)
                    return attacks.pgd(model, x, aim, s.eps, cast(float, s.step_size), s.steps, targeted=True)

                some = others.take(s.n_pairs)
                pairs: list[tuple[Tensor, Tensor]] = []
                of_blocks: list[dict[str, Tensor]] = []
                for start in range(min(BLOCKS, len(some))):
                    part = Split(some.images[start::BLOCKS], some.labels[start::BLOCKS])
                    of_block = list(dual_pairs(model, part, toward))
                    of_blocks.append(neuron_sensitivity(model, of_block, layers))
                    pairs += of_block
                for name in layers:
                    by_block[name].append(torch.stack([sigma[name] for sigma in of_blocks]))
                sigma = neuron_sensitivity(model, pairs, [*layers, layer])
                omega = top_neurons({name: sigma[name] for name in self.conv_layers}, fraction=s.fraction)
                omega["fc"] = top_neurons({"fc": sigma["fc"]}, k=self.data.num_classes)["fc"]
                for name in layers:
                    result["sensitive"][name].append(omega[name].tolist())
                x, x_adv = (torch.cat(side) for side in zip(*pairs, strict=True))
                reached = (predicted(model, x_adv.split(images_at_once(x.device))) == target).to(x.device)
                for which, (these, these_adv) in {"reached": (x[reached], x_adv[reached]), "all": (x, x_adv)}.items():
                    sets: dict[str, list[int]] = {"sensitive": [], "important": []}
                    if len(these) > 0:
                        sigma_of_these = neuron_sensitivity(model, [(these, these_adv)], [layer])
                        sets["sensitive"] = top_neurons(sigma_of_these, k=k)[layer].tolist()
                        sets["important"] = important_neurons(model, these_adv, target, layer, k, k).tolist()
                    for name, neurons in sets.items():
                        result["penultimate"][which][name].append(neurons)
                result["reached"].append(reached.double().mean().item())
                result["n"].append(len(x_adv))
                result["channels"] = {name: len(value) for name, value in sigma.items()}
            shares = {name: s.fraction for name in self.conv_layers} | {"fc": 1 / self.data.num_classes}  # of fc, one
            result["errors"] = {name: index_errors(by_block[name], share) for name, share in shares.items()}
            return result

        inputs = {"layer": layer, "k": k, "n_pairs": s.n_pairs, "fraction": s.fraction, "blocks": BLOCKS}
        return self._record("targeted-neurons", "vanilla", inputs, compute)

    def regions(self, layer: str, n: int | None = None) -> dict[str, Any]:
        """How much of what neurons of the vanilla model look at stays the same under PGD (Fig. 4-5, 14-17).

        The quarter of the layer's neurons that is most sensitive on these images is held against the least sensitive
        quarter; neurons that have no region in any image are left out.

        Args:
            layer: one with maps of several positions, such as pool2.
            n: on the first n test images; None for all.

        Result: "units" and "overlap", each with "sensitive" and "insensitive": the neurons from the most sensitive
        down, and for each its mean intersection over union of masks; "comparison", as
        :class:`snslib.evaluation.receptive_fields.Comparison` has it.
        """
        images = self.test.take(n)

        def compute() -> dict[str, Any]:
            model = self.model("vanilla")
            pairs = list(dual_pairs(model, images, self.attacks["pgd"]))
            sigma = neuron_sensitivity(model, pairs, [layer])[layer]
            output = neuron_activation(model, (x for x, _ in pairs), [layer])[layer]
            order = sigma.argsort(descending=True)
            order = order[output[order] > 0].cpu()
            thresholds = receptive_fields.unit_thresholds(model, images, layer, order)
            of_all = receptive_fields.mask_overlap(model, pairs, layer, order, thresholds)
            has_region = ~of_all.isnan().all(0)
            order, of_all = order[has_region], of_all[:, has_region]
            quarter = max(2, len(order) // 4)
            units = {"sensitive": order[:quarter], "insensitive": order[-quarter:]}
            overlap = {"sensitive": of_all[:, :quarter], "insensitive": of_all[:, -quarter:]}
            comparison = receptive_fields.compare_overlap(
                overlap["sensitive"], overlap["insensitive"], seed=self.settings.seed
            )
            means = {name: values.nanmean(0).tolist() for name, values in overlap.items()}
            return {
                "units": {name: of_group.tolist() for name, of_group in units.items()},
                "overlap": means,
                "comparison": asdict(comparison),
            }

        return self._record("regions", "vanilla", {"layer": layer, "n": len(images)}, compute)

    def suppression(
        self, which: str = "sensitive", betas: list[float] = BETAS, n: int | None = None
    ) -> dict[str, Any]:
        """Accuracy of the vanilla model when some neurons' outputs are multiplied by beta (Fig. 3a).

        Args:
            which: the neurons of every convolutional layer: "sensitive", or as many that are not: the "least" sensitive
                ones, or "random" ones.
            betas: the factors, 1 leaves the model as it is.
            n: on the first n test images; None for all.

        Result: "white_box" (attacks on the suppressed model) and "transferred" (attacks on the model as it was), each
        "clean" and attack to one accuracy per beta; "betas". Sensitive neurons are tried under all four attacks, the
        others under PGD.

        Raises:
            ValueError: another name in ``which``.
        """
        arguments.one_of("which", which, CHOICES)
        s, test = self.settings, self.test.take(n)
        attacked = self.attacks if which == "sensitive" else {"pgd": self.attacks["pgd"]}

        def compute() -> dict[str, Any]:
            model = self.model("vanilla")
            sigma = self.sensitivity("vanilla", split="train")["result"]["sigma"]
            of_convs = {name: torch.tensor(sigma[name]) for name in self.conv_layers}
            omega = choose_neurons(of_convs, which, s.fraction, s.seed)
            result: dict[str, Any] = {"betas": betas, "white_box": {}, "transferred": {}}
            for name, attack in {"clean": None, **attacked}.items():
                self.progress(f"suppressing {which} neurons: {name}")
                white_box, transferred = [], []
                if attack is None:
                    images = list(self._inputs(test))
                else:
                    images = [x_adv for _, x_adv in dual_pairs(model, test, attack)]
                for beta in betas:
                    with suppress(model, omega, beta):
                        white_box.append(accuracy(model, test, attack))
                        transferred.append((predicted(model, images) == test.labels).double().mean().item())
                result["white_box"][name], result["transferred"][name] = white_box, transferred
            return result

        inputs = {"n": len(test), "n_pairs": s.n_pairs, "fraction": s.fraction, "betas": betas}
        what = "suppression" if which == "sensitive" else f"suppression-of-{which}"
        return self._record(what, "vanilla", inputs, compute)
