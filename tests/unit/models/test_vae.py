from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from genfoundry.contract import GenerativeModel
from genfoundry.models import build
from tests.unit import tiny


def vae(levels: int = 2, **changes: object) -> GenerativeModel:
    torch.manual_seed(0)
    return build("vae", {**tiny.VAE, **changes}, replace(tiny.DATA, levels=levels)).eval()


def graph(model: GenerativeModel, name: str) -> torch.nn.Module:
    return next(graph.module for graph in model.graphs() if graph.name == name)


@pytest.mark.parametrize(
    ("likelihood", "levels", "ships"),
    [("bernoulli", 2, True), ("bernoulli", 256, False), ("gaussian", 256, True), ("gaussian", 2, False)],
)
def test_a_bound_ships_where_the_likelihood_is_one_of_the_data(likelihood: str, levels: int, ships: bool) -> None:
    names = {graph.name for graph in vae(levels, likelihood=likelihood).graphs()}
    assert ("elbo" in names) == ships


def test_the_bound_approaches_the_evidence_from_below() -> None:
    """With a one-dimensional latent, log p(x) is an integral that a grid can do."""
    model = vae(latent_dim=1)
    image = (torch.rand(3, *tiny.SHAPE) > 0.5).float()
    z = torch.linspace(-8.0, 8.0, 4001)[:, None]
    prior = -0.5 * z.square()[:, 0] - 0.5 * math.log(2 * math.pi)
    evidence = []
    for x in image:
        nll = model.nll(x.expand(len(z), *x.shape), model.decoder(z))
        evidence.append(torch.logsumexp(prior - nll, 0) + math.log(16 / 4000))
    noise = torch.randn(4000, 1)
    for x, log_p in zip(image, evidence, strict=True):
        bound = graph(model, "elbo")(x.expand(4000, *x.shape), noise).mean()
        assert bound < log_p
        assert bound > log_p - 2.0  # an untrained posterior is near the prior, and the decoder hardly uses z


def test_a_gaussian_bound_is_of_8_bit_values() -> None:
    model = vae(256, likelihood="gaussian", sigma=0.3)
    image, noise = torch.rand(2, *tiny.SHAPE), torch.randn(2, 3)
    nll, kl, _ = model.terms(image, noise, image)
    torch.testing.assert_close(graph(model, "elbo")(image, noise), -(nll + kl) - 64 * math.log(255.0))


def test_imputation_keeps_what_is_known_and_ignores_what_is_hidden() -> None:
    restore = graph(vae(), "restore")
    image, mask = torch.rand(2, *tiny.SHAPE), (torch.rand(2, *tiny.SHAPE) > 0.4).float()
    filled = restore(image, mask)
    assert torch.equal(filled * mask, image * mask)
    torch.testing.assert_close(restore(image * mask + 0.7 * (1 - mask), mask), filled)
    assert torch.equal(restore(image, torch.ones_like(mask)), image)


def test_a_denoising_model_infers_from_the_degraded_image_what_the_clean_one_is() -> None:
    model = vae(criterion="denoising")
    assert model.needs == {"image", "degraded"}
    image, degraded = (torch.rand(2, *tiny.SHAPE) > 0.5).float(), torch.rand(2, *tiny.SHAPE)
    torch.manual_seed(3)
    found = model.loss({"image": image, "degraded": degraded}).terms
    torch.manual_seed(3)
    nll, kl, _ = model.terms(image, torch.randn(2, 3), degraded)
    torch.testing.assert_close(found, {"nll": nll.mean(), "kl": kl.mean()})
    restore, reconstruct = (graph(model, name) for name in ("restore", "reconstruct"))
    assert torch.equal(restore(degraded), reconstruct(degraded))
