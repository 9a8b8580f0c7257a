"""Degraded held-out images, restored: noise taken away, hidden pixels filled in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from genfoundry.data.degradations import DEGRADATIONS
from genfoundry.data.supply import binarize
from genfoundry.metrics import Metric, Paired, psnr, ssim
from genfoundry.params import Degradation
from genfoundry.pictures import beside, enlarged, from_bytes
from genfoundry.tasks import Finding, Picture, Setting, Task

WIDE = 448  # pixels of a picture's row, about
ROWS = 8  # of a picture, at most: large images are shown in fewer
BATCH = 32  # images at a time: features of enlarged ones take much memory
FIDELITY = (psnr.METRIC, ssim.METRIC)
Candidates = dict[str, Callable[[], np.ndarray]]
Baselines = Callable[[Setting, Mapping[str, np.ndarray]], Candidates]


def gaussian_filter(degraded: np.ndarray, sigma: float) -> np.ndarray:
    """Each image smoothed by a Gaussian of `sigma` pixels."""
    from scipy.ndimage import gaussian_filter as smoothed

    return np.asarray(smoothed(degraded, (0, 0, sigma, sigma)), np.float32)


def non_local_means(degraded: np.ndarray, noise: float, strength: float) -> np.ndarray:
    """Buades et al. 2005, told the true deviation `noise`; `strength` times it is the filter's width h."""
    from skimage.restoration import denoise_nl_means

    settings = {"patch_size": 5, "patch_distance": 6, "h": strength * noise, "sigma": noise}
    smooth = [denoise_nl_means(image, channel_axis=0, **settings) for image in degraded]
    return np.stack(smooth).astype(np.float32).reshape(degraded.shape)  # it drops a single channel


def mean_fill(degraded: np.ndarray, known: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """The training images' mean where a pixel is hidden; mean is (C, H, W)."""
    return degraded * known + mean * (1.0 - known)


def denoisers(setting: Setting, found: Mapping[str, np.ndarray]) -> Candidates:
    """What is done about noise without learning, at several strengths."""
    degraded, amount = found["degraded"], setting.data.degradations["noise"]
    smooth = {f"Gaussian filter, σ {s}": partial(gaussian_filter, degraded, s) for s in (0.4, 0.6, 0.8, 1.0, 1.3)}
    means = {f"non-local means, h {h}σ": partial(non_local_means, degraded, amount, h) for h in (0.4, 0.6, 0.8)}
    return {"the noisy image itself": lambda: degraded, **smooth, **means}


def fillers(setting: Setting, found: Mapping[str, np.ndarray]) -> Candidates:
    """What is done about hidden pixels without learning."""
    mean = from_bytes(setting.learnt.images.mean(axis=0))
    return {"mean fill": partial(mean_fill, found["degraded"], found["mask"], mean)}


def find(kind: Degradation, baselines: Baselines, setting: Setting) -> Finding:
    """The model beside the best of the baselines, chosen by PSNR on the very images that are scored."""
    target = from_bytes(held_out(setting, setting.config.restored))
    rng = np.random.default_rng([setting.seed, 0])
    found = DEGRADATIONS[kind](target, setting.data.degradations[kind], rng)
    best, baseline = setting.once(("restore", kind), lambda: best_of(baselines(setting, found), target, setting))
    outputs = {"value": restored(setting, found), "baseline": baseline.output}
    strips, count = layout(target.shape[3], setting.config.pictures // 2)
    words = setting.perceptual.protocol if setting.perceptual else {}
    degraded = enlarged(found["degraded"], target.shape[2])
    shown = (degraded, outputs["value"], outputs["baseline"], target)
    caption = f"Degraded ({kind}), restored, the baseline ({best}), the truth; in fours"
    return Finding(
        {"value": setting.paired(target, outputs["value"]), "baseline": baseline},
        best,
        {"n": len(target), "conditions": conditions(kind, setting), **words},
        {f"restore_{kind}": Picture(beside(*(images[:count] for images in shown)), caption, columns=4 * strips)},
    )


def best_of(candidates: Candidates, target: np.ndarray, setting: Setting) -> tuple[str, Paired]:
    """By PSNR, under its name."""
    outputs = {name: make() for name, make in candidates.items()}
    scores = {name: psnr.psnr(Paired(target, output), setting.config).value for name, output in outputs.items()}
    best = max(scores, key=scores.__getitem__)
    return best, setting.paired(target, outputs[best])


def layout(width: int, wanted: int) -> tuple[int, int]:
    """Strips of four images, of `width` pixels each, that stand in a row of the picture, and strips in all."""
    strips = max(2, WIDE // (4 * width))
    return strips, min(wanted, ROWS * strips)


def conditions(kind: Degradation, setting: Setting) -> str:
    """What scores must have in common to be compared."""
    return f"{kind} {setting.data.degradations[kind]:g}" + (", binarised images" if setting.data.binarize else "")


def held_out(setting: Setting, count: int) -> np.ndarray:
    """Test images as the run sees its own, uint8."""
    return as_seen(setting, setting.prepared.split("test").images[:count])


def as_seen(setting: Setting, images: np.ndarray) -> np.ndarray:
    """(N, C, H, W) uint8, in bits where that is how the run sees them."""
    return binarize(images, np.random.default_rng([setting.seed, 1])) if setting.data.binarize else images


def restored(setting: Setting, found: Mapping[str, np.ndarray]) -> np.ndarray:
    """By the run's `restore`, which takes the mask where it wants to know what is known."""
    graph = setting.artifact.graph("restore")
    given = {**found, "image": found["degraded"]}
    return graph.run({name: given[name] for name in graph.inputs}, BATCH)


def restoring(name: str, kind: Degradation, baselines: Baselines, metrics: tuple[Metric, ...] = FIDELITY) -> Task:
    """The task of undoing one kind of degradation."""
    return Task(
        name,
        ("restore",),
        metrics,
        find=lambda setting: find(kind, baselines, setting),
        prefix=f"{name}_",
        wanted=lambda setting: kind in setting.data.degradations,
    )


TASKS = (restoring("denoise", "noise", denoisers), restoring("impute", "mask", fillers))
