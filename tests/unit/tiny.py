"""Learners, graphs and params small enough to train and export in a blink, but real."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor, nn

from genfoundry.contract import DataSpec, GenerativeModel, Graph, Learner, Loss, Phase, TensorSpec
from genfoundry.networks.efficientnet_lite import EfficientNetLite0
from genfoundry.networks.lpips import LPIPS
from genfoundry.params import Evaluation, Export, Gate, Part, Strict, Training, validate

SOURCE = Path(__file__).resolve().parents[2] / "src"
SHAPE = (1, 8, 8)
DATA = DataSpec(SHAPE, ("zero", "one"))
EFFNET = {"extractor": "efficientnet_lite0", "size": 64}  # a judge that needs no labels
VAE = {"latent_dim": 3, "channels": 2, "features": 8, "likelihood": "bernoulli"}
GATE = Gate(batches=(1, 2, 5), seeds=2, max_abs=1e-4, mean_abs=1e-5, flips=1e-3, min_spread=1e-3)
ABOUT = {
    "run": "tiny",
    "family": "vae",
    "identity": "f" * 64,
    "steps": 4,
    "dataset": "dots",
    "fingerprint": "a" * 64,
    "licence": "CC0",
    "code_licence": "Apache-2.0",
    "published_weights": None,
    "classes": ["zero", "one"],
    "data": {"dataset": "dots"},
}

_TRAINING = {"steps": 4, "batch_size": 4, "log_every": 2, "sample_every": 2, "checkpoint_every": 2}
_PARAMS: dict[str, Any] = {
    "seed": 0,
    "threads": 1,
    "weights": {
        "efficientnet_lite0": {
            "sources": [{"kind": "pip", "package": "net", "version": "1.0.0"}],
            "sha256": "0" * 64,
            "licence": "CC0",
        }
    },
    "datasets": {
        "dots": {
            "sources": [{"kind": "npm", "package": "dots", "version": "1.0.0"}],
            "sha256": dict.fromkeys(get_args(Part), "0" * 64),
            "shape": list(SHAPE),
            "classes": ["zero", "one"],
            "licence": "CC0",
            "limit": None,
            "judge": {
                "extractor": "none",
                "channels": 2,
                "features": 4,
                "accuracy": 0.5,
                "training": {**_TRAINING, "optimizers": {"judge": {"lr": 1e-2}}},
            },
        }
    },
    "runs": {
        "tiny": {
            "family": "vae",
            "weights": "none",
            "data": {"dataset": "dots"},
            "model": VAE,
            "training": {**_TRAINING, "optimizers": {"vae": {"lr": 1e-3}}},
            "evaluation": {"rival": "tiny", "perceptual": "none"},
        }
    },
    "evaluation": {
        "samples": 100,
        "held_out": 100,
        "extractors": [],
        "extracted": 100,
        "kid_subsets": 2,
        "kid_subset_size": 10,
        "mode_share": 0.1,
        "pictures": 4,
        "restored": 20,
        "augmentation": {
            "seeds": 2,
            "generated": 20,
            "share": 0.5,
            "channels": 2,
            "features": 4,
            "training": {**_TRAINING, "optimizers": {"judge": {"lr": 1e-2}}},
        },
    },
    "export": {
        "opset": 20,
        "gate": GATE.model_dump(mode="json"),
        "calibration": 4,
        "variants": {
            "fp16": {"max_abs": 1e-2, "mean_abs": 1e-3, "lead": 0.02},
            "int8": {"max_abs": 1.0, "mean_abs": 0.1, "lead": 0.05},
        },
    },
    "tracking": {"enabled": False},
}


def params_tree(**changes: Any) -> dict[str, Any]:
    """A valid params.yaml; `changes` are dotted paths, with `__` for the dots, and None deletes."""
    tree = copy.deepcopy(_PARAMS)
    for path, value in changes.items():
        *parents, leaf = path.split("__")
        place: Any = tree
        for part in parents:
            place = place[part]
        if value is None:
            del place[leaf]
        else:
            place[leaf] = value
    return tree


def export() -> Export:
    """That of `params_tree`."""
    return validate(Export, _PARAMS["export"])


def evaluation(**changes: Any) -> Evaluation:
    """The protocol of `params_tree`, changed."""
    return Evaluation(**{**_PARAMS["evaluation"], "extractors": (), **changes})


def training(**changes: Any) -> Training:
    """A short training of one optimizer called `net`."""
    return Training(**{**_TRAINING, "optimizers": {"net": {"lr": 1e-2}}, **changes})


class Net(Learner):
    """Regresses the mean pixel through BatchNorm and Dropout: all that a resume has to restore."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(64, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Dropout(0.2))
        self.head = nn.Linear(6, 1)
        self.helper = nn.Linear(1, 1)

    def forward(self, image: Tensor) -> Tensor:
        return self.head(self.body(image))

    def loss(self, batch: Any) -> Loss:
        x = batch["image"]
        error = (self(x) - x.mean(dim=(1, 2, 3))[:, None]).square().mean()
        return Loss({"error": error}, {"helper": self.helper.weight.sum()})

    def phases(self) -> tuple[Phase, ...]:
        return (Phase("net", self, self.loss),)

    def graphs(self) -> tuple[Graph, ...]:
        network = nn.Sequential(self.body, self.head)
        return (Graph("encode", network, {"image": DATA.image}, {"latent": TensorSpec(("batch", 1), "value")}),)


