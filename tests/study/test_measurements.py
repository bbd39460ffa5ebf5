"""The pipeline makes what is missing, finds what is there, and resumes what was interrupted."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import TINY

from snslib.attacks import ATTACKS, pgd
from snslib.data import Split, to_float
from snslib.evaluation import corruptions
from snslib.hooks import record, suppress
from snslib.precision import PRECISIONS
from snslib.sensitivity import dual_pairs, neuron_sensitivity, top_neurons
from snslib.study import measurements as measure
from snslib.study import settings
from snslib.study.bits import from_hex
from snslib.study.defenses import DEFENSES
from snslib.study.measurements import neurons
from snslib.study.networks import Networks


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def networks(folder: Path) -> Networks:
    return Networks(TINY, folder, progress=lambda line: None)


@pytest.mark.slow
@pytest.mark.trains
@pytest.mark.parametrize("defense", DEFENSES)
def test_every_defense_trains_and_is_measured(networks: Networks, defense: str) -> None:
    record = measure.accuracy(networks, defense)
    assert list(record.result) == ["clean", *ATTACKS]
    assert all(share * 20 == pytest.approx(round(share * 20)) for share in record.result.values())  # of 20 images
    assert record.config["n"] == 20
    assert record.data["official"] is True


def test_what_is_there_is_found_again(networks: Networks, folder: Path) -> None:
    measure.accuracy(networks, "vanilla")
    lines: list[str] = []
    again = Networks(TINY, folder, lines.append)
    assert measure.accuracy(again, "vanilla") == measure.accuracy(networks, "vanilla")
    assert lines == []
    before, after = (e.model("vanilla").state_dict() for e in (networks, again))
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_only_what_depends_on_a_setting_is_made_again(networks: Networks) -> None:
    other = Networks(replace(TINY, lam=1.0), networks.folder)
    assert other.configuration("vanilla") == networks.configuration("vanilla")
    assert other.configuration("pat") == networks.configuration("pat")
    assert other.configuration("sns_sen_adv") != networks.configuration("sns_sen_adv")
    seeded = Networks(replace(TINY, seed=1), networks.folder)
    assert all(seeded.configuration(defense) != networks.configuration(defense) for defense in DEFENSES)


def test_precision_is_that_of_training_and_of_its_attacks_only(
    networks: Networks, monkeypatch: pytest.MonkeyPatch
) -> None:
    def paper_attacks(eps: float, step_size: float, steps: int, precision: str = "float32") -> dict[str, str]:
        return dict.fromkeys(ATTACKS, precision)

    monkeypatch.setattr("snslib.attacks.paper_attacks", paper_attacks)
    recipes = []
    for precision in PRECISIONS:
        with_precision = Networks(replace(TINY, precision=precision, pairs="step"), networks.folder)
        monkeypatch.setattr(with_precision, "stabilised_neurons", lambda defense: {})
        assert with_precision.attacks["pgd"] == "float32"  # of what is measured
        for defense in ("pat", "sns_sen_adv"):
            assert DEFENSES[defense].schedule(with_precision.settings).precision == precision
            assert DEFENSES[defense].objective(with_precision).attack == precision
        recipes.append(with_precision.configuration("pat"))
    assert recipes[0] == networks.configuration("pat") != recipes[1]


def test_the_bottom_of_an_sns_model_is_the_vanilla_one(networks: Networks) -> None:
    vanilla, sns = (networks.model(defense).state_dict() for defense in ("vanilla", "sns_sen_adv"))
    same = {name.split(".")[0] for name in vanilla if torch.equal(vanilla[name], sns[name]) and "conv" in name}
    assert {f"conv{number}" for number in range(1, 8)} <= same
    assert not torch.equal(vanilla["conv8.0.weight"], sns["conv8.0.weight"])


def test_sensitive_neurons_are_the_top_of_the_training_record(networks: Networks) -> None:
    sigma = measure.sensitivity(networks, "vanilla", split="train").result["sigma"]
    expected = top_neurons({"conv9": torch.tensor(sigma["conv9"])}, fraction=TINY.fraction)
    omega = networks.stabilised_neurons("sns_sen_adv")
    assert list(omega) == [f"conv{number}" for number in range(8, 14)]
    assert omega["conv9"].tolist() == expected["conv9"].tolist()


def test_other_neurons_make_another_model(networks: Networks) -> None:
    other = Networks(replace(TINY, neurons="least"), networks.folder)
    sigma = torch.tensor(measure.sensitivity(networks, "vanilla", split="train").result["sigma"]["conv9"])
    chosen, sensitive = (each.stabilised_neurons("sns_sen_adv")["conv9"].tolist() for each in (other, networks))
    assert sigma[chosen].max() <= sigma[sensitive].min()
    assert other.model_path("sns_sen_adv") != networks.model_path("sns_sen_adv")
    assert other.model_path("pat") == networks.model_path("pat")


def test_neurons_that_are_switched_off_put_out_nothing_after_training(networks: Networks) -> None:
    other = Networks(replace(TINY, switched_off=True, lam=0.0), networks.folder)
    neurons = other.stabilised_neurons("sns_sen_adv")
    model = other.model("sns_sen_adv")
    with record(model, list(neurons)) as off:
        model(to_float(networks.test.images))
    assert not any(off[layer][:, chosen].any() for layer, chosen in neurons.items())
    assert other.model_path("sns_sen_adv") != networks.model_path("sns_sen_adv")
    assert other.history("sns_sen_adv")[-1]["sns"] == 0
    assert other.model_path("vanilla") == networks.model_path("vanilla")


def test_fixed_pairs_are_the_attack_on_the_vanilla_model(networks: Networks) -> None:
    pairs = networks.fixed_pairs()
    train = networks.data.train
    x, y = train.images[:3].float() / 255, train.labels[:3]
    assert pairs.shape == (len(train), 3, 32, 32)
    expected = networks.attacks["pgd"](networks.model("vanilla"), x, y)
    torch.testing.assert_close(pairs[:3], expected, atol=1e-6, rtol=0)


def test_the_effect_of_sns_agrees_with_the_records(networks: Networks) -> None:
    effect = measure.effect_of_sns(networks, "sns_all_cls")["conv8"]
    sigma = measure.sensitivity(networks, "sns_all_cls").result["sigma"]["conv8"]
    assert effect["chosen"] == len(sigma)
    assert effect["after"] == pytest.approx(sum(sigma) / len(sigma), rel=1e-5)


def test_an_interrupted_training_goes_on_where_it_stopped(tmp_path: Path, networks: Networks) -> None:
    def stop(line: str) -> None:
        if line.startswith("epoch 1"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Networks(TINY, tmp_path, stop).model("vanilla")
    lines: list[str] = []
    resumed = Networks(TINY, tmp_path, lines.append).model("vanilla").state_dict()
    assert any("continuing after epoch 1" in line for line in lines)
    whole = networks.model("vanilla").state_dict()
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)
    assert list(tmp_path.rglob("*.partial")) == []


def test_unknown_names_are_refused(networks: Networks) -> None:
    with pytest.raises(ValueError, match="defense: expected one of vanilla"):
        networks.model("vanila")
    with pytest.raises(ValueError, match="attack: expected one of step_ll"):
        measure.sensitivity(networks, "vanilla", attack="pdg")
    with pytest.raises(ValueError, match=r"attack: .*fog-1\.\.5.*'fog-6'"):
        measure.sensitivity(networks, "vanilla", attack="fog-6")


def test_corruptions_take_the_place_of_attacks(networks: Networks) -> None:
    shares = measure.corrupted_accuracy(networks, "vanilla").result
    model, test = networks.model("vanilla"), networks.test
    x = corruptions.jpeg_compression(to_float(test.images), 5)
    assert shares["jpeg_compression"][4] == (model(x).argmax(1) == test.labels).double().mean().item()
    assert [len(of_one) for of_one in shares.values()] == [5] * 4
    sigma = measure.sensitivity(networks, "vanilla", "jpeg_compression-5").result["sigma"]["conv3"]
    by_hand = neuron_sensitivity(model, [(to_float(test.images), x)], ["conv3"])["conv3"]
    assert sigma == pytest.approx(by_hand.tolist(), rel=1e-4)


def test_a_small_folder_of_images_goes_through_the_pipeline(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for split, n in (("train", 20), ("test", 5)):
        for name, level in (("dark", 0), ("light", 155)):
            (tmp_path / "set" / split / name).mkdir(parents=True)
            for i in range(n):
                pixels = rng.integers(0, 100, (32, 32, 3)) + level
                Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "set" / split / name / f"{i}.png")
    asked = {"dataset": f"folder:{tmp_path / 'set'}", "model": "vgg16", "width": 1 / 16, "image_size": 32, "steps": 1}
    short = {"vanilla_epochs": 1, "epochs": 1, "batch_size": 8, "n_test": 10, "n_pairs": 20, "device": "cpu"}
    networks = Networks(settings.from_parameters(asked | short), tmp_path / "cache", lambda line: None)
    assert (len(networks.data.train), len(networks.data.validation)) == (32, 8)
    assert set(measure.accuracy(networks, "sns_sen_adv").result) == {"clean", *ATTACKS}


def test_a_strong_attack_leaves_what_every_start_leaves(networks: Networks) -> None:
    left = {n: measure.strong_accuracy(networks, "vanilla", steps=2, restarts=n).result for n in (1, 3)}
    model, test, s = networks.model("vanilla"), networks.test, networks.settings
    x = to_float(test.images)
    right = model(x).argmax(1) == test.labels
    by_hand = x.clone()
    generator = torch.Generator().manual_seed(s.seed)
    by_hand[right] = pgd(model, x[right], test.labels[right], s.eps, s.eps / 4, 2, True, generator=generator)
    right &= model(by_hand).argmax(1) == test.labels
    assert left[1] == right.double().mean().item()
    assert left[3] <= left[1]
    assert measure.strong_accuracy(networks, "vanilla", steps=2, n=5).config["n"] == 5


def test_outcomes_are_of_the_images_whose_shares_are_recorded(networks: Networks) -> None:
    """Those of fewer images, in a smaller batch, begin as those of all: x' of an image is that of any batch."""
    strong = {"steps": 2, "restarts": 3}
    every = measure.outcomes(networks, "vanilla", **strong)
    assert every.config["n"] == len(networks.test) == 20
    right = {name: from_hex(digits, 20) for name, digits in every.result.items()}
    assert {name: which.mean() for name, which in right.items()} == {
        **measure.accuracy(networks, "vanilla").result,
        "strong": measure.strong_accuracy(networks, "vanilla", **strong).result,
    }
    classes = networks.model("vanilla")(to_float(networks.test.images)).argmax(1)
    assert right["clean"].tolist() == (classes == networks.test.labels).tolist()
    fewer = measure.outcomes(networks, "vanilla", **strong, n=7).result
    for name in ("clean", *ATTACKS):
        assert from_hex(fewer[name], 7).tolist() == right[name][:7].tolist()
    assert from_hex(fewer["strong"], 7).mean() == measure.strong_accuracy(networks, "vanilla", **strong, n=7).result


