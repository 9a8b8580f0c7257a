"""FID and KID on Inception-2015 of generators, and of a data set's training images, against its test images.

    PYTHONPATH=src .venv/bin/python benchmarks/inception.py data/prepared/fashion_mnist [dist/dcgan …] [--samples N]

Prints rows for docs/metrics.md and the time. What the network saw is kept in `~/.cache/genfoundry`: a second call,
or one with more generators, goes on from there.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from genfoundry.data.batches import Prepared
from genfoundry.judge.extractor import as_bytes
from genfoundry.metrics import Estimate, Metric, Sampled, Seen, frechet, kernel
from genfoundry.params import Evaluation, load
from genfoundry.runtime.artifact import Artifact
from genfoundry.score import DEFAULTS, extractor_of, some

NETWORK, SEED = "inception_2015", 0
METRICS: tuple[Metric, ...] = (frechet.METRIC, frechet.INFINITY, kernel.METRIC)


def written(estimate: Estimate) -> str:
    """With its error."""
    return f"{estimate.value:.4g} ± {estimate.stderr:.2g}"


def row(name: str, samples: Seen, real: Seen, config: Evaluation) -> str:
    """A line of a Markdown table."""
    evidence = Sampled(samples, real, extractor=NETWORK)
    scores = [written(metric.compute(evidence, config)) if metric.fits(evidence) else "–" for metric in METRICS]
    return f"| {' | '.join([name, str(len(samples)), str(len(real)), *scores])} |"


def main() -> None:
    """Each generator, then the floor."""
    options = argparse.ArgumentParser()
    options.add_argument("prepared", type=Path)
    options.add_argument("generators", type=Path, nargs="*")
    options.add_argument("--count", type=int, default=10_000, help="training and test images")
    options.add_argument("--samples", type=int, default=2000, help="of each generator")
    asked = options.parse_args()
    params, data = load(DEFAULTS), Prepared(asked.prepared)
    extractor, start = extractor_of(NETWORK, params), time.perf_counter()
    real = extractor.look(some(data.split("test").images, asked.count), "test images")
    print("| | samples | real | FID | FID∞ | KID |\n|---|---|---|---|---|---|", flush=True)
    for path in asked.generators:
        images = as_bytes(Artifact.load(path).generate(asked.samples, SEED))
        print(row(path.name, extractor.look(images, path.name), real, params.evaluation), flush=True)
    train = extractor.look(some(data.split("train").images, asked.count), "training images")
    print(row(f"{asked.prepared.name}, training images", train, real, params.evaluation), flush=True)
    print(f"{time.perf_counter() - start:.0f} s, {extractor.protocol}")


if __name__ == "__main__":
    main()
