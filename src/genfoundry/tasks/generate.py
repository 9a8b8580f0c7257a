"""Samples, as the judge of the data set sees them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from genfoundry.judge.extractor import as_bytes
from genfoundry.metrics import Sampled, class_kl, copies, frechet, inception_score, kernel, manifold, modes
from genfoundry.params import Evaluation
from genfoundry.tasks import Finding, Picture, Setting, Table, Task, appearance, learns_all, noise_width


def find(setting: Setting) -> Finding:
    """From the model, and as many from a Gaussian on PCA of the noise's width, or from the rival."""
    count = setting.config.samples
    baseline, name = setting.once(("generate", "baseline"), lambda: other_samples(setting, count))
    images = {"value": as_bytes(setting.artifact.generate(count, setting.seed)), "baseline": as_bytes(baseline)}
    view, *others = setting.looked(images)
    shown = setting.config.pictures
    return Finding(
        view.roles,
        name,
        view.protocol,
        {
            "generate": Picture(images["value"][:shown], "Samples from the shipped file, none chosen"),
            "real": Picture(np.asarray(setting.prepared.split("test").images[:shown]), "Held-out real images"),
            "baseline": Picture(images["baseline"][:shown], f"The baseline: {name}"),
        },
        tables(setting, images["value"], view.roles["value"]),
        tuple(others),
    )


def tables(setting: Setting, samples: np.ndarray, evidence: Sampled) -> dict[str, Table]:
    """How the samples look, and where the judge knows classes, which they are of."""
    found = {"appearance": appearance.table(samples, setting.prepared.split("test").images, evidence)}
    return {**found, **counted(setting, evidence)} if setting.reference.knows_classes else found


def other_samples(setting: Setting, count: int) -> tuple[np.ndarray, str]:
    """What has to be beaten: images in [0, 1] and where they come from."""
    if setting.rival and "generate" in setting.rival:
        return setting.rival.generate(count, setting.seed), f"the run {setting.rival.about['run']}"
    pca = setting.pca(noise_width(setting.artifact.graph("generate")))
    return pca.sample(count, setting.seed), f"Gaussian on PCA with {pca.components} components"


def counted(setting: Setting, samples: Sampled) -> dict[str, Table]:
    """The classes of the samples, and those of the samples at each of training's snapshots."""
    classes = setting.prepared.spec.classes
    seen = {step: setting.reference.see(images) for step, images in setting.snapshots.get("generate", {}).items()}
    trained = {"modes_over_time": over_time(seen, classes, setting.config)} if seen else {}
    return {"classes": histogram(samples, classes), **trained}


def over_time(seen: Mapping[int, Sampled], classes: tuple[str, ...], config: Evaluation) -> Table:
    """A row for each step: the scores that count classes, then each class's share of that step's samples."""
    counts = (modes.METRIC, class_kl.METRIC)
    rows = []
    for step, evidence in seen.items():
        shares, _ = evidence.class_shares()
        found = (metric.compute(evidence, config).value for metric in counts)
        rows.append([step, *(f"{value:.5g}" for value in found), *_rounded(shares)])
    return Table(("step", *(metric.name for metric in counts), *classes), rows)


def histogram(evidence: Sampled, classes: tuple[str, ...]) -> Table:
    """Shares of each class among the samples and the real images, as the judge sees them."""
    shares = zip(classes, *map(_rounded, evidence.class_shares()), strict=True)
    return Table(("class", "samples", "real"), [list(row) for row in shares])


def _rounded(shares: np.ndarray) -> list[str]:
    return [f"{share:.5f}" for share in shares]


METRICS = (
    frechet.METRIC,
    kernel.METRIC,
    frechet.INFINITY,
    *manifold.METRICS,
    inception_score.METRIC,
    frechet.OF_CLASSES,
    modes.METRIC,
    class_kl.METRIC,
    copies.METRIC,
)
TASK = Task("generate", ("generate",), METRICS, find, wanted=learns_all)
