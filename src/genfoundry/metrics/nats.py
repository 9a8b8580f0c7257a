"""Mean log-probability of held-out images, in nats."""

from __future__ import annotations

from genfoundry.metrics import Estimate, Likelihood, Metric, mean
from genfoundry.params import Evaluation


def nats(evidence: Likelihood, _: Evaluation) -> Estimate:
    """The mean over images, each with one draw of the noise that its graph asks for."""
    return mean(evidence.nats, evidence.strata)


EXACT = Metric("log_prob", "higher", nats, "log p(x) of an image in nats, its bytes spread by uniform noise, mean")
BOUND = Metric(
    "elbo",
    "higher",
    nats,
    "a lower bound on log p(x) of an image in nats, one draw of noise, of times an even one, mean",
)
