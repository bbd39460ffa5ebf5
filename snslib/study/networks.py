"""The trained networks of one setting."""

import warnings
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from snslib import arguments, attacks, files
from snslib.attacks import Attack
from snslib.data import Dataset, Split, hold_out
from snslib.files import load_tensors, save_tensors
from snslib.sensitivity import choose_neurons
from snslib.study import records, results, room
from snslib.study.defenses import DEFENSES, Defense
from snslib.study.measurements.measured import shared_accuracy
from snslib.study.measurements.sensitivities import sensitivity
from snslib.study.settings import Settings
from snslib.training import parallel, pretrained
from snslib.training.datasets import load_dataset
from snslib.training.fixed_pairs import adversarial_images
from snslib.training.loop import History, train
from snslib.training.models import build_model, switch_off
from snslib.training.objectives import ANEW

REGION_LAYERS = {"vgg16": "pool2", "alexnet": "pool3"}  # in which regions are compared (Fig. 14-17)
N_VALIDATE = 500  # validation images tested after each epoch, at most; see Networks.n_validate

# The modules whose code a trained network depends on, besides its configuration.
TRAINING_CODE = ("training.loop", "training.objectives", "training.datasets", "sensitivity")


class Networks:
    """The trained networks of one setting, and what their training needs.

    Networks and records are kept in ``folder`` under a hash of all that they depend on: data, configuration, seed and
    the code of snslib. Whatever is there already is read; whatever is missing is made, with what it needs before it.
    One process makes it where several want it; the others wait, and say for whom, see :func:`snslib.locks.alone`.
    Of several processes that share the work, the first one alone reads and writes. Their number decides what a
    network becomes (see :func:`snslib.training.loop.train`), so that each number of processes has networks of its own;
    those that are published serve all.

    Args:
        settings: see :mod:`snslib.study.settings`.
        folder: where networks and records are kept; None is the project's ``.cache/snslib``.
        progress: takes a line on the progress of long work.
    """

    def __init__(
        self, settings: Settings, folder: str | Path | None = None, progress: Callable[[str], None] = print
    ) -> None:
        self.settings: Settings = settings
        self.folder = records.default_folder() if folder is None else Path(folder)
        self.progress = progress
        self.device = cast(str, settings.device)
        self.taken_from: Mapping[str, str] = {}  # see Defense.steered_by

    def with_settings(self, settings: Settings | None = None, **changes: Any) -> "Networks":
        """The networks of a setting that differs, or of a whole other one; they share folder, progress and data."""
        other = Networks(replace(settings or self.settings, **changes), self.folder, self.progress)
        same_data = all(
            getattr(other.settings, name) == getattr(self.settings, name)
            for name in ("dataset", "image_size", "validation")
        )
        if same_data:
            other.data = self.data
        if settings is None:
            other.taken_from = self.taken_from
        return other

    @cached_property
    def data(self) -> Dataset:
        """The data set, with the settings' number of images held out for validation, at most a fifth of a small set."""
        s = self.settings
        with parallel.first_process_first():  # of which the first may have to fetch the data
            whole = load_dataset(
                s.dataset, validation=0, image_size=s.image_size, download=True, progress=self.progress
            )
        if whole.num_classes < 2:
            raise ValueError(f"dataset: {whole.name} has but one class, {whole.classes[0]}; networks tell some apart")
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

    @property
    def pgd_in_training(self) -> Attack:
        """The PGD that makes x' while a network trains, in the precision of training."""
        s = self.settings
        return attacks.paper_attacks(s.eps, cast(float, s.step_size), s.steps, s.precision)["pgd"]

    # --- networks ---

    def model(self, defense: str) -> nn.Module:
        """The model trained with a defense, in eval mode, on the settings' device; trained first where it is not there.

        Raises:
            ValueError: an unknown defense; training that diverges, with the settings to lower; a file of a model that
                is damaged, or that holds another network.
        """
        tensors, _ = self._trained(defense)
        model = self._build()
        model.load_state_dict(tensors)
        return model.eval()

    def model_path(self, defense: str) -> Path:
        """Where the model trained with a defense is kept, whether it is there yet or not.

        That is ``results/`` where a model of this configuration is published.
        """
        recipe = self.configuration(defense)
        found = results.find_model(self.data, recipe)
        return found or self.folder / "models" / f"{defense}-{records.key(recipe)}.safetensors"

    def history(self, defense: str) -> History:
        """Per epoch of the model's training: losses, accuracy on validation images, seconds (see training.train)."""
        return self._trained(defense)[1]["history"]

    def _build(self) -> nn.Module:
        s = self.settings
        return build_model(s.model, self.data.num_classes, s.width, self.data.image_size).to(self.device)

    def configuration(self, defense: str) -> dict[str, Any]:
        """Everything that the network trained with a defense depends on; ValueError for an unknown one."""
        s, how = self.settings, _defense(defense)
        return {
            "defense": defense,
            "data": self._data_key,
            "model": s.model,
            "width": s.width,
            "schedule": asdict(how.schedule(s)),
            "code": records.code(*TRAINING_CODE),
            "torch": torch.__version__.split("+")[0],
            **({"processes": parallel.world_size()} if parallel.world_size() > 1 else {}),  # see training.loop.train
            **({"attack": self.attack_key} if how.attacks else {}),
            **how.depends_on(self),
        }

    @property
    def attack_key(self) -> dict[str, Any]:
        """What the attacks of this setting depend on."""
        s = self.settings
        return {"eps": s.eps, "step_size": s.step_size, "steps": s.steps}

    @cached_property
    def _data_key(self) -> dict[str, Any]:
        splits = (self.data.train, self.data.validation, self.data.test)
        sums = [zlib.crc32(t.contiguous().numpy().data) for split in splits for t in (split.images, split.labels)]
        return {"name": self.data.name, "crc32": sums, "padding": self.data.crop_padding, "flip": self.data.flip}

    def _trained(self, defense: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
        recipe, path = self.configuration(defense), self.model_path(defense)
        for name, value in recipe.items():
            parallel.require_same(f"{name} of {defense}", value)
        if not parallel.on_first_process(lambda: _is_there(path)):
            with parallel.first_process_alone(path, self.progress):
                if not parallel.on_first_process(lambda: _is_there(path)):  # by now either
                    self._train(defense, recipe, path)
        return parallel.on_first_process(lambda: self._read(path, recipe))

    def _train(self, defense: str, recipe: dict[str, Any], path: Path) -> None:
        """Train a model, or go on from its checkpoint, and write it to its path."""
        how = _defense(defense)
        parallel.on_first_process(lambda: room.require([(self, defense)]))
        objective = how.objective(self)  # first of all, since it may train the vanilla model
        start = f"the {how.starts_from} model" if how.starts_from else "scratch"
        self.progress(f"training {defense} from {start}: {self.data.name}, {len(self.data.train)} images")
        if how.starts_from:
            model = self.model(how.starts_from)
            if self.settings.switched_off:
                switch_off(model, self.stabilised_neurons(defense))
        else:
            with torch.random.fork_rng([torch.device(self.device)] if self.device.startswith("cuda") else []):
                torch.manual_seed(self.settings.seed)
                model = self._build()
        checkpoint = path.with_suffix(".partial")
        schedule, steered_by = how.schedule(self.settings), how.steered_by(self.settings, self.taken_from)
        try:
            history = train(
                *(model, self.data, objective, schedule, self._validate, checkpoint, self.progress, recipe),
                steered_by=steered_by,
            )
        except FloatingPointError as error:
            raise ValueError(f"{steered_by}: {defense}: {error}") from error
        state = {"recipe": recipe, "history": history, **files.provenance(self.device, parallel.world_size())}

        def save() -> None:
            save_tensors(path, model.state_dict(), state)
            checkpoint.unlink(missing_ok=True)

        parallel.on_first_process(save)

    def _read(self, path: Path, recipe: dict[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """A trained model, of the cache or published; it has taken too long to be made anew without a word."""
        published = path.is_relative_to(pretrained.RESULTS)
        tensors, state = pretrained.read(path) if published else load_tensors(path)
        wanted, there = recipe, state.get("recipe")
        if published:
            wanted, there = results.configuration(wanted), results.configuration(there)
        if records.key(there) != records.key(wanted):
            raise ValueError(f"{path} holds another network than its name says; delete it, and it is made anew")
        return tensors, state

    @property
    def n_validate(self) -> int:
        """The validation images that are tested after each epoch: a twelfth of those trained on, and 20 at least.

        With so few, PGD takes less time than the epoch.
        """
        return min(N_VALIDATE, len(self.data.validation), max(20, -(-len(self.data.train) // 12)))

    def _validate(self, model: nn.Module) -> dict[str, float]:
        split = self.data.validation.take(self.n_validate)
        if len(split) == 0:
            return {}
        validated = {"clean": shared_accuracy(model, split), "pgd": shared_accuracy(model, split, self.attacks["pgd"])}
        return validated | {"eps": self.settings.eps}  # that of "pgd": a vanilla model is the same for every eps

    # --- what SNS starts from (Algorithm 1, line 1) ---

    def fixed_pairs(self) -> Tensor:
        """x' of every training image, made once by PGD on the vanilla model; float32 (N, 3, H, W), in their order."""
        inputs = self._pairs_key
        path = self.pairs_path

        def read(alone: bool) -> Tensor | None:
            if not path.exists():
                return None
            try:
                tensors, state = load_tensors(path)
                if records.key(state) != records.key(inputs):
                    raise ValueError(f"{path} holds other pairs than its name says")
            except ValueError as error:
                if alone:
                    warnings.warn(f"dual pairs are made anew: {error}", stacklevel=2)
                return None
            return tensors["x_adv"]

        found = parallel.on_first_process(partial(read, alone=False))
        if found is None:
            with parallel.first_process_alone(path, self.progress):
                found = parallel.on_first_process(partial(read, alone=True))
                if found is None:
                    found = self._make_pairs(path, inputs)
        return found.to(self.device)

    @property
    def pairs_path(self) -> Path:
        """Where the fixed dual pairs are kept, whether they are there yet or not."""
        return self.folder / "pairs" / f"pgd-{records.key(self._pairs_key)}.safetensors"

    @property
    def _pairs_key(self) -> dict[str, Any]:
        return {"vanilla": self.configuration("vanilla"), **self.attack_key}

    def _make_pairs(self, path: Path, inputs: dict[str, Any]) -> Tensor:
        self.progress(f"making the dual pairs of {len(self.data.train)} training images with PGD")
        made = adversarial_images(self.model("vanilla"), self.data.train, self.attacks["pgd"]).contiguous()
        parallel.on_first_process(lambda: save_tensors(path, {"x_adv": made}, inputs))
        return made

    def stabilised_neurons(self, defense: str) -> dict[str, Tensor]:
        """Omega_l of the stabilised layers (Eq. 2), of the vanilla model on training images, before the first step."""
        sigma = sensitivity(self, "vanilla", split="train").result["sigma"]
        fraction = _defense(defense).fraction or self.settings.fraction
        of_layers = {layer: torch.tensor(sigma[layer]) for layer in self.stabilised_layers}
        which = ANEW.get(self.settings.neurons, self.settings.neurons)
        return choose_neurons(of_layers, which, fraction, self.settings.seed)


def _is_there(path: Path) -> bool:
    """Whether a model is there; a checkpoint beside it was left by a process that was killed just then, and goes."""
    if there := path.exists():
        with suppress(OSError):  # where nothing can be written
            path.with_suffix(".partial").unlink(missing_ok=True)
    return there


def _defense(name: str) -> Defense:
    arguments.one_of("defense", name, DEFENSES)
    return DEFENSES[name]
