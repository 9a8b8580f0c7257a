"""Log-probabilities of held-out images: exact from a flow, a bound from a VAE."""

from __future__ import annotations

import numpy as np

from genfoundry.data.supply import seen
from genfoundry.metrics import Likelihood, Metric, bits, nats
from genfoundry.metrics.baselines import BernoulliBaseline, GaussianBaseline
from genfoundry.pictures import from_bytes
from genfoundry.tasks import Finding, Setting, Task
from genfoundry.tasks.restore import held_out

ALPHAS = (1e-6, 1e-5, 1e-3, 0.05)  # of the baseline's logits (Dinh et al. 2017, section 4.1): the best one counts


def find(graph_name: str, setting: Setting) -> Finding:
    """The graph's answer, beside the best model without hidden structure for such data."""
    graph, images = setting.artifact.graph(graph_name), held_out(setting, setting.config.samples)
    rng = np.random.default_rng(setting.seed)
    drawn = {name: spec.draw(rng, batch=len(images)) for name, spec in graph.inputs.items()}
    rows = {key: array[: len(images)] for key, array in setting.prepared.split("test").arrays.items()}
    given = {**rows, "image": from_bytes(images)}
    answers = {"value": graph.run({**drawn, **{name: given[name] for name in given if name in drawn}})}
    answers["baseline"], name = without_structure(setting, images)
    dims = setting.prepared.spec.dims
    roles = {role: Likelihood(values, dims) for role, values in answers.items()}
    levels = seen(setting.prepared.spec, setting.data).levels
    return Finding(roles, name, {"n": len(images), "conditions": f"{levels} levels"})


def without_structure(setting: Setting, images: np.ndarray) -> tuple[np.ndarray, str]:
    """(N,) nats and the baseline's name."""
    train = setting.prepared.split("train").images
    if setting.data.binarize:
        return BernoulliBaseline(train).log_prob(images), "independent Bernoulli pixels"
    noise = np.random.default_rng(setting.seed).random(images.shape, dtype=np.float32)
    found = {alpha: GaussianBaseline(train, alpha, setting.seed).log_prob(images, noise) for alpha in ALPHAS}
    alpha = max(found, key=lambda key: float(found[key].mean()))
    return found[alpha], f"a Gaussian of full covariance on the pixels' logits, α {alpha:g}"


def measuring(graph: str, metrics: tuple[Metric, ...]) -> Task:
    """The task of one graph that gives nats."""
    return Task(graph, (graph,), metrics, find=lambda setting: find(graph, setting))


TASKS = (measuring("log_prob", (nats.EXACT, bits.EXACT)), measuring("elbo", (nats.BOUND, bits.BOUND)))
