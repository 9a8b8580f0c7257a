from __future__ import annotations

import numpy as np
import pytest
from scipy.special import logit
from scipy.stats import multivariate_normal

from genfoundry.metrics import baselines
from genfoundry.metrics.baselines import GaussianBaseline, PcaBaseline, is_singular, solver
from genfoundry.pictures import from_bytes

RNG = np.random.default_rng(0)
# A plane in pixel space, away from 0 and 255, so that two components and no clipping suffice.
CODES = RNG.uniform(-1, 1, (300, 2))
PLANE = np.rint(128 + CODES @ np.array([[60.0, 0, 30, 0], [0, 40, 0, -40]])).astype(np.uint8).reshape(-1, 1, 2, 2)


def test_enough_components_reproduce_images_and_fewer_do_not() -> None:
    images = from_bytes(PLANE)
    errors = [np.abs(PcaBaseline(PLANE, width).reconstruct(images) - images).max() for width in (1, 2, 4)]
    assert errors[0] > 0.05
    assert errors[1] < 1 / 255  # the bytes' own rounding
    assert errors[2] < 1e-5


def test_samples_have_the_mean_and_covariance_of_the_data() -> None:
    samples = PcaBaseline(PLANE, 4).sample(20000, seed=0)
    assert samples.shape == (20000, 1, 2, 2)
    assert samples.dtype == np.float32
    drawn, real = samples.reshape(-1, 4), from_bytes(PLANE).reshape(-1, 4)
    np.testing.assert_allclose(drawn.mean(0), real.mean(0), atol=0.01)
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(real.T), atol=0.003)


def test_samples_stay_in_range_and_follow_the_seed() -> None:
    extreme = np.where(RNG.random((50, 1, 2, 2)) < 0.5, 0, 255).astype(np.uint8)
    pca = PcaBaseline(extreme, 3)
    first, again, other = (pca.sample(100, seed) for seed in (1, 1, 2))
    assert first.min() == 0
    assert first.max() == 1
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("count", [300, 3])
def test_more_components_than_the_data_has_are_all_it_has(count: int) -> None:
    images = PLANE[:count]
    assert PcaBaseline(images, 10).sample(5, 0).shape == (5, 1, 2, 2)


@pytest.mark.parametrize(
    ("count", "size", "name"),
    [(60_000, 784, "covariance_eigh"), (300, 784, "full"), (1105, 12_288, "full"), (9000, 12_288, "randomized")],
)
def test_the_solver_works_on_the_smaller_of_the_two_matrices(count: int, size: int, name: str) -> None:
    assert solver(count, size) == name


@pytest.mark.parametrize(("count", "large"), [(20, 4000), (20, 10), (300, 10)])
def test_all_solvers_find_the_same_code_and_the_same_density(
    monkeypatch: pytest.MonkeyPatch, count: int, large: int
) -> None:
    """Images of 64 pixels, whose variances fall as those of photos do: beside the exact eigenvectors."""
    mixing = RNG.standard_normal((64, 64)) * np.arange(1, 65) ** -1.0
    images = np.clip(128 + 30 * RNG.standard_normal((count, 64)) @ mixing.T, 0, 255).astype(np.uint8)
    monkeypatch.setattr(baselines, "LARGE", large)
    found = PcaBaseline(images.reshape(-1, 1, 8, 8), 5)
    flat = from_bytes(images).astype(float)
    mean = flat.mean(axis=0)
    _, s, directions = np.linalg.svd(flat - mean, full_matrices=False)
    directions = directions[:5]
    best = np.clip((flat - mean) @ directions.T @ directions + mean, 0, 1)
    given = found.reconstruct(from_bytes(images).reshape(-1, 1, 8, 8)).reshape(-1, 64)
    assert np.square(given - flat).mean() == pytest.approx(np.square(best - flat).mean(), rel=1e-3)
    variances = s**2 / (count - 1)
    rest = variances[5:].sum() / (64 - 5)  # Tipping & Bishop 1999, equation 8
    covariance = (directions.T * (variances[:5] - rest)) @ directions + rest * np.eye(64)
    held_out = np.clip(128 + 30 * RNG.standard_normal((9, 64)) @ mixing.T, 0, 255).astype(np.uint8)
    expected = multivariate_normal(mean, covariance).logpdf(from_bytes(held_out))
    np.testing.assert_allclose(found.log_prob(from_bytes(held_out).reshape(-1, 1, 8, 8)), expected, rtol=5e-3)


