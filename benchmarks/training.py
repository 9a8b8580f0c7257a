"""How much of a step is ours: the loop and the batches, side by side with what people write by hand.

Each row is the same VAE on the same images for the same number of steps; only who drives it differs. The machine
drifts, so the rows take turns and the ratio to the hand-written loop is what counts.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from genfoundry.contract import GenerativeModel
from genfoundry.data.batches import Batches, Prepared, Split
from genfoundry.models import build
from genfoundry.params import load_run
from genfoundry.torchvision_shim import torchvision
from genfoundry.training.loop import Quiet, train
from genfoundry.training.runtime import Runtime

RUN = "vae"
STEPS, ROUNDS = 200, 3


class PerImage(Dataset):
    """One image at a time through PIL and ToTensor, as most tutorials do it."""

    def __init__(self, split: Split) -> None:
        self.split = split
        self.to_tensor = torchvision.transforms.ToTensor()

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.to_tensor(torchvision.transforms.ToPILImage()(np.array(self.split.images[index, 0])))


def by_hand(model: GenerativeModel, images: Callable[[int], torch.Tensor]) -> None:
    """The shortest loop that trains this model: no journal, no guard, no resume."""
    (phase,) = model.phases()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for step in range(STEPS):
        optimizer.zero_grad(set_to_none=True)
        phase.loss({"image": images(step)}).total.backward()
        optimizer.step()


def main() -> None:
    """Print images per second, and the ratio to the hand-written loop on tensors that lie ready."""
    _, run = load_run(RUN)
    prepared = Prepared(Path("data/prepared") / run.data.dataset)
    split, size = prepared.split("train"), run.training.batch_size
    config = run.training.model_copy(update={"steps": STEPS})
    ready = torch.from_numpy(np.array(split.images[: size * 8])).float().div_(255.0).split(size)

    def fresh() -> GenerativeModel:
        return build(run.family, run.model, prepared.spec)

    def ours() -> None:
        with tempfile.TemporaryDirectory() as folder:
            checkpoint = Path(folder) / "checkpoint.safetensors"
            batches, runtime = Batches(split, size, 0), Runtime(torch.device("cpu"))
            train(fresh(), batches, config, runtime, seed=0, checkpoint=checkpoint, observer=Quiet(), title="ours")

    def loader() -> None:
        images = iter(DataLoader(PerImage(split), size, shuffle=True))
        by_hand(fresh(), lambda _: next(images))

    rows: dict[str, Callable[[], None]] = {
        "by hand, tensors that lie ready": lambda: by_hand(fresh(), lambda step: ready[step % len(ready)]),
        "genfoundry: memory map, guard, journal, resume": ours,
        "by hand, DataLoader with PIL transforms": loader,
    }
    rates: dict[str, list[float]] = {name: [] for name in rows}
    for _ in range(ROUNDS):
        for name, work in rows.items():
            start = time.perf_counter()
            work()
            rates[name].append(STEPS * size / (time.perf_counter() - start))
    first = np.median(next(iter(rates.values())))
    for name, found in rates.items():
        print(f"{name:<48}{np.median(found):>8.0f} images/s  {np.median(found) / first:.2f}")


if __name__ == "__main__":
    main()
