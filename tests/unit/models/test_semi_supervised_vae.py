from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Normal
from torch.nn import functional as F

from genfoundry.contract import DataSpec, GenerativeModel
from genfoundry.models import build

DATA = DataSpec((1, 4, 4), ("a", "b", "c"))
M1 = {"latent_dim": 5, "hidden": 6}
N, Z = 4, 2

both = pytest.mark.parametrize("m1", [None, M1], ids=["m2", "m1_m2"])


def model(m1: dict[str, int] | None, **changes: object) -> GenerativeModel:
    torch.manual_seed(0)
    sizes = {"latent_dim": Z, "hidden": 7, "objective": "semi_supervised"}
    return build("semi_supervised_vae", {"m1": m1, **sizes, **changes}, DATA)


def observed(m1: object) -> Tensor:
    return torch.randn(N, 5) if m1 else torch.rand(N, 16)


def batch() -> dict[str, Tensor]:
    image, labelled = torch.rand(2, N, *DATA.shape)
    return {"image": image, "labelled": labelled, "label": torch.tensor([0, 2, 1, 2])}


def bounds(vae: GenerativeModel, x: Tensor, label: Tensor) -> Tensor:
    """L(x, y) of one class for each image, with the noise that a seed gives."""
    torch.manual_seed(1)
    return vae.bounds(x, F.one_hot(label, 3)[:, None])[:, 0]


@both
def test_a_labelled_image_s_bound_is_equation_6(m1: dict[str, int] | None) -> None:
    vae, x, label = model(m1), observed(m1), torch.tensor([0, 2, 1, 2])
    y = F.one_hot(label, 3).float()
    torch.manual_seed(1)
    noise = torch.randn(N, 1, Z)[:, 0]
    mean, log_var = vae.m2["encoder"](x, y).chunk(2, dim=1)
    posterior, prior = Normal(mean, (0.5 * log_var).exp()), Normal(0.0, 1.0)
    out = vae.m2["decoder"](mean + (0.5 * log_var).exp() * noise, y)
    likelihood = Bernoulli(logits=out, validate_args=False)
    if m1:
        centre, spread = out.chunk(2, dim=1)
        likelihood = Normal(centre, (0.5 * spread).exp())
    kl = torch.distributions.kl_divergence(posterior, prior).sum(1)
    expected = likelihood.log_prob(x).sum(1) + math.log(1 / 3) - kl
    torch.testing.assert_close(bounds(vae, x, label), -expected)


@both
def test_the_marginal_over_classes_is_the_explicit_sum_of_equation_7(m1: dict[str, int] | None) -> None:
    vae, x = model(m1), observed(m1)
    q = vae.m2["classifier"](x).softmax(dim=1)
    expected = torch.zeros(N)
    for label in range(3):
        expected += q[:, label] * (bounds(vae, x, torch.full((N,), label)) + q[:, label].log())
    torch.manual_seed(1)
    found, entropy = vae.marginal(x)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(entropy, torch.distributions.Categorical(q).entropy())


class Posterior(nn.Module):
    """The exact p(y | x) under the bound in the place of p(x, y)."""

    def __init__(self, vae: GenerativeModel) -> None:
        super().__init__()
        self.bounds = [vae.bounds]

    def forward(self, x: Tensor) -> Tensor:
        torch.manual_seed(1)
        found = -self.bounds[0](x, torch.eye(3)[None])
        torch.manual_seed(1)  # the same noise again for the bounds that it weighs
        return found


def test_the_marginal_is_least_where_q_is_the_posterior() -> None:
    vae, x = model(None), observed(None)
    torch.manual_seed(1)
    least = -torch.logsumexp(-vae.bounds(x, torch.eye(3)[None]), dim=1)
    torch.manual_seed(1)
    assert (vae.marginal(x)[0] > least).all()
    vae.m2["classifier"] = Posterior(vae)
    torch.testing.assert_close(vae.marginal(x)[0], least)


def test_the_objective_is_the_weighted_sum_of_equation_9() -> None:
    vae, found = model(None, labelled=0.5, alpha=3.0), batch()
    torch.manual_seed(1)
    labelled = vae.bounds(found["labelled"].flatten(1), F.one_hot(found["label"], 3)[:, None]).mean()
    unlabelled = vae.marginal(found["image"].flatten(1))[0].mean()
    cross_entropy = F.cross_entropy(vae.m2["classifier"](found["labelled"].flatten(1)), found["label"])
    torch.manual_seed(1)
    torch.testing.assert_close(vae.loss(found).total, unlabelled + 0.5 * labelled + 3.0 * cross_entropy)


def test_m2_learns_on_an_m1_that_stands_still() -> None:
    vae = model({**M1, "stop": 3}, start=3)
    m1, m2 = vae.phases()
    assert [step for step in range(6) if m1.runs_at(step)] == [0, 1, 2]
    assert [step for step in range(6) if m2.runs_at(step)] == [3, 4, 5]
    m2.loss(batch()).total.backward()
    assert all(parameter.grad is None for parameter in vae.m1.parameters())
    assert all(parameter.grad.any() for parameter in vae.m2.parameters())


@both
def test_supervised_is_the_same_classifier_from_labels_alone(m1: dict[str, int] | None) -> None:
    found = batch()
    semi, rival = model(m1), model(m1, objective="supervised")
    rival.load_state_dict(semi.state_dict())
    (graph,) = rival.graphs()
    assert rival.needs == {"labelled", "label"}
    (phase,) = rival.phases()
    loss = phase.loss({key: found[key] for key in rival.needs})
    torch.testing.assert_close(loss.total, F.cross_entropy(graph.module(found["labelled"]), found["label"]))
    classify = next(graph for graph in semi.graphs() if graph.name == "classify")
    torch.testing.assert_close(classify.module(found["image"]), graph.module(found["image"]))


def test_a_generated_image_follows_from_its_class_and_both_noises() -> None:
    vae, label = model(M1), torch.tensor([0, 1, 2])
    generate = next(graph for graph in vae.graphs() if graph.name == "generate")
    noise = torch.randn(3, *generate.inputs["noise"].shape[1:])
    mean, log_var = vae.m2["decoder"](noise[:, :Z], F.one_hot(label, 3).float()).chunk(2, dim=1)
    expected = vae.m1.decoder(mean + (0.5 * log_var).exp() * noise[:, Z:]).sigmoid()
    torch.testing.assert_close(generate.module(noise, label), expected)


def test_generated_pixels_are_the_decoder_s() -> None:
    vae, label, noise = model(None), torch.tensor([1]), torch.randn(1, Z)
    generate = next(graph for graph in vae.graphs() if graph.name == "generate")
    out = vae.m2["decoder"](noise, F.one_hot(label, 3).float())
    torch.testing.assert_close(generate.module(noise, label), out.sigmoid().view(1, *DATA.shape))


def test_dropout_is_the_classifier_s_alone_unless_it_is_all_there_is() -> None:
    rates = {
        objective: {
            part.p
            for part in model(M1, objective=objective, dropout=0.5).m1.modules()
            if isinstance(part, nn.Dropout)
        }
        for objective in ("semi_supervised", "supervised")
    }
    assert rates == {"semi_supervised": {0.0}, "supervised": {0.0, 0.5}}
