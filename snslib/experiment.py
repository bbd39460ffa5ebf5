"""The paper's pipeline: trains what is missing, measures what is asked for, and finds again what was made before."""

import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from snslib import attacks, cache
from snslib.attacks import Attack
from snslib.data import Dataset, Split, batches, to_float
from snslib.datasets import load_dataset
from snslib.evaluation import accuracy, predicted
from snslib.hooks import suppress
from snslib.models import build_model
from snslib.objectives import PAT, SNS, Objective, Vanilla
from snslib.sensitivity import dual_pairs, important_neurons, neuron_activation, neuron_sensitivity, top_neurons
from snslib.settings import Settings
from snslib.training import History, Schedule, load_tensors, save_tensors, train

DEFENSES = {  # name: as the paper writes it
    "vanilla": "Vanilla",
    "pat": "PAT",
    "sns_sen_cls": r"SNS$_{sen}^{cls}$",
    "sns_all_cls": r"SNS$_{all}^{cls}$",
    "sns_sen_adv": r"SNS$_{sen}^{adv}$",
}
ATTACKS = {  # name: as the paper writes it, in the order of Table 1
    "step_ll": "Step-LL",
    "mi_fgsm": "MI-FGSM",
    "pgd": "PGD",
    "fgsm": "FGSM",
}
BETAS = [1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5]  # Fig. 3a
N_VALIDATE = 500  # validation images judged after each epoch, at most

# What a trained model depends on, besides its settings, and a measurement besides its model.
_TRAINING_CODE = (
    "data.py",
    "datasets.py",
    "models.py",
    "modes.py",
    "attacks.py",
    "kernels/reference.py",
    "hooks.py",
    "sensitivity.py",
    "losses.py",
    "objectives.py",
    "training.py",
)
_MEASURING_CODE = (*_TRAINING_CODE, "evaluation.py", "experiment.py")