def test_the_adaptive_attack_has_as_many_attempts_as_pgd_beside_it(networks: Networks) -> None:
    """With one step each, the shares are those of attacks that are written out; the same seed starts all of them."""
    found = measure.adaptive_pgd(networks, "sns_all_cls", n=10, steps=1)
    assert (found.config["n"], found.config["steps"], len(found.config["weights"])) == (10, 1, 3)
    model, images, eps = networks.model("sns_all_cls"), networks.test.take(10), networks.settings.eps
    generator = torch.Generator("cpu").manual_seed(networks.settings.seed)
    right = model.eval()(to_float(images.images)).argmax(1) == images.labels
    for _ in range(3):
        rest = Split(images.images[right], images.labels[right])
        x_adv = pgd(model, to_float(rest.images), rest.labels, eps, eps / 4, 1, random_start=True, generator=generator)
        right[right.clone()] = model(x_adv).argmax(1) == rest.labels
    assert found.result["plain"] == right.double().mean().item()
    assert found.result["moved"]["driven"] > found.result["moved"]["plain"] > 0


def test_every_measurement_depends_on_the_attack(networks: Networks, folder: Path) -> None:
    """Also where the model does not, as the vanilla one."""
    other = Networks(replace(TINY, eps=16 / 255, step_size=None), folder, progress=lambda line: None)
    for measured in (measure.accuracy, measure.sensitivity):
        configs = [measured(e, "vanilla").config for e in (networks, other)]
        assert configs[0]["trained"] == configs[1]["trained"]
        assert [config["attack"]["eps"] for config in configs] == [TINY.eps, 16 / 255]