def test_probabilistic_pca_is_a_gaussian_whose_other_directions_share_their_variance() -> None:
    images = RNG.integers(0, 256, (300, 1, 2, 2)).astype(np.uint8)
    flat, held_out = from_bytes(images).reshape(-1, 4).astype(float), from_bytes(images[:50])
    variances, directions = np.linalg.eigh(np.cov(flat.T))
    variances[:3] = variances[:3].mean()  # all but one component: Tipping & Bishop 1999, equation 8
    gaussian = multivariate_normal(flat.mean(axis=0), directions @ np.diag(variances) @ directions.T)
    expected = gaussian.logpdf(held_out.reshape(-1, 4))
    np.testing.assert_allclose(PcaBaseline(images, 1).log_prob(held_out), expected, rtol=1e-3)


def test_the_gaussian_is_scipys_on_logits_times_the_jacobian() -> None:
    alpha, images = 0.05, np.tile(PLANE, (20, 1, 1, 1))
    assert len(images) > GaussianBaseline.CHUNK  # several chunks, whose noise is one stream
    fitted = images + np.random.default_rng(3).random(images.shape)
    h = logit(alpha + (1 - 2 * alpha) * fitted.reshape(-1, 4) / 256)
    gaussian = multivariate_normal(h.mean(axis=0), np.cov(h.T, bias=True))

    held_out = RNG.integers(0, 256, (50, 1, 2, 2)).astype(np.uint8)
    noise = RNG.random(held_out.shape, dtype=np.float32)
    p = alpha + (1 - 2 * alpha) * (held_out + noise.astype(np.float64)).reshape(-1, 4) / 256
    jacobian = (1 - 2 * alpha) / 256 / (p * (1 - p))
    expected = gaussian.logpdf(logit(p)) + np.log(jacobian).sum(axis=1)

    found = GaussianBaseline(images, alpha, seed=3).log_prob(held_out, noise)
    assert found.shape == (50,)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_the_gaussians_density_of_pixel_values_integrates_to_one() -> None:
    """Over all bytes of one pixel: the sum over bytes of the mean over the noise."""
    images = np.clip(RNG.normal(120, 20, (500, 1, 1, 1)), 0, 255).astype(np.uint8)
    baseline = GaussianBaseline(images, 0.01, seed=0)
    every = np.arange(256, dtype=np.uint8).reshape(-1, 1, 1, 1)
    middle = np.full(every.shape, 0.5)
    assert np.exp(baseline.log_prob(every, middle)).sum() == pytest.approx(1.0, abs=1e-3)


def test_of_few_images_the_covariance_is_drawn_towards_the_identity() -> None:
    """It is a density still, and one that images not seen are likelier under than under independent pixels."""
    faces = RNG.normal(0.0, 25.0, (400, 2)) @ RNG.normal(0.0, 1.0, (2, 64)) + 128.0
    images = np.clip(faces + RNG.normal(0.0, 4.0, faces.shape), 0, 255).astype(np.uint8).reshape(-1, 1, 8, 8)
    few, held_out = images[:60], images[60:]
    assert is_singular(few)
    noise = RNG.random(held_out.shape, dtype=np.float32)
    one_by_one = [
        GaussianBaseline(few[:, :, i : i + 1, j : j + 1], 0.05, seed=0).log_prob(
            held_out[:, :, i : i + 1, j : j + 1], noise[:, :, i : i + 1, j : j + 1]
        )
        for i in range(8)
        for j in range(8)
    ]
    found = GaussianBaseline(few, 0.05, seed=0).log_prob(held_out, noise)
    assert found.mean() > np.sum(one_by_one, axis=0).mean() + 10.0
