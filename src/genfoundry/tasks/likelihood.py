"""Log-probabilities of held-out images: exact from a flow, a bound from a VAE."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from genfoundry.data.supply import seen
from genfoundry.metrics import Likelihood, Metric, bits, nats
from genfoundry.metrics.baselines import BernoulliBaseline, GaussianBaseline, is_singular
from genfoundry.pictures import from_bytes
from genfoundry.runtime.artifact import ShippedGraph
from genfoundry.tasks import Finding, Setting, Task, learns_all
from genfoundry.tasks.restore import held_out

STRATUM = 10  # images whose times are next to each other: enough for a deviation
ALPHAS = (1e-6, 1e-5, 1e-3, 0.05)  # of the baseline's logits (Dinh et al. 2017, section 4.1): the best one counts


def find(graph_name: str, setting: Setting) -> Finding:
    """The graph's answer, beside the best model without hidden structure for such data."""
    images = held_out(setting, setting.config.held_out)
    rows = {key: array[: len(images)] for key, array in setting.prepared.split("test").arrays.items()}
    graph, dims = setting.artifact.graph(graph_name), setting.prepared.spec.dims
    noise = drawn(graph, setting.seed, len(images))
    baseline, name = without_structure(setting, images)
    roles = {
        "value": Likelihood(asked(graph, {**rows, "image": images}, noise), dims, strata(graph, noise)),
        "baseline": Likelihood(baseline, dims),
    }
    levels = seen(setting.prepared.spec, setting.data).levels
    given = ", given the class" if "label" in graph.inputs else ""
    return Finding(roles, name, {"n": len(images), "conditions": f"{levels} levels{given}"})


def log_prob(setting: Setting, graph_name: str, rows: Mapping[str, np.ndarray]) -> np.ndarray:
    """(N,) nats of the rows of a batch, `image` in uint8; the same noise at every call."""
    graph = setting.artifact.graph(graph_name)
    return asked(graph, rows, drawn(graph, setting.seed, len(rows["image"])))


def asked(graph: ShippedGraph, rows: Mapping[str, np.ndarray], noise: Mapping[str, np.ndarray]) -> np.ndarray:
    """(N,) nats: what the graph takes is in the rows, or is noise."""
    given = {**rows, "image": from_bytes(rows["image"])}
    return graph.run({**noise, **{name: given[name] for name in given if name in noise}})


def drawn(graph: ShippedGraph, seed: int, count: int) -> dict[str, np.ndarray]:
    """What the graph takes, at random; times cover their range evenly (Kingma et al. 2021, appendix I.1)."""
    rng = np.random.default_rng(seed)
    found = {name: spec.draw(rng, batch=count) for name, spec in graph.inputs.items()}
    even = {
        name: ((rng.permutation(count) + rng.random(count)) / count).astype(np.float32) for name in times(graph)
    }
    return found | even


def times(graph: ShippedGraph) -> list[str]:
    """Inputs of which an image has one, in [0, 1): the place in a sum that its term is taken from."""
    return [name for name, spec in graph.inputs.items() if (spec.kind, spec.shape) == ("uniform", ("batch",))]


def strata(graph: ShippedGraph, noise: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """(N,) which of equal parts of the range, of `STRATUM` images, each image's time is in; None without times."""
    found = times(graph)
    if not found:
        return None
    parts = max(1, len(noise[found[0]]) // STRATUM)
    return np.minimum((noise[found[0]] * parts).astype(int), parts - 1)


def without_structure(setting: Setting, images: np.ndarray) -> tuple[np.ndarray, str]:
    """(N,) nats and the baseline's name."""
    train = setting.learnt.images
    if setting.data.binarize:
        return BernoulliBaseline(train).log_prob(images), "independent Bernoulli pixels"
    noise = np.random.default_rng(setting.seed).random(images.shape, dtype=np.float32)
    found = {alpha: GaussianBaseline(train, alpha, setting.seed).log_prob(images, noise) for alpha in ALPHAS}
    alpha = max(found, key=lambda key: float(found[key].mean()))
    covariance = "shrunk" if is_singular(train) else "full"
    return found[alpha], f"a Gaussian of {covariance} covariance on the pixels' logits, α {alpha:g}"


def measuring(graph: str, metrics: tuple[Metric, ...]) -> Task:
    """The task of one graph that gives nats."""
    return Task(graph, (graph,), metrics, find=lambda setting: find(graph, setting), wanted=learns_all)


TASKS = (measuring("log_prob", (nats.EXACT, bits.EXACT)), measuring("elbo", (nats.BOUND, bits.BOUND)))