def test_regions_compare_the_most_with_the_least_sensitive_quarter(networks: Networks) -> None:
    found = measure.regions(networks, "pool2").result
    pairs = list(dual_pairs(networks.model("vanilla"), networks.test, networks.attacks["pgd"]))
    sigma = neuron_sensitivity(networks.model("vanilla"), pairs, ["pool2"])["pool2"]
    most, least = (sigma[found["units"][name]] for name in ("sensitive", "insensitive"))
    assert len(most) == len(least) >= 2
    assert most.min() >= least.max()
    assert most.max() == sigma.max()
    known = [value for value in found["overlap"]["sensitive"] if value is not None]
    assert found["comparison"]["sensitive"] == pytest.approx(sum(known) / len(known))


def test_least_sensitive_neurons_are_suppressed_as_many_as_sensitive_ones(networks: Networks) -> None:
    """Against the hook and the attack applied by hand to the bottom of the training record."""
    sigma = measure.sensitivity(networks, "vanilla", split="train").result["sigma"]
    omega = top_neurons({name: torch.tensor(sigma[name]) for name in networks.conv_layers}, fraction=0.1)
    least = {name: torch.tensor(sigma[name]).sort(stable=True).indices[: len(top)] for name, top in omega.items()}
    model, x, y = networks.model("vanilla"), to_float(networks.test.images), networks.test.labels
    with suppress(model, least, 0.2):
        clean = (model(x).argmax(1) == y).double().mean().item()
        under_pgd = (model(networks.attacks["pgd"](model, x, y)).argmax(1) == y).double().mean().item()
    found = measure.suppression(networks, "least", betas=[1.0, 0.2]).result
    assert found["white_box"] == {
        "clean": [measure.accuracy(networks, "vanilla").result["clean"], clean],
        "pgd": [measure.accuracy(networks, "vanilla").result["pgd"], under_pgd],
    }
    assert list(measure.suppression(networks, "random", betas=[1.0]).result["transferred"]) == ["clean", "pgd"]
    with pytest.raises(ValueError, match=r"^which: .*'most'"):
        measure.suppression(networks, "most")


