"""Networks of torchvision, for which it has weights. torchvision is imported when one of them is built, not before."""

from __future__ import annotations

from torch import nn


def resnet_18() -> nn.Module:
    """He et al. 2016, with projections as shortcuts (option B): 11,689,512 parameters."""
    from torchvision import models

    model: nn.Module = models.resnet18()
    return model


def resnet_50() -> nn.Module:
    """He et al. 2016, with the stride in the 3x3 convolution of a bottleneck: 25,557,032 parameters."""
    from torchvision import models

    model: nn.Module = models.resnet50()
    return model


def mobilenet_v2() -> nn.Module:
    """Sandler et al. 2018, inverted residuals with depthwise convolutions: 3,504,872 parameters."""
    from torchvision import models

    model: nn.Module = models.mobilenet_v2(dropout=0.0)
    return model
