"""Our networks' weights, in the form in which other projects take them."""

from __future__ import annotations

from pathlib import Path

import torch

from genfoundry.networks.inception import Conv, Inception


def inception_for_torchmetrics(network: Inception, path: Path) -> str:
    """A file for `FrechetInceptionDistance(feature_extractor_weights_path=…)`: the convolutions in their order.

    Import `genfoundry.torchvision_shim` before.
    """
    from torch_fidelity.feature_extractor_inceptionv3 import BasicConv2d, FeatureExtractorInceptionV3

    class Reference(FeatureExtractorInceptionV3):
        def load_state_dict(self, *_: object) -> None:
            """Keep random weights: nothing is downloaded."""

    empty = path.with_suffix(".empty")
    torch.save({}, empty)
    reference = Reference("reference", ["2048"], str(empty))
    theirs = [module for module in reference.modules() if isinstance(module, BasicConv2d)]
    ours = [module for module in network.modules() if isinstance(module, Conv)]
    with torch.no_grad():
        for their, our in zip(theirs, ours, strict=True):
            their.conv.weight.copy_(our.weight)
            their.bn.weight.fill_(1.0)
            their.bn.bias.copy_(our.beta)
            their.bn.running_mean.copy_(our.mean)
            their.bn.running_var.copy_(our.var)
    torch.save(reference.state_dict(), path)
    return str(path)