def test_targeted_neurons_have_errors_from_blocks_of_images(networks: Networks) -> None:
    found = measure.targeted_neurons(networks, "pool5", k=3).result
    assert list(found["errors"]) == list(found["sensitive"]) == [*networks.conv_layers, "fc"]
    assert all(0 <= error < 1 for errors in found["errors"].values() for error in errors)
    assert any(error > 0 for errors in found["errors"].values() for error in errors)


def test_a_block_is_every_twentieth_image_whatever_is_attacked_beside_it(networks: Networks) -> None:
    model, train, s = networks.model("vanilla"), networks.data.train, networks.settings
    found = neurons._toward(networks, 3, "pool5", 3)
    x = to_float(train.images[train.labels != 3][: s.n_pairs])
    assert (found["n"], len(found["by_block"]["fc"])) == (len(x), neurons.BLOCKS)
    for start in (0, 7):
        block = x[start :: neurons.BLOCKS]
        aim = torch.full((len(block),), 3)
        x_adv = pgd(model, block, aim, s.eps, s.eps / 10, s.steps, targeted=True)
        for name, sigma in neuron_sensitivity(model, [(block, x_adv)], ["conv1", "conv8", "fc"]).items():
            torch.testing.assert_close(found["by_block"][name][start], sigma, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("defense", "settings", "named"),
    [
        ("vanilla", {"vanilla_lr": 100.0, "vanilla_epochs": 4}, "vanilla_lr"),
        ("pat", {"pat_lr": 100.0, "pat_epochs": 4}, "pat_lr"),
        ("sns_sen_cls", {"lr": 100.0, "lam": 1e6, "epochs": 5}, "lr or lam"),
    ],
)
def test_training_that_diverges_names_the_settings_that_drive_it_and_leaves_no_network(
    defense: str, settings: dict[str, float], named: str, tmp_path: Path
) -> None:
    networks = Networks(replace(TINY, batch_size=32, n_pairs=20, **settings), tmp_path, lambda line: None)
    networks.data = replace(networks.data, train=networks.data.train.take(256))
    with pytest.raises(ValueError, match=rf"\A{named}: {defense}: training diverged in [^\n]*; lower {named} [^\n]*\Z"):
        networks.model(defense)
    assert not networks.model_path(defense).exists()
