"""VGG for 32x32 images: the convolutions of Simonyan and Zisserman (2015), with BatchNorm and a single linear layer."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

BLOCKS = {16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
CHANNELS = (64, 128, 256, 512, 512)


def vgg_cifar(depth: int, classes: int = 10) -> nn.Module:
    """VGG-``depth`` (16 or 19): 3x3 convolutions without bias in five blocks, each with a max pool behind it."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    inputs = 3
    for block, (convolutions, outputs) in enumerate(zip(BLOCKS[depth], CHANNELS, strict=True), start=1):
        for number in range(1, convolutions + 1):
            layers[f"conv{block}_{number}"] = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
            layers[f"bn{block}_{number}"] = nn.BatchNorm2d(outputs)
            layers[f"relu{block}_{number}"] = nn.ReLU(inplace=True)
            inputs = outputs
        layers[f"pool{block}"] = nn.MaxPool2d(2)
    layers["flatten"] = nn.Flatten()
    layers["classifier"] = nn.Linear(inputs, classes)
    for layer in layers.values():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(layers)
