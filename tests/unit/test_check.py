from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from genfoundry.check import check_all, check_data, check_perceptual, check_weights
from genfoundry.params import PARAMS, ParamsError, load, write
from genfoundry.workspace import profile
from tests.unit import tiny

TINY = "runs__tiny"
GAN = {
    "noise_dim": 4,
    "generator_hidden": 8,
    "discriminator_hidden": 8,
    "dropout": 0.0,
    "loss": "non_saturating",
}


def test_a_valid_file_passes(params_file: Callable[..., Path]) -> None:
    assert set(check_all(params_file()).runs) == {"tiny"}


@pytest.mark.parametrize("name", sorted(path.stem for path in Path("profiles").glob("*.yaml")))
def test_each_profile_fits_the_runs_it_changes(name: str, tmp_path: Path) -> None:
    write(profile(name), tmp_path / "params.yaml")
    assert set(check_all(tmp_path / "params.yaml").runs) >= set(load(PARAMS).runs)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({f"{TINY}__family": "vea"}, "runs.tiny.family: unknown family 'vea'; there are "),
        ({f"{TINY}__model__latent_din": 3}, "runs.tiny.model.latent_din: unknown key; did you mean 'latent_dim'?"),
        ({f"{TINY}__model__latent_dim": 0}, "runs.tiny.model.latent_dim: "),
        ({f"{TINY}__model__likelihood": None}, "runs.tiny.model.likelihood: "),
        (
            {
                f"{TINY}__family": "denoising_autoencoder",
                f"{TINY}__model": {"channels": 2, "blocks": 1},
                f"{TINY}__training__optimizers": {"denoiser": {"lr": 1e-3}},
            },
            "runs.tiny.data: denoising_autoencoder needs degraded in its batches; ",
        ),
        (
            {
                f"{TINY}__family": "conditional_vae",
                f"{TINY}__model": {"latent_dim": 2, "channels": 2, "features": 4, "control": 1.0},
                f"{TINY}__training__optimizers": {"classifier": {"lr": 1e-3}, "vae": {"lr": 1e-3}},
                f"{TINY}__data__labels": 10,
            },
            "runs.tiny.data.labels: conditional_vae wants a label for each image; say unlabelled: false",
        ),
        ({f"{TINY}__data__labels": 11}, "runs.tiny.data.labels: 11 are not as many of each of 2 classes"),
        (
            {f"{TINY}__training__optimizers": {"generator": {"lr": 1e-3}}},
            "runs.tiny.training.optimizers: vae needs exactly ['vae'], there are ['generator']",
        ),
        ({f"{TINY}__data__degradations": {"scale": 3}}, "runs.tiny.data.degradations.scale: 8 pixels cannot be"),
        ({f"{TINY}__data__degradations": {"scale": 2}}, "runs.tiny.data.degradations.scale: this family restores"),
        ({f"{TINY}__data__patch": 16}, "runs.tiny.data.patch: 16 pixels are more than the images have"),
        ({f"{TINY}__data__patch": 4}, "runs.tiny.data.patch: this family takes images of one size"),
        (
            {
                f"{TINY}__family": "gan",
                f"{TINY}__model": GAN,
                f"{TINY}__training__optimizers": {"generator": {"lr": 1e-3}, "discriminator": {"lr": 1e-3}},
                f"{TINY}__data__patch": 4,
            },
            "runs.tiny.data.patch: this family takes images of one size",
        ),
        (
            {
                f"{TINY}__family": "gan",
                f"{TINY}__model": GAN,
                f"{TINY}__training__optimizers": {"generator": {"lr": 1e-3}, "discriminator": {"lr": 1e-3}},
                f"{TINY}__data__classes": ["zero"],
            },
            "runs.tiny.data.classes: gan only generates, and scores of samples are of all classes",
        ),
        ({f"{TINY}__data__classes": ["zero", "one"]}, "runs.tiny.data.classes: these are all there are"),
        (
            {f"{TINY}__data__degradations": {"noise": 0.5}},
            "runs.tiny.data.degradations.noise: vae keeps the pixels that it is given",
        ),
        (
            {f"{TINY}__evaluation__perceptual": "efficientnet_lite0"},
            "runs.tiny.evaluation.perceptual: efficientnet_lite0 does not compare two images; lpips_vgg16 and",
        ),
        ({"evaluation__augmentation__share": 0.01}, "evaluation.augmentation.share: 0.01 of "),
        (
            {f"{TINY}__weights": "efficientnet_lite0"},
            "runs.tiny.weights: vae has no use for 'efficientnet_lite0' here; say none",
        ),
    ],
)
def test_a_family_s_own_demand_is_one_line_with_its_path(
    params_file: Callable[..., Path], changes: dict[str, object], line: str
) -> None:
    with pytest.raises(ParamsError) as error:
        check_all(params_file(**changes))
    assert str(error.value).startswith(line)
    assert len(str(error.value).splitlines()) == 1


def test_a_model_whose_losses_use_a_published_network_needs_its_weights(params_file: Callable[..., Path]) -> None:
    run = load(params_file()).runs["tiny"]
    with torch.device("meta"):
        model = tiny.Perceptual()
    with pytest.raises(ParamsError, match=r"^runs\.tiny\.weights: vae needs published weights here"):
        check_weights("runs.tiny.weights", run, model)
    check_weights("runs.tiny.weights", run.model_copy(update={"weights": "lpips_alexnet"}), model)


def test_small_images_are_not_compared_by_a_network_that_pools_them_away() -> None:
    with pytest.raises(ParamsError, match=r"^x: lpips_alexnet sees sides of 31 pixels or more; say none"):
        check_perceptual("x", "lpips_alexnet", (1, 28, 31))
    check_perceptual("x", "lpips_vgg16", (1, 28, 31))


def test_each_wrong_run_has_its_line(params_file: Callable[..., Path]) -> None:
    evaluation = {"rival": "one", "perceptual": "none"}
    wrong = {**tiny.params_tree()["runs"]["tiny"], "family": "nothing", "evaluation": evaluation}
    with pytest.raises(ParamsError) as error:
        check_all(params_file(runs={"one": wrong, "two": wrong}))
    assert [line.split(":")[0] for line in str(error.value).splitlines()] == ["runs.one.family", "runs.two.family"]


@pytest.mark.parametrize("key", ["binarize", "degradations"])
def test_what_is_for_images_alone_is_not_for_pairs(params_file: Callable[..., Path], key: str) -> None:
    params = load(params_file())
    data = params.runs["tiny"].data.model_copy(update={"binarize": False, "degradations": {}})
    data = data.model_copy(update={key: {"binarize": True, "degradations": {"mask": 0.5}}[key]})
    pairs = params.datasets["dots"].model_copy(update={"layout": "pairs", "classes": ()})
    with pytest.raises(ParamsError, match=rf"^x\.{key}: is for images that stand alone, not for pairs"):
        check_data("x", data, pairs)


def test_labels_want_classes(params_file: Callable[..., Path]) -> None:
    params = load(params_file())
    few = params.runs["tiny"].data.model_copy(update={"labels": 10})
    with pytest.raises(ParamsError, match=r"^x\.labels: dots has no classes"):
        check_data("x", few, params.datasets["dots"].model_copy(update={"classes": ()}))