class Perceptual(GenerativeModel):
    """Learns one image by LPIPS."""

    Params = Strict

    def __init__(self) -> None:
        super().__init__(None, DATA)
        self.image = nn.Parameter(torch.full((1, 1, 33, 33), 0.5))
        self.lpips = LPIPS("alexnet")

    def forward(self, noise: Tensor) -> Tensor:
        return self.image.clamp(0, 1).expand(len(noise), -1, -1, -1)

    def published(self) -> LPIPS:
        return self.lpips

    def loss(self, batch: Any) -> Loss:
        return Loss({"perceptual": self.lpips(batch["image"], self(batch["image"])).mean()})

    def phases(self) -> tuple[Phase, ...]:
        return (Phase("net", self, self.loss),)

    def graphs(self) -> tuple[Graph, ...]:
        image = TensorSpec(("batch", 1, 33, 33), "image")
        return (Graph("generate", self, {"noise": TensorSpec(("batch", 1), "normal")}, {"image": image}),)


class Generator(nn.Module):
    """Noise (N, 4) → image (N, 1, 8, 8), through whatever `last` does."""

    def __init__(self, last: nn.Module | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(4, 64)
        self.last = last or nn.Sigmoid()

    def forward(self, noise: Tensor) -> Tensor:
        return self.last(self.linear(noise).unflatten(1, SHAPE))


def generate_graph(module: nn.Module | None = None, **image: Any) -> Graph:
    """`module` as a `generate` graph."""
    noise = TensorSpec(("batch", 4), "normal")
    return Graph("generate", module or Generator(), {"noise": noise}, {"image": DATA.image})


def python(*arguments: str, cwd: Path, check: bool = True, **options: Any) -> subprocess.CompletedProcess[str]:
    """A fresh interpreter that sees the package, in `cwd`."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        check=check,
        timeout=120,
        **options,
    )


def environment(**changes: str) -> dict[str, str]:
    """For a subprocess that sees the package."""
    return {**os.environ, "PYTHONPATH": str(SOURCE), **changes}


def effnet() -> EfficientNetLite0:
    """Random weights, and BatchNorm statistics of noise, without which the features would vanish."""
    torch.manual_seed(0)
    network = EfficientNetLite0()
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.momentum = 1.0
    network(torch.randn(16, 3, 32, 32))
    return network.eval()


def effnet_tensors(network: EfficientNetLite0) -> dict[str, Tensor]:
    """A network's weights by the names under which they were published, with a classifier."""
    parts = {"stem.0": "_conv_stem", "stem.1": "_bn0", "head.0": "_conv_head", "head.1": "_bn1"}
    parts |= {"expand.0": "_expand_conv", "expand.1": "_bn0", "depthwise.0": "_depthwise_conv"}
    parts |= {"depthwise.1": "_bn1", "project.0": "_project_conv", "project.1": "_bn2"}
    tensors = {"_fc.weight": torch.zeros(1000, 1280), "_fc.bias": torch.zeros(1000)}
    for name, tensor in network.state_dict().items():
        *place, part, index, leaf = name.split(".")
        prefix = f"_blocks.{place[1]}." if place else ""
        tensors[f"{prefix}{parts[f'{part}.{index}']}.{leaf}"] = tensor.clone()
    return tensors


def lpips_tensors(network: LPIPS) -> dict[str, Tensor]:
    """A network's weights as they were published: by other names, kernels as (height, width, in, out)."""
    trunk = {"vgg16": "VGG16_0", "alexnet": "AlexNet_0"}[network.trunk]
    tensors = {}
    for i, convolution in enumerate(network.convolutions):
        tensors[f"{trunk}.Conv_{i}.kernel"] = convolution.weight.permute(2, 3, 1, 0).contiguous().clone()
        tensors[f"{trunk}.Conv_{i}.bias"] = convolution.bias.clone()
    for i, head in enumerate(network.heads):
        tensors[f"NetLinLayer_{i}.Conv_0.kernel"] = head.reshape(1, 1, -1, 1).clone()
    return tensors
