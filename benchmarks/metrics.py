"""Scores of features and Inception's features, side by side with other implementations, in one run.

    make bench, or: PYTHONPATH=src:. .venv/bin/python benchmarks/metrics.py [--count N] [--images N]

The first table: FID, KID, precision, recall, density, coverage of 10,000 × 2048 features, each project by its own
functions, in a process of its own. The second: images a second that reach Inception's features, by several routes.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import genfoundry.torchvision_shim  # noqa: F401  (before torchmetrics and torch-fidelity)

WIDTH, SUBSETS, SUBSET_SIZE, NEIGHBOURS = 2048, 100, 1000, 5


def features(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Samples and real images, (count, WIDTH) float32: sparse and correlated, as Inception's are."""
    rng = np.random.default_rng(0)
    mixing = rng.standard_normal((64, WIDTH), dtype=np.float32)
    noise = [rng.standard_normal((count, WIDTH), dtype=np.float32) for _ in range(2)]
    latent = [rng.standard_normal((count, 64), dtype=np.float32) + shift for shift in (0.1, 0.0)]
    samples, real = (np.maximum(0.1 * z @ mixing + 0.3 * e, 0) for z, e in zip(latent, noise, strict=True))
    return samples, real


def ours(samples: np.ndarray, real: np.ndarray) -> dict[str, float]:
    """As the pipeline scores, but for the errors, which the others do not give."""
    from genfoundry.metrics import Sampled, Seen, frechet, kernel, manifold
    from genfoundry.metrics.compared import Comparison

    evidence = Sampled(Seen(samples), Seen(real))
    found = evidence.once(Comparison(SUBSETS, SUBSET_SIZE))
    return {
        "fid": frechet.between(frechet.moments(samples), frechet.moments(real)),
        "kid": float(kernel.estimates(found)[:-1].mean()),
        "precision": float((found.across.balls_of_y[:, manifold.FIFTH] > 0).mean()),
        "recall": float(found.across.y_held[:, manifold.FIFTH].mean()),
        "density": float(found.across.balls_of_y[:, manifold.FIFTH].mean()) / NEIGHBOURS,
        "coverage": float(found.across.y_holds[:, manifold.FIFTH].mean()),
    }


def others(samples: np.ndarray, real: np.ndarray) -> dict[str, float]:
    """FID by torchmetrics, KID by torch-fidelity, the rest by prdc."""
    import torch
    from prdc import compute_prdc
    from torch_fidelity.metric_kid import kid_features_to_metric
    from torchmetrics.image.fid import _compute_fid

    a, b = torch.from_numpy(samples), torch.from_numpy(real)
    moments = [m for x in (a.double(), b.double()) for m in (x.mean(0), torch.cov(x.T))]
    settings = {"kid_subsets": SUBSETS, "kid_subset_size": SUBSET_SIZE, "kid_degree": 3, "kid_gamma": None}
    kid = kid_features_to_metric(a, b, kid_coef0=1, rng_seed=0, verbose=False, **settings)
    with contextlib.redirect_stdout(io.StringIO()):
        manifold = compute_prdc(real, samples, NEIGHBOURS)
    return {
        "fid": float(_compute_fid(*moments)),
        "kid": kid["kernel_inception_distance_mean"],
        **{name: float(value) for name, value in manifold.items()},
    }


SIDES: dict[str, Callable[[np.ndarray, np.ndarray], dict[str, float]]] = {"ours": ours, "others": others}


def measure(side: str, count: int) -> None:
    """In this process: seconds, peak memory and the scores, as a line of JSON."""
    sets = features(count)
    start = time.perf_counter()
    scores = SIDES[side](*sets)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps({"seconds": seconds, "peak_gib": peak, **scores}))


def scores_side_by_side(count: int) -> None:
    """Each side in a process of its own."""
    print(f"{count} × {WIDTH} features on both sides; {SUBSETS} subsets of {SUBSET_SIZE}; k = {NEIGHBOURS}")
    found = {}
    for side in SIDES:
        command = [sys.executable, __file__, "--side", side, "--count", str(count)]
        found[side] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        print(side.ljust(8), "  ".join(f"{key} {value:.6g}" for key, value in found[side].items()), flush=True)
    print(f"ratio    {found['others']['seconds'] / found['ours']['seconds']:.2f}\n")


def main() -> None:
    """Both tables."""
    options = argparse.ArgumentParser()
    options.add_argument("--side", choices=SIDES)
    options.add_argument("--count", type=int, default=10_000)
    options.add_argument("--images", type=int, default=96)
    chosen = options.parse_args()
    if chosen.side:
        measure(chosen.side, chosen.count)
        return
    scores_side_by_side(chosen.count)
    inception_side_by_side(chosen.images)


def inception_side_by_side(count: int) -> None:
    """Images of 32 pixels, of bytes, to 2048 features."""
    import torch

    from genfoundry.params import load
    from genfoundry.score import DEFAULTS, extractor_of

    extractor = extractor_of("inception_2015", load(DEFAULTS))
    images = np.random.default_rng(0).integers(0, 256, (count, 3, 32, 32)).astype(np.uint8)
    routes = {"ONNX Runtime, as we score": lambda: extractor.features(images)}
    routes |= torch_routes(torch.from_numpy(images))
    reference = routes["torchmetrics"]()
    for name, route in routes.items():
        off = float(np.abs(route() - reference).max())  # the first call compiles, too
        start = time.perf_counter()
        route()
        print(f"{name:28} {count / (time.perf_counter() - start):6.2f} images/s, off by {off:.1e}", flush=True)


def torch_routes(images):
    """By name: torchmetrics' network, and ours in eager and compiled torch."""
    import tempfile

    import torch
    from tests.unit.networks.made import inception_for_torchmetrics
    from torchmetrics.image.fid import NoTrainInceptionV3

    from genfoundry.data.pretrained import read_weights
    from genfoundry.judge.extractor import BATCH, squares
    from genfoundry.networks.inception import MEAN, SIZE, STD, Inception
    from genfoundry.params import load
    from genfoundry.score import DEFAULTS, weights_of

    folder = weights_of("inception_2015", load(DEFAULTS))
    network = Inception().eval()
    network.load_published(read_weights(folder.name, folder.parent))
    with tempfile.TemporaryDirectory() as made:
        weights = inception_for_torchmetrics(network, Path(made) / "inception.pth")
        theirs = NoTrainInceptionV3("inception", ["2048"], weights)
    last = Inception().eval().to(memory_format=torch.channels_last)
    last.load_state_dict(network.state_dict())

    def by(net, prepare=lambda x: x):
        def route():
            with torch.inference_mode():
                parts = [net(prepare(images[i : i + BATCH])).numpy() for i in range(0, len(images), BATCH)]
            return np.concatenate(parts)

        return route

    def normalised(batch):
        return (torch.from_numpy(squares(batch.numpy(), SIZE, "bilinear")) - MEAN) / STD

    script = torch.jit.freeze(torch.jit.trace(network, torch.zeros(2, 3, SIZE, SIZE)))
    return {
        "torchmetrics": by(theirs),
        "eager": by(network, normalised),
        "eager, channels last": by(last, lambda x: normalised(x).to(memory_format=torch.channels_last)),
        "TorchScript, frozen": by(script, normalised),
        "torch.compile": by(torch.compile(network), normalised),
    }


if __name__ == "__main__":
    main()
