"""The models of one setting: each is trained when it is asked for and missing, and found again afterwards."""

import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from snslib import arguments, attacks, files
from snslib.attacks import Attack
from snslib.data import Dataset, Split, batches, hold_out, to_float
from snslib.evaluation.accuracy import correct
from snslib.evaluation.corruptions import CORRUPTIONS, as_attack
from snslib.files import load_tensors, save_tensors
from snslib.inference import images_at_once
from snslib.sensitivity import choose_neurons, dual_pairs, neuron_activation, neuron_sensitivity
from snslib.study import records, results
from snslib.study.settings import Settings
from snslib.training import parallel
from snslib.training.datasets import load_dataset
from snslib.training.fixed_pairs import adversarial_images
from snslib.training.loop import History, Schedule, train
from snslib.training.models import build_model, switch_off
from snslib.training.objectives import ALP, DEFENSES, EAT, PAT, SNS, Objective, Vanilla

SOURCES = {"alexnet": ("alexnet", "resnet18")}  # whose adversarial examples EAT trains on, besides its own (C.1) ...
OTHER_SOURCES = ("googlenet", "resnet18")  # ... GoogLeNet with BatchNorm in the place of Inception-v2
REGION_LAYERS = {"vgg16": "pool2", "alexnet": "pool3"}  # in which regions are compared (Fig. 14-17)
N_VALIDATE = 500  # validation images judged after each epoch, at most

# The modules that a trained model depends on, besides its settings, and a measurement besides its model.
TRAINING_CODE = ("training.loop", "training.objectives", "training.datasets", "sensitivity")
MEASURING_CODE = (*TRAINING_CODE, "study.experiment")


