"""The small networks of the smoke and toy tiers. Every operation is a module, so that counting can see and replace it."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn


def digits_mlp() -> nn.Module:
    """64-100-50-10, for 8x8 digits."""
    return _mlp(64, 100, 50)


def lenet_300_100() -> nn.Module:
    """784-300-100-10 (LeCun et al. 1998): 266,610 parameters."""
    return _mlp(784, 300, 100)


def _mlp(inputs: int, first: int, second: int) -> nn.Module:
    return nn.Sequential(
        OrderedDict(
            flatten=nn.Flatten(),
            linear1=nn.Linear(inputs, first),
            relu1=nn.ReLU(),
            linear2=nn.Linear(first, second),
            relu2=nn.ReLU(),
            classifier=nn.Linear(second, 10),
        )
    )


def lenet_5_caffe() -> nn.Module:
    """LeNet-5 in the form of Caffe's MNIST example (20-50-500, no ReLU after the convolutions): 431,080 parameters."""
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(1, 20, 5),
            pool1=nn.MaxPool2d(2),
            conv2=nn.Conv2d(20, 50, 5),
            pool2=nn.MaxPool2d(2),
            flatten=nn.Flatten(),
            linear1=nn.Linear(800, 500),
            relu1=nn.ReLU(),
            classifier=nn.Linear(500, 10),
        )
    )


def digits_cnn() -> nn.Module:
    """Two 3x3 convolutions with BatchNorm and a global average, for 8x8 digits."""
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(1, 16, 3, padding=1, bias=False),
            bn1=nn.BatchNorm2d(16),
            relu1=nn.ReLU(),
            pool1=nn.MaxPool2d(2),
            conv2=nn.Conv2d(16, 32, 3, padding=1, bias=False),
            bn2=nn.BatchNorm2d(32),
            relu2=nn.ReLU(),
            pool2=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            classifier=nn.Linear(32, 10),
        )
    )
