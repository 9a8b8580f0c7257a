from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from genfoundry.contract import DataSpec, GenerativeModel
from genfoundry.models import build
from genfoundry.models.cyclegan import ImagePool, ResNetGenerator

SHAPE = (1, 8, 8)
PARAMS = {
    "generator_channels": 4,
    "generator_blocks": 1,
    "discriminator_channels": 4,
    "patch_halvings": 1,
    "pool": 6,
    "cycle": 10.0,
    "identity": 5.0,
}


def cyclegan(**changes: object) -> GenerativeModel:
    torch.manual_seed(0)
    return build("cyclegan", {**PARAMS, **changes}, DataSpec(SHAPE, ()))


def batch() -> dict[str, Tensor]:
    a, b = torch.rand(2, 4, *SHAPE)
    return {"a": a, "b": b}


def numbered(start: int, count: int) -> Tensor:
    """(count, 1, 1, 1): each image is its number."""
    return torch.arange(start, start + count, dtype=torch.float32).reshape(-1, 1, 1, 1)


class Negative(nn.Module):
    """Its own inverse."""

    def forward(self, image: Tensor) -> Tensor:
        return 1.0 - image


def test_a_pool_gives_back_what_it_keeps_until_it_is_full() -> None:
    pool = ImagePool(5, (1, 1, 1))
    assert torch.equal(pool(numbered(0, 3)), numbered(0, 3))
    assert torch.equal(pool(numbered(3, 2)), numbered(3, 2))
    assert torch.equal(pool.images, numbered(0, 5))


def test_a_full_pool_exchanges_half_of_what_it_is_given_and_loses_none() -> None:
    torch.manual_seed(0)
    pool = ImagePool(50, (1, 1, 1))
    pool(numbered(0, 50))
    older = 0
    for start in range(50, 4050, 4):
        fresh, held = numbered(start, 4), set(pool.images.flatten().tolist())
        given = pool(fresh)
        older += int((given != fresh).sum())
        everything = {*given.flatten().tolist(), *pool.images.flatten().tolist()}
        assert everything == held | set(fresh.flatten().tolist())
    assert 0.46 < older / 4000 < 0.54


def test_a_restored_pool_goes_on_with_the_same_images() -> None:
    torch.manual_seed(0)
    pool, restored = ImagePool(4, (1, 1, 1)), ImagePool(4, (1, 1, 1))
    pool(numbered(0, 9))
    restored.load_state_dict(pool.state_dict())
    torch.manual_seed(1)
    expected = pool(numbered(20, 8))
    torch.manual_seed(1)
    assert torch.equal(restored(numbered(20, 8)), expected)


def test_only_the_discriminators_fill_the_pools() -> None:
    model = cyclegan()
    generators, discriminators = model.phases()
    generators.loss(batch())
    assert int(model.pools["a"].filled) == 0
    discriminators.loss(batch())
    assert {domain: int(pool.filled) for domain, pool in model.pools.items()} == {"a": 4, "b": 4}


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 64, 64), (1, 28, 28), (3, 30, 50), (1, 9, 9)])
def test_a_translation_has_the_size_of_its_source(shape: tuple[int, int, int]) -> None:
    x = torch.rand(2, *shape)
    assert ResNetGenerator(shape, channels=2, blocks=1)(x).shape == x.shape


def test_cycles_of_inverse_generators_cost_nothing_and_identity_what_they_change() -> None:
    model, given = cyclegan(), batch()
    for domain in "ab":
        model.generators[domain] = Negative()
    terms = model.phases()[0].loss(given).terms
    assert float(terms["cycle"]) == pytest.approx(0.0, abs=1e-5)
    change = sum((2.0 * given[domain] - 1.0).abs().mean() for domain in "ab")
    torch.testing.assert_close(terms["identity"], 5.0 * change)


def test_without_identity_its_term_is_gone() -> None:
    assert set(cyclegan(identity=0.0).phases()[0].loss(batch()).terms) == {"adversarial", "cycle"}


def test_translate_goes_from_a_to_where_d_b_judges() -> None:
    model = cyclegan()
    translate, back = model.graphs()
    assert (translate.name, back.name) == ("translate", "translate_back")
    given = batch()
    found = model.translations(given)
    torch.testing.assert_close(found["b"], translate.module(given["a"]))
    torch.testing.assert_close(found["a"], back.module(given["b"]))
    model.discriminators["b"] = nn.Identity()  # whose logits are then the images: least squares pull them to 1
    model.discriminators["a"] = nn.Flatten()
    game = 0.5 * sum((2.0 * found[domain] - 2.0).square().mean() for domain in "ab")
    torch.testing.assert_close(model.phases()[0].loss(given).terms["adversarial"], game)