class Zoo:
    """The models of one setting, and what their training needs.

    Models and records are kept in ``folder`` under a hash of all that they depend on: data, configuration, seed and
    the code of snslib. Whatever is there already is read; whatever is missing is made, with what it needs before it.
    Of several processes, which share the work, the first one alone reads and writes.

    Args:
        settings: see :mod:`snslib.study.settings`.
        folder: where models and records are kept; None is the project's ``.cache/snslib``.
        progress: takes a line whenever there is something to tell about long work.
    """

    def __init__(
        self, settings: Settings, folder: str | Path | None = None, progress: Callable[[str], None] = print
    ) -> None:
        self.settings = settings
        self.folder = records.default_folder() if folder is None else Path(folder)
        self.progress = progress
        self.device = cast(str, settings.device)

    @cached_property
    def data(self) -> Dataset:
        """The data set, with the settings' number of images held out for validation, at most a fifth of a small set."""
        s = self.settings
        with parallel.one_before_the_others():  # of which the first may have to fetch the data
            whole = load_dataset(s.dataset, validation=0, image_size=s.image_size, download=True)
        train, validation = hold_out(whole.train, min(s.validation, len(whole.train) // 5))
        return replace(whole, train=train, validation=validation)

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
        """The layers on which SNS works: ``first_layer`` and the convolutional layers above it; or fc alone."""
        if self.settings.first_layer == "fc":
            return ("fc",)
        return self.conv_layers[self.conv_layers.index(self.settings.first_layer) :]

    @cached_property
    def penultimate_layer(self) -> str:
        """The layer whose neurons feed fc (section 3.2); pool5 of VGG-16, where its head leaves it as it is."""
        *_, last, _ = (name for name, _ in self._build().named_children())
        return "pool5" if last == "head" and self.data.image_size == 32 else last

    @cached_property
    def region_layer(self) -> str:
        """The layer whose neurons' regions are looked at: that of Fig. 14-17, or the third convolutional one."""
        return REGION_LAYERS.get(self.settings.model, self.conv_layers[2])

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

    def model_path(self, defense: str) -> Path:
        """Where the model trained with a defense is kept, whether it is there yet or not.

        That is ``results/`` where a model of this configuration is published.
        """
        recipe = self._recipe(defense)
        found = results.find_model(self.data.name, recipe)
        return found or self.folder / "models" / f"{defense}-{records.key(recipe)}.safetensors"

    def history(self, defense: str) -> History:
        """Per epoch of the model's training: losses, accuracy on validation images, seconds (see training.train)."""
        return self._trained(defense)[1]["history"]

    def _build(self) -> nn.Module:
        s = self.settings
        return build_model(s.model, self.data.num_classes, s.width, self.data.image_size).to(self.device)

    def _recipe(self, defense: str) -> dict[str, Any]:
        """Everything that the trained model depends on."""
        s = self.settings
        recipe: dict[str, Any] = {
            "defense": defense,
            "data": self._data_key,
            "model": s.model,
            "width": s.width,
            "schedule": asdict(self._schedule(defense)),
            "code": records.code(*TRAINING_CODE),
            "torch": torch.__version__.split("+")[0],
        }
        if defense != "vanilla":
            recipe["attack"] = self._attack_key
        if defense == "eat":
            recipe["sources"] = [source._recipe("vanilla") for source in self._sources()]
        if defense.startswith("sns"):
            recipe["vanilla"] = self._recipe("vanilla")
            recipe["sns"] = {
                "lam": s.lam,
                "fraction": self._fraction(defense),
                "pairs": s.pairs,
                "reduction": s.reduction,
                "n_pairs": s.n_pairs,
                "layers": self.stabilised_layers,
            }
            if s.one_pass:  # no key where it is off, as in models that were published before it was there
                recipe["sns"]["one_pass"] = True
            if s.neurons != "sensitive":  # the same
                recipe["sns"]["neurons"] = s.neurons
            if s.switched_off:  # the same
                recipe["sns"]["switched_off"] = True
        return recipe

    def _sources(self) -> list["Zoo"]:
        """The zoos whose vanilla models are EAT's static ones; see SOURCES."""
        zoos = []
        for name in SOURCES.get(self.settings.model, OTHER_SOURCES):
            zoo = self
            if name != self.settings.model:
                s = self.settings
                of_source = replace(s, model=name, first_layer="conv1", vanilla_epochs=s.source_epochs)
                zoo = Zoo(of_source, self.folder, self.progress)
                zoo.data = self.data
            zoos.append(zoo)
        return zoos

    @property
    def _attack_key(self) -> dict[str, Any]:
        s = self.settings
        return {"eps": s.eps, "step_size": s.step_size, "steps": s.steps}

    @cached_property
    def _data_key(self) -> dict[str, Any]:
        splits = (self.data.train, self.data.validation, self.data.test)
        sums = [zlib.crc32(t.contiguous().numpy().data) for split in splits for t in (split.images, split.labels)]
        return {"name": self.data.name, "crc32": sums, "padding": self.data.crop_padding, "flip": self.data.flip}

    def _schedule(self, defense: str) -> Schedule:
        s = self.settings
        common: dict[str, Any] = {"batch_size": s.batch_size, "seed": s.seed, "precision": s.precision}
        if defense == "vanilla":
            return Schedule(s.vanilla_epochs, s.vanilla_lr, **common)
        if defense in ("nat", "eat", "pat", "alp"):
            return Schedule(s.pat_epochs, s.pat_lr, **common)
        if defense in DEFENSES:
            return Schedule(s.epochs, s.lr, first_layer=None if s.train_all else s.first_layer, **common)
        raise ValueError(f"defense: expected one of {', '.join(DEFENSES)}, got {defense!r}")

    def _fraction(self, defense: str) -> float:
        return 1.0 if defense == "sns_all_cls" else self.settings.fraction

    def _objective(self, defense: str) -> Objective:
        s = self.settings
        while_training = attacks.paper_attacks(s.eps, cast(float, s.step_size), s.steps, s.precision)["pgd"]
        if defense == "vanilla":
            return Vanilla()
        if defense in ("nat", "eat"):
            sources = [zoo.model("vanilla") for zoo in self._sources()] if defense == "eat" else []
            return EAT(s.eps, sources, s.precision)
        if defense in ("pat", "alp"):
            return {"pat": PAT, "alp": ALP}[defense](while_training)
        fixed = s.pairs == "fixed"
        return SNS(
            omega=self.stabilised_neurons(defense),
            lam=s.lam,
            adversarial=defense.endswith("adv"),
            reduction=s.reduction,
            source=s.pairs,
            pairs=self.fixed_pairs() if fixed else None,
            attack=None if fixed else while_training,
            one_pass=s.one_pass,
        )

    def _trained(self, defense: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
        recipe, path = self._recipe(defense), self.model_path(defense)
        for name, value in recipe.items():
            parallel.require_same(f"{name} of {defense}", value)
        if not parallel.from_first(path.exists):
            schedule = self._schedule(defense)
            objective = self._objective(defense)  # first of all, since it may train the vanilla model
            start = "the vanilla model" if defense.startswith("sns") else "scratch"
            self.progress(f"training {defense} from {start}: {self.data.name}, {len(self.data.train)} images")
            if defense.startswith("sns"):
                model = self.model("vanilla")
                if self.settings.switched_off:
                    switch_off(model, self.stabilised_neurons(defense))
            else:
                with torch.random.fork_rng([torch.device(self.device)] if self.device.startswith("cuda") else []):
                    torch.manual_seed(self.settings.seed)
                    model = self._build()
            checkpoint = path.with_suffix(".partial")
            history = train(model, self.data, objective, schedule, self._validate, checkpoint, self.progress)
            state = {"recipe": recipe, "history": history, **files.provenance(self.device, parallel.world_size())}

            def save() -> None:
                save_tensors(path, model.state_dict(), state)
                checkpoint.unlink()

            parallel.from_first(save)
        return parallel.from_first(lambda: load_tensors(path))

    def _validate(self, model: nn.Module) -> dict[str, float]:
        split = self.data.validation.take(N_VALIDATE)
        if len(split) == 0:
            return {}
        judged = {"clean": shared_accuracy(model, split), "pgd": shared_accuracy(model, split, self.attacks["pgd"])}
        return judged | {"eps": self.settings.eps}  # that of "pgd": a vanilla model is the same for every eps

    # --- what SNS starts from (Algorithm 1, line 1) ---

    def fixed_pairs(self) -> Tensor:
        """x' of every training image, made once by PGD on the vanilla model; float32 (N, 3, H, W), in their order."""
        inputs = {"vanilla": self._recipe("vanilla"), **self._attack_key}
        path = self.folder / "pairs" / f"pgd-{records.key(inputs)}.safetensors"
        if not parallel.from_first(path.exists):
            self.progress(f"making the dual pairs of {len(self.data.train)} training images with PGD")
            model = self.model("vanilla")
            made = adversarial_images(model, self.data.train, self.attacks["pgd"])
            parallel.from_first(lambda: save_tensors(path, {"x_adv": made}, inputs))
        return parallel.from_first(lambda: load_tensors(path)[0]["x_adv"]).to(self.device)

    def stabilised_neurons(self, defense: str) -> dict[str, Tensor]:
        """Omega_l of the stabilised layers (Eq. 2), of the vanilla model on training images."""
        sigma = self.sensitivity("vanilla", split="train")["result"]["sigma"]
        of_layers = {layer: torch.tensor(sigma[layer]) for layer in self.stabilised_layers}
        return choose_neurons(of_layers, self.settings.neurons, self._fraction(defense), self.settings.seed)

    # --- records ---

    def sensitivity(self, defense: str, attack: str = "pgd", split: str = "test") -> dict[str, Any]:
        """Sensitivity of every neuron of the convolutional layers and fc (Eq. 1), attacked white-box.

        Args:
            defense: the model that is attacked and measured.
            attack: one of ATTACKS, or a corruption and its severity, such as "fog-5".
            split: "test", or "train" for the images on which the sensitive neurons are selected.

        Result: "sigma", layer to one number per neuron, and "activation", the same for the L1 norm of the output.
        """
        moved = self._moved_by(attack)
        images = self.test if split == "test" else self.data.train.take(self.settings.n_pairs)
        layers = [*self.conv_layers, "fc"]

        def compute() -> dict[str, Any]:
            model = self.model(defense)
            self.progress(f"measuring the sensitivity of {defense} under {attack} on {len(images)} {split} images")
            mine = parallel.share(images)
            sigma = neuron_sensitivity(model, dual_pairs(model, mine, moved), layers)
            activation = neuron_activation(model, self._inputs(mine), layers)
            return {"sigma": as_lists(of_all(sigma, len(mine))), "activation": as_lists(of_all(activation, len(mine)))}

        return self._record("sensitivity", defense, {"under": attack, "split": split, "n": len(images)}, compute)

    def _moved_by(self, name: str) -> Attack:
        corruption, _, severity = name.partition("-")
        if corruption in CORRUPTIONS and severity in ("1", "2", "3", "4", "5"):
            return as_attack(corruption, int(severity), self.settings.seed)
        arguments.one_of("attack", name, (*self.attacks, *(f"{corruption}-1..5" for corruption in CORRUPTIONS)))
        return self.attacks[name]

    def _record(self, what: str, defense: str, inputs: dict[str, Any], compute: Callable[[], Any]) -> dict[str, Any]:
        s = self.settings
        everything = {
            "trained": self._recipe(defense),
            "attack": self._attack_key,
            **inputs,
            "code": records.code(*MEASURING_CODE),
        }
        about = {
            "profile": s.profile,
            "defense": defense,
            "seed": s.seed,
            "data": {"name": self.data.name, "origin": self.data.origin, "official": self.data.official},
        }
        found = parallel.from_first(lambda: results.find_record(self.data.name, what, everything))
        return found or records.record(self.folder, what, everything, about, self.device, compute)

    def _inputs(self, split: Split) -> Iterator[Tensor]:
        some = images_at_once(torch.device(self.device))
        return (to_float(images) for _, images, _ in batches(split.to(self.device), some))


def shared_accuracy(model: nn.Module, split: Split, attack: Attack | None = None) -> float:
    """As :func:`snslib.evaluation.accuracy.accuracy`; each process attacks and judges its part of the images."""
    return parallel.gather(correct(model, parallel.share(split), attack)).double().mean().item()


def of_all(values: dict[str, Tensor], n: int) -> dict[str, Tensor]:
    """Per layer, the mean over the images of all processes of what was measured on this one's n images."""
    return {name: parallel.mean(value, n) for name, value in values.items()}


def as_lists(values: dict[str, Tensor]) -> dict[str, list[float]]:
    """Per-layer tensors as JSON has them."""
    return {name: value.tolist() for name, value in values.items()}