class Experiment:
    """One setting's models and measurements.

    Models and records are kept in ``folder`` under a hash of all that they depend on: data, configuration, seed and
    the code of snslib. Whatever is there already is read; whatever is missing is made, with what it needs before it.

    Args:
        settings: see :mod:`snslib.settings`.
        folder: where models and records are kept; None is the project's ``.cache/snslib``.
        progress: takes a line whenever there is something to tell about long work.
    """

    def __init__(
        self, settings: Settings, folder: Path | None = None, progress: Callable[[str], None] = print
    ) -> None:
        self.settings = settings
        self.folder = folder or cache.default_folder()
        self.progress = progress
        self.device = cast(str, settings.device)

    @cached_property
    def data(self) -> Dataset:
        """The data set, with the settings' number of images held out for validation."""
        s = self.settings
        return load_dataset(s.dataset, validation=s.validation, image_size=s.image_size, download=True)

    @cached_property
    def test(self) -> Split:
        """The test images that are measured."""
        return self.data.test.take(self.settings.n_test)

    @cached_property
    def conv_layers(self) -> tuple[str, ...]:
        """The model's convolutional layers, bottom to top."""
        return self.settings.conv_layers

    @cached_property
    def stabilised_layers(self) -> tuple[str, ...]:
        """The layers on which SNS works: ``first_layer`` and the convolutional layers above it."""
        return self.conv_layers[self.conv_layers.index(self.settings.first_layer) :]

    @cached_property
    def penultimate_layer(self) -> str:
        """The layer whose neurons feed fc (section 3.2); pool5 of VGG-16, where its head leaves it as it is."""
        *_, last, _ = (name for name, _ in self._build().named_children())
        return "pool5" if last == "head" and self.data.image_size == 32 else last

    @cached_property
    def attacks(self) -> dict[str, Attack]:
        """The four attacks at the settings' eps, step size and steps."""
        s = self.settings
        return attacks.paper_attacks(s.eps, cast(float, s.step_size), s.steps)

    # --- models ---

    def model(self, defense: str) -> nn.Module:
        """The model trained with a defense, in eval mode, on the settings' device; trained first where it is not there.

        Raises:
            ValueError: an unknown defense.
        """
        tensors, _ = self._trained(defense)
        model = self._build()
        model.load_state_dict(tensors)
        return model.eval()

    def history(self, defense: str) -> History:
        """Per epoch of the model's training: losses, accuracy on validation images, seconds (see training.train)."""
        return self._trained(defense)[1]["history"]

    def _build(self) -> nn.Module:
        s = self.settings
        return build_model(s.model, self.data.num_classes, s.width, self.data.image_size).to(self.device)

    def _recipe(self, defense: str) -> dict[str, Any]:
        """Everything that the trained model depends on."""
        s = self.settings
        attack = {"eps": s.eps, "step_size": s.step_size, "steps": s.steps}
        recipe: dict[str, Any] = {
            "defense": defense,
            "data": self._data_key,
            "model": s.model,
            "width": s.width,
            "schedule": asdict(self._schedule(defense)),
            "code": cache.code(_TRAINING_CODE),
            "torch": torch.__version__.split("+")[0],
        }
        if defense != "vanilla":
            recipe["attack"] = attack
        if defense.startswith("sns"):
            recipe["vanilla"] = cache.key(self._recipe("vanilla"))
            recipe["sns"] = {
                "lam": s.lam,
                "fraction": self._fraction(defense),
                "pairs": s.pairs,
                "reduction": s.reduction,
                "n_pairs": s.n_pairs,
            }
        return recipe

    @cached_property
    def _data_key(self) -> dict[str, Any]:
        splits = (self.data.train, self.data.validation, self.data.test)
        sums = [zlib.crc32(t.contiguous().numpy().data) for split in splits for t in (split.images, split.labels)]
        return {"name": self.data.name, "crc32": sums, "padding": self.data.crop_padding, "flip": self.data.flip}

    def _schedule(self, defense: str) -> Schedule:
        s = self.settings
        common: dict[str, Any] = {"batch_size": s.batch_size, "seed": s.seed}
        if defense == "vanilla":
            return Schedule(s.vanilla_epochs, s.vanilla_lr, **common)
        if defense == "pat":
            return Schedule(s.pat_epochs, s.pat_lr, **common)
        if defense in DEFENSES:
            return Schedule(s.epochs, s.lr, first_layer=s.first_layer, **common)
        raise ValueError(f"defense: expected one of {', '.join(DEFENSES)}, got {defense!r}")

    def _fraction(self, defense: str) -> float:
        return 1.0 if defense == "sns_all_cls" else self.settings.fraction

    def _objective(self, defense: str) -> Objective:
        if defense == "vanilla":
            return Vanilla()
        if defense == "pat":
            return PAT(self.attacks["pgd"])
        fixed = self.settings.pairs == "fixed"
        return SNS(
            omega=self.sensitive_neurons(self._fraction(defense)),
            lam=self.settings.lam,
            adversarial=defense.endswith("adv"),
            reduction=self.settings.reduction,
            source=self.settings.pairs,
            pairs=self.fixed_pairs() if fixed else None,
            attack=None if fixed else self.attacks["pgd"],
        )

    def _trained(self, defense: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
        recipe = self._recipe(defense)
        path = self.folder / "models" / f"{defense}-{cache.key(recipe)}.safetensors"
        if not path.exists():
            schedule = self._schedule(defense)
            objective = self._objective(defense)  # first of all, since it may train the vanilla model
            start = "the vanilla model" if defense.startswith("sns") else "scratch"
            self.progress(f"training {defense} from {start}: {self.data.name}, {len(self.data.train)} images")
            if defense.startswith("sns"):
                model = self.model("vanilla")
            else:
                with torch.random.fork_rng():
                    torch.manual_seed(self.settings.seed)
                    model = self._build()
            checkpoint = path.with_suffix(".partial")
            history = train(model, self.data, objective, schedule, self._validate, checkpoint, self.progress)
            state = {"recipe": recipe, "history": history, **cache.provenance(self.device)}
            save_tensors(path, model.state_dict(), state)
            checkpoint.unlink()
        return load_tensors(path)

    def _validate(self, model: nn.Module) -> dict[str, float]:
        split = self.data.validation.take(N_VALIDATE)
        if len(split) == 0:
            return {}
        return {"clean": accuracy(model, split), "pgd": accuracy(model, split, self.attacks["pgd"])}

    # --- what SNS starts from (Algorithm 1, line 1) ---

    def fixed_pairs(self) -> Tensor:
        """x' of every training image, made once by PGD on the vanilla model; float32 (N, 3, H, W), in their order."""
        inputs = {"vanilla": self._recipe("vanilla"), **self._recipe("sns_sen_adv")["attack"]}
        path = self.folder / "pairs" / f"pgd-{cache.key(inputs)}.safetensors"
        if not path.exists():
            self.progress(f"making the dual pairs of {len(self.data.train)} training images with PGD")
            model = self.model("vanilla")
            made = [x_adv.cpu() for _, x_adv in dual_pairs(model, self.data.train, self.attacks["pgd"])]
            save_tensors(path, {"x_adv": torch.cat(made)}, inputs)
        return load_tensors(path)[0]["x_adv"].to(self.device)

    def sensitive_neurons(self, fraction: float | None = None) -> dict[str, Tensor]:
        """Omega_l of the stabilised layers (Eq. 2), of the vanilla model on training images.

        Args:
            fraction: share of each layer's neurons; None takes the settings'.
        """
        sigma = self.sensitivity("vanilla", split="train")["result"]["sigma"]
        chosen = {layer: torch.tensor(sigma[layer]) for layer in self.stabilised_layers}
        return top_neurons(chosen, fraction=fraction or self.settings.fraction)

    # --- measurements: each returns a record ---

    def accuracy(self, defense: str) -> dict[str, Any]:
        """Accuracy on the test images, clean and under the four attacks, white-box (Table 1).

        Result: "clean" and each attack to the share of images still right.
        """

        def compute() -> dict[str, float]:
            model = self.model(defense)
            return {
                name: accuracy(model, self.test, attack)
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

            return accuracy(model, self.test, transfer)

        inputs = {"n": len(self.test), "source": self._recipe("vanilla")}
        return self._record("accuracy-on-fixed", defense, inputs, compute)

    def strong_accuracy(self, defense: str, steps: int = 50, restarts: int = 1) -> dict[str, Any]:
        """Accuracy under a stronger PGD: more steps of eps / 4 from random starts.

        Result: the share of images still right.
        """
        s = self.settings

        def strong(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
            generator = torch.Generator().manual_seed(s.seed)
            return attacks.pgd(model, x, y, s.eps, s.eps / 4, steps, True, restarts, generator=generator)

        def compute() -> float:
            return accuracy(self.model(defense), self.test, strong)

        inputs = {"n": len(self.test), "steps": steps, "restarts": restarts}
        return self._record("strong-accuracy", defense, inputs, compute)

    def accuracy_by_eps(self, defense: str, epsilons: list[float]) -> dict[str, Any]:
        """Accuracy on the test images under PGD at several radii, each with a step size of eps / 10.

        Result: the share of images still right, one per radius.
        """
        steps = self.settings.steps

        def compute() -> list[float]:
            model = self.model(defense)
            attack_at = [attacks.paper_attacks(eps, eps / 10, steps)["pgd"] for eps in epsilons]
            return [accuracy(model, self.test, attack) for attack in attack_at]

        return self._record("accuracy-by-eps", defense, {"n": len(self.test), "epsilons": epsilons}, compute)

    def sensitivity(self, defense: str, attack: str = "pgd", split: str = "test") -> dict[str, Any]:
        """Sensitivity of every neuron of the convolutional layers and fc (Eq. 1), attacked white-box.

        Args:
            defense: the model that is attacked and measured.
            attack: one of ATTACKS.
            split: "test", or "train" for the images on which the sensitive neurons are selected.

        Result: "sigma", layer to one number per neuron, and "activation", the same for the L1 norm of the output.
        """
        if attack not in self.attacks:
            raise ValueError(f"attack: expected one of {', '.join(self.attacks)}, got {attack!r}")
        images = self.test if split == "test" else self.data.train.take(self.settings.n_pairs)
        layers = [*self.conv_layers, "fc"]

        def compute() -> dict[str, Any]:
            model = self.model(defense)
            self.progress(f"measuring the sensitivity of {defense} under {attack} on {len(images)} {split} images")
            sigma = neuron_sensitivity(model, dual_pairs(model, images, self.attacks[attack]), layers)
            activation = neuron_activation(model, self._inputs(images), layers)
            return {"sigma": _lists(sigma), "activation": _lists(activation)}

        return self._record("sensitivity", defense, {"attack": attack, "split": split, "n": len(images)}, compute)

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
            return [_lists(neuron_sensitivity(model, of_half, layers)) for of_half in pairs]

        return self._record("sensitivity-of-halves", defense, {"split": "train", "n": len(images)}, compute)

    def effect_of_sns(self, defense: str) -> dict[str, dict[str, float]]:
        """What training did to the neurons that SNS stabilises, from the test-split records of ``sensitivity``.

        Returns:
            Stabilised layer to: "chosen", how many neurons are stabilised; "before" and "after", their mean sensitivity
            in the vanilla and in the trained model; "relative_before" and "relative_after", their summed sensitivity
            over their summed clean output; "dead", how many put out nothing any more for any test image.
        """
        omega = self.sensitive_neurons(self._fraction(defense))
        results = {"before": self.sensitivity("vanilla")["result"], "after": self.sensitivity(defense)["result"]}
        effect: dict[str, dict[str, float]] = {}
        for layer, neurons in omega.items():
            effect[layer] = {"chosen": len(neurons)}
            for when, result in results.items():
                sigma, activation = (torch.tensor(result[name][layer])[neurons] for name in ("sigma", "activation"))
                effect[layer][when] = sigma.mean().item()
                effect[layer][f"relative_{when}"] = (sigma.sum() / activation.sum().clamp_min(1e-12)).item()
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
        classes; "channels", layer to its number of neurons.
        """
        s = self.settings

        def compute() -> dict[str, Any]:
            model = self.model("vanilla")
            layers = [*self.conv_layers, "fc"]
            result: dict[str, Any] = {"sensitive": {name: [] for name in layers}}
            result["penultimate"] = {which: {"sensitive": [], "important": []} for which in ("reached", "all")}
            result |= {name: [] for name in ("reached", "n")}
            drawn = torch.randperm(self.data.num_classes, generator=torch.Generator().manual_seed(s.seed))
            result["targets"] = sorted(drawn[:10].tolist())
            for target in result["targets"]:
                self.progress(f"targeted PGD toward class {target} of {self.data.num_classes}")
                train = self.data.train
                others = Split(train.images[train.labels != target], train.labels[train.labels != target])

                def toward(model: nn.Module, x: Tensor, y: Tensor, target: int = target) -> Tensor:
                    aim = torch.full_like(y, target)
                    return attacks.pgd(model, x, aim, s.eps, cast(float, s.step_size), s.steps, targeted=True)

                pairs = list(dual_pairs(model, others.take(s.n_pairs), toward))
                sigma = neuron_sensitivity(model, pairs, [*layers, layer])
                omega = top_neurons({name: sigma[name] for name in self.conv_layers}, fraction=s.fraction)
                omega["fc"] = top_neurons({"fc": sigma["fc"]}, k=self.data.num_classes)["fc"]
                for name in layers:
                    result["sensitive"][name].append(omega[name].tolist())
                x, x_adv = (torch.cat(side) for side in zip(*pairs, strict=True))
                reached = (predicted(model, x_adv.split(250)) == target).to(x.device)
                for which, (some, some_adv) in {"reached": (x[reached], x_adv[reached]), "all": (x, x_adv)}.items():
                    sets: dict[str, list[int]] = {"sensitive": [], "important": []}
                    if len(some) > 0:
                        halves = zip(some.split(250), some_adv.split(250), strict=True)
                        sets["sensitive"] = top_neurons(neuron_sensitivity(model, halves, [layer]), k=k)[layer].tolist()
                        sets["important"] = important_neurons(model, some_adv, target, layer, k, k).tolist()
                    for name, neurons in sets.items():
                        result["penultimate"][which][name].append(neurons)
                result["reached"].append(reached.double().mean().item())
                result["n"].append(len(x_adv))
                result["channels"] = {name: len(value) for name, value in sigma.items()}
            return result

        inputs = {"layer": layer, "k": k, "n_pairs": s.n_pairs, "fraction": s.fraction}
        return self._record("targeted-neurons", "vanilla", inputs, compute)

    def suppression(self, betas: list[float] = BETAS) -> dict[str, Any]:
        """Accuracy of the vanilla model when its sensitive neurons' outputs are multiplied by beta (Fig. 3a).

        Result: "white_box" (attacks on the suppressed model) and "transferred" (attacks on the model as it was), each
        "clean" and attack to one accuracy per beta; "betas".
        """
        s = self.settings

        def compute() -> dict[str, Any]:
            model = self.model("vanilla")
            sigma = self.sensitivity("vanilla", split="train")["result"]["sigma"]
            omega = top_neurons({name: torch.tensor(sigma[name]) for name in self.conv_layers}, fraction=s.fraction)
            result: dict[str, Any] = {"betas": betas, "white_box": {}, "transferred": {}}
            for name, attack in {"clean": None, **self.attacks}.items():
                self.progress(f"suppressing the sensitive neurons: {name}")
                white_box, transferred = [], []
                if attack is None:
                    images = list(self._inputs(self.test))
                else:
                    images = [x_adv for _, x_adv in dual_pairs(model, self.test, attack)]
                for beta in betas:
                    with suppress(model, omega, beta):
                        white_box.append(accuracy(model, self.test, attack))
                        transferred.append((predicted(model, images) == self.test.labels).double().mean().item())
                result["white_box"][name], result["transferred"][name] = white_box, transferred
            return result

        inputs = {"n": len(self.test), "n_pairs": s.n_pairs, "fraction": s.fraction, "betas": betas}
        return self._record("suppression", "vanilla", inputs, compute)

    def _record(
        self, what: str, defense: str, inputs: dict[str, Any], compute: Callable[[], Any]
    ) -> dict[str, Any]:
        s = self.settings
        everything = {
            "trained": self._recipe(defense),
            "attack": {"eps": s.eps, "step_size": s.step_size, "steps": s.steps},
            **inputs,
            "code": cache.code(_MEASURING_CODE),
        }
        about = {
            "profile": s.profile,
            "defense": defense,
            "seed": s.seed,
            "data": {"name": self.data.name, "origin": self.data.origin, "official": self.data.official},
        }
        return cache.record(self.folder, what, everything, about, self.device, compute)

    def _inputs(self, split: Split) -> Iterator[Tensor]:
        return (to_float(images) for _, images, _ in batches(split.to(self.device), 250))


def _lists(values: dict[str, Tensor]) -> dict[str, list[float]]:
    return {name: value.tolist() for name, value in values.items()}
