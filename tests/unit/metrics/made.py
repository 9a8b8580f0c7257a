"""Evidence made for a test."""

from __future__ import annotations

import numpy as np

from genfoundry.metrics import Sampled, Seen


def gaussian(rng: np.random.Generator, count: int, width: int = 16, shift: float = 0.0) -> np.ndarray:
    """(count, width) float32 features, correlated, their mean `shift` from that of others before the mixing."""
    mixing = np.random.default_rng(99).standard_normal((width, width)) / np.sqrt(width)
    return ((rng.standard_normal((count, width)) + shift) @ mixing).astype(np.float32)


def sure(labels: np.ndarray | list[int], classes: int) -> np.ndarray:
    """Logits of a judge without a doubt."""
    return (20.0 * np.eye(classes)[np.asarray(labels, int)]).astype(np.float32)


def sampled(samples: np.ndarray, real: np.ndarray, extractor: str = "judge") -> Sampled:
    """Features alone."""
    return Sampled(Seen(samples), Seen(real), extractor=extractor)


def of_classes(samples: list[int], real: list[int]) -> Sampled:
    """As many samples and real images of each class, whose features say nothing."""
    seen = []
    for counts in (samples, real):
        labels = np.repeat(np.arange(len(counts)), counts)
        seen.append(Seen(np.zeros((len(labels), 1), np.float32), sure(labels, len(counts))))
    return Sampled(*seen)
