"""The judge itself: a small convolutional classifier."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from genfoundry.contract import Batch, DataSpec, Graph, Learner, Loss, Phase, TensorSpec


class Judge(Learner):
    """A small convolutional classifier; its features are the activations before the last layer."""

    def __init__(self, channels: int, features: int, data: DataSpec) -> None:
        super().__init__()
        self.data = data
        depth, height, width = data.shape
        self.body = nn.Sequential(
            *_block(depth, channels),
            nn.MaxPool2d(2),
            *_block(channels, 2 * channels),
            *_block(2 * channels, 2 * channels),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(2 * channels * (height // 4) * (width // 4), features, bias=False),
            nn.BatchNorm1d(features),
            nn.ReLU(),
        )
        self.head = nn.Linear(features, len(data.classes))
        self.features = features

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, H, W) in [0, 1] → logits (N, classes), features (N, features)."""
        features = self.body(image)
        return self.head(features), features

    def phases(self) -> tuple[Phase, ...]:
        """One."""
        return (Phase("judge", self, self.loss),)

    def loss(self, batch: Batch) -> Loss:
        """Cross-entropy in nats."""
        logits, _ = self(batch["image"])
        accuracy = (logits.argmax(dim=1) == batch["label"]).float().mean()
        return Loss({"cross_entropy": F.cross_entropy(logits, batch["label"])}, {"accuracy": accuracy})

    def graphs(self) -> tuple[Graph, ...]:
        """`classify`, with the features beside the logits."""
        logits = TensorSpec(("batch", len(self.data.classes)), "value")
        features = TensorSpec(("batch", self.features), "value")
        return (Graph("classify", self, {"image": self.data.image}, {"logits": logits, "features": features}),)


def _block(fan_in: int, fan_out: int) -> tuple[nn.Module, ...]:
    convolution = nn.Conv2d(fan_in, fan_out, 3, padding=1, bias=False)
    return convolution, nn.BatchNorm2d(fan_out), nn.ReLU()
