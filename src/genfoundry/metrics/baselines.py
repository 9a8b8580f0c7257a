"""What a model has to beat: linear maps and Gaussians fitted to the same training images."""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from genfoundry.pictures import from_bytes

if TYPE_CHECKING:
    from sklearn.decomposition import PCA


LARGE = 4000  # images and pixels: with more of both, exact solvers take minutes


def solver(count: int, size: int) -> str:
    """scikit-learn's for `count` images of `size` values: exact where one of the two is not large."""
    if min(count, size) > LARGE:
        return "randomized"  # Halko et al. 2011; the error of the best code to within a thousandth
    return "covariance_eigh" if size < count else "full"


class PcaBaseline:
    """The best linear code of a given width, and the Gaussian it implies."""

    def __init__(self, images: np.ndarray, components: int) -> None:
        self._images = images
        self.components = min(components, len(images), images[0].size)  # there are no more

    @cached_property
    def _pca(self) -> PCA:
        from sklearn.decomposition import PCA  # a second, which a run with a rival spares

        flat = self._flat(from_bytes(self._images))
        pca = PCA(self.components, svd_solver=solver(*flat.shape), random_state=0).fit(flat)
        if self.components < flat.shape[1]:
            # A mean over all other directions (Tipping & Bishop 1999, equation 8), not over those that images span.
            pca.noise_variance_ *= (min(flat.shape) - self.components) / (flat.shape[1] - self.components)
        return pca

    def encode(self, images: np.ndarray) -> np.ndarray:
        """(N, C, H, W) float32 in [0, 1] → (N, components)."""
        return np.asarray(self._pca.transform(self._flat(images)))

    def reconstruct(self, images: np.ndarray) -> np.ndarray:
        """(N, C, H, W) float32 in [0, 1] through `components` numbers and back, clipped to [0, 1]."""
        return self.decode(self.encode(images))

    def decode(self, code: np.ndarray) -> np.ndarray:
        """(N, components) → (N, C, H, W) float32, clipped to [0, 1]."""
        flat = self._pca.inverse_transform(code)
        return np.clip(flat, 0.0, 1.0).astype(np.float32).reshape(-1, *self._images.shape[1:])

    def log_prob(self, images: np.ndarray) -> np.ndarray:
        """(N, C, H, W) float32 in [0, 1] → nats (N,) of probabilistic PCA: Tipping & Bishop 1999, equation 4."""
        return np.asarray(self._pca.score_samples(self._flat(images)))

    def sample(self, count: int, seed: int) -> np.ndarray:
        """Images decoded from a Gaussian with the components' variances, clipped to [0, 1]."""
        noise = np.random.default_rng(seed).standard_normal((count, self.components))
        return self.decode(noise * np.sqrt(self._pca.explained_variance_))

    def _flat(self, images: np.ndarray) -> np.ndarray:
        return images.reshape(len(images), -1)


class BernoulliBaseline:
    """Each pixel is 1 with its own probability, whatever the others are."""

    def __init__(self, images: np.ndarray) -> None:
        white = from_bytes(images.mean(axis=0)) * len(images)
        self._p = ((white + 1.0) / (len(images) + 2.0)).astype(np.float64)  # Laplace's rule: never 0 or 1

    def log_prob(self, images: np.ndarray) -> np.ndarray:
        """(N, C, H, W) uint8 in {0, 255} → (N,) nats."""
        flat = (images > 0).reshape(len(images), -1)
        p = self._p.reshape(-1)
        return flat @ np.log(p) + ~flat @ np.log1p(-p)


def is_singular(images: np.ndarray) -> bool:
    """Whether (N, C, H, W) are too few for the covariance of their pixels."""
    return len(images) <= images[0].size


class GaussianBaseline:
    """A Gaussian on logit(α + (1 − 2α) y / 256) of pixel values y = byte + u, u in [0, 1).

    The pre-processing of Dinh et al. 2017, section 4.1, with α at both ends; a flow with the same α gives
    log-densities in the same units. The covariance is that of maximum likelihood or, where there are no more images
    than pixels and it is singular, that one drawn towards a multiple of the identity (Ledoit & Wolf 2004).

    Args:
        images: (N, C, H, W) uint8, to fit mean and covariance on.
        alpha: in (0, 1/2).
        seed: of the noise u that is added to `images`.
    """

    CHUNK = 4096  # images at a time: the logits of a whole data set may not fit into memory

    def __init__(self, images: np.ndarray, alpha: float, seed: int) -> None:
        self.alpha = alpha
        moments = self._shrunk_moments if is_singular(images) else self._moments
        self._mean, covariance = moments(images, np.random.default_rng(seed))
        self._cholesky = np.linalg.cholesky(covariance)

    def log_prob(self, images: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """(M, C, H, W) uint8 and u in [0, 1) of the same shape → nats (M,) of the density of y in [0, 256]^D."""
        starts = range(0, len(images), self.CHUNK)
        chunks = [slice(start, start + self.CHUNK) for start in starts]
        return np.concatenate([self._log_prob(images[chunk], noise[chunk]) for chunk in chunks])

    def _log_prob(self, images: np.ndarray, noise: np.ndarray) -> np.ndarray:
        logits, log_det = self._logits(images, noise)
        white = np.linalg.solve(self._cholesky, (logits - self._mean).T)
        log_normaliser = np.log(self._cholesky.diagonal()).sum() + 0.5 * len(white) * math.log(2.0 * math.pi)
        return log_det - 0.5 * np.square(white).sum(axis=0) - log_normaliser

    def _moments(self, images: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Mean (D,) and covariance (D, D), in float64."""
        size = images[0].size
        total, products = np.zeros(size), np.zeros((size, size))
        for start in range(0, len(images), self.CHUNK):
            chunk = images[start : start + self.CHUNK]
            logits, _ = self._logits(chunk, rng.random(chunk.shape))
            total += logits.sum(axis=0)
            products += logits.T @ logits
        mean = total / len(images)
        return mean, products / len(images) - np.outer(mean, mean)

    def _shrunk_moments(self, images: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        from sklearn.covariance import LedoitWolf

        fitted = LedoitWolf(store_precision=False).fit(self._logits(images, rng.random(images.shape))[0])
        return fitted.location_, fitted.covariance_

    def _logits(self, images: np.ndarray, noise: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Logits (M, D) and Σ log d logit / dy (M,)."""
        slope = (1.0 - 2.0 * self.alpha) / 256.0
        p = self.alpha + slope * (images + noise.astype(np.float64)).reshape(len(images), -1)
        log_p, log_q = np.log(p), np.log1p(-p)
        return log_p - log_q, (math.log(slope) - log_p - log_q).sum(axis=1)
