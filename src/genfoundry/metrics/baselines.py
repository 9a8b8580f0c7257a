"""What a model has to beat: linear maps fitted to the same training images."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from sklearn.decomposition import PCA

from genfoundry.pictures import from_bytes


class PcaBaseline:
    """The best linear code of a given width, and the Gaussian it implies."""

    def __init__(self, images: np.ndarray, components: int) -> None:
        self._images = images
        self.components = min(components, len(images), images[0].size)  # there are no more

    @cached_property
    def _pca(self) -> PCA:
        return PCA(self.components, svd_solver="covariance_eigh").fit(self._flat(from_bytes(self._images)))

    def reconstruct(self, images: np.ndarray) -> np.ndarray:
        """(N, C, H, W) float32 in [0, 1] through `components` numbers and back, clipped to [0, 1]."""
        return self._images_of(self._pca.transform(self._flat(images)))

    def sample(self, count: int, seed: int) -> np.ndarray:
        """Images decoded from a Gaussian with the components' variances, clipped to [0, 1]."""
        noise = np.random.default_rng(seed).standard_normal((count, self.components))
        return self._images_of(noise * np.sqrt(self._pca.explained_variance_))

    def _images_of(self, code: np.ndarray) -> np.ndarray:
        flat = self._pca.inverse_transform(code)
        return np.clip(flat, 0.0, 1.0).astype(np.float32).reshape(-1, *self._images.shape[1:])

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
