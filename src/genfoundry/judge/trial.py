"""A classifier as an instrument: what can be learnt from these batches?"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch

from genfoundry.contract import DataSpec
from genfoundry.data.supply import Supply
from genfoundry.judge.model import Judge
from genfoundry.params import Augmentation
from genfoundry.training.loop import Quiet, train
from genfoundry.training.runtime import Runtime, evaluating

CHUNK = 1000  # images at a time


def learnt_classes(
    config: Augmentation, supply: Supply, spec: DataSpec, seed: int, images: np.ndarray
) -> np.ndarray:
    """(N,) classes that the judge's architecture, trained on `supply` from `seed`, gives (N, C, H, W) uint8."""
    runtime = Runtime.best(config.training.precision)
    torch.manual_seed(seed)  # the weights' start
    model = Judge(config.channels, config.features, spec)
    with tempfile.TemporaryDirectory() as folder:
        train(
            model,
            supply,
            config.training,
            runtime,
            seed=seed,
            checkpoint=Path(folder) / "checkpoint.safetensors",
            observer=Quiet(),
            title=f"trial {seed}",
        )
    with torch.no_grad(), evaluating(model):
        starts = range(0, len(images), CHUNK)
        batches = [runtime.batch({"image": np.array(images[start : start + CHUNK])}) for start in starts]
        return torch.cat([model(batch["image"])[0] for batch in batches]).argmax(dim=1).cpu().numpy()
