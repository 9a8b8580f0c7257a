"""Held-out images through the latent and back."""

from __future__ import annotations

from genfoundry.metrics import Paired, mse, psnr, ssim
from genfoundry.pictures import beside, from_bytes
from genfoundry.tasks import Finding, Picture, Setting, Task, learns_all

TRIPLES = 4  # in a row of the picture


def find(setting: Setting) -> Finding:
    """Through the model, and through PCA of the latent's width."""
    target = from_bytes(setting.prepared.split("test").images[: setting.config.held_out])
    pca = setting.pca(setting.latent_width)
    outputs = {"value": setting.artifact.reconstruct(target), "baseline": pca.reconstruct(target)}
    count = setting.config.pictures // 2
    triples = beside(target[:count], outputs["value"][:count], outputs["baseline"][:count])
    caption = "Held-out image, reconstruction, PCA of equal width; in triples"
    return Finding(
        {role: Paired(target, output) for role, output in outputs.items()},
        f"PCA with {pca.components} components",
        {"n": len(target)},
        {"reconstruct": Picture(triples, caption, columns=3 * TRIPLES)},
    )


METRICS = (mse.METRIC, psnr.METRIC, ssim.METRIC)
TASK = Task("reconstruct", ("reconstruct", "encode"), METRICS, find, wanted=learns_all)
