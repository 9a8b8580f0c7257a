"""Small held-out images, enlarged."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np

from genfoundry.metrics import lpips
from genfoundry.tasks import Setting
from genfoundry.tasks.restore import FIDELITY, Candidates, restoring


def bicubic(small: np.ndarray, factor: int, keys: bool) -> np.ndarray:
    """Both sides `factor` times longer, by the kernel of Keys 1981 (a = −0.5) or the sharper one of a = −0.75."""
    import torch
    from torch.nn.functional import interpolate

    size = [side * factor for side in small.shape[2:]]
    large = interpolate(torch.from_numpy(small), size, mode="bicubic", antialias=keys)  # which takes a = −0.5
    return large.clamp(0.0, 1.0).numpy()


def enlargers(setting: Setting, found: Mapping[str, np.ndarray]) -> Candidates:
    """What is done about small images without learning."""
    kernels = {"bicubic, a = −0.5": True, "bicubic, a = −0.75": False}
    return {name: partial(bicubic, found["degraded"], setting.data.scale, keys) for name, keys in kernels.items()}


#: The best PSNR is that of the mean of all sharp images which may be meant, a blur: where LPIPS is there, it leads.
TASK = restoring("super_resolve", "scale", enlargers, (lpips.METRIC, *FIDELITY))
