"""Networks of every kind whose channels can go, each made once: their groups, their costs, and random halves of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evaluator.channels import (
    ChannelGroup,
    Costs,
    channel_costs,
    channel_groups,
)
from evaluator.networks import ARCHITECTURES
from tests.submissions.specimens import NETWORKS

Shape = tuple[int, int, int]


class Block(nn.Module):
    """Attention of two heads and an MLP, normalised before."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(12), nn.LayerNorm(12)
        self.query, self.key, self.value, self.out = (nn.Linear(12, 12) for _ in range(4))
        self.up, self.gelu, self.down = nn.Linear(12, 20), nn.GELU(), nn.Linear(20, 12)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm1(x)
        heads = [part(y).view(*y.shape[:2], 2, 6).transpose(1, 2) for part in (self.query, self.key, self.value)]
        x = x + self.out(F.scaled_dot_product_attention(*heads).transpose(1, 2).reshape(x.shape))
        return x + self.down(self.gelu(self.up(self.norm2(x))))


class Transformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 12, 2, 2)
        self.token, self.places = nn.Parameter(torch.randn(1, 1, 12)), nn.Parameter(torch.randn(1, 10, 12))
        self.blocks = nn.Sequential(Block(), Block())
        self.norm = nn.LayerNorm(12)
        self.classifier = nn.Linear(12, 5)

    def forward(self, images: Tensor) -> Tensor:
        x = self.patches(images).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.places
        return self.classifier(self.norm(self.blocks(x))[:, 0])


def vgg_cifar() -> nn.Module:
    """VGG-16 with BatchNorm for 32x32 images."""
    layers: list[nn.Module] = []
    channels = 3
    for width in (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M"):
        if isinstance(width, str):
            layers.append(nn.MaxPool2d(2))
        else:
            layers += [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
            channels = width
    model = nn.Sequential(*layers, nn.Flatten())
    model.add_module("classifier", nn.Linear(512, 10))
    return model


def vision(name: str) -> nn.Module:
    """One of torchvision, whose import takes as long as many a test: workers that need none of its networks do without."""
    from torchvision import models

    return models.get_model(name, weights=None)


def vgg_narrow() -> nn.Module:
    """VGG-16 with hidden layers of 64 rather than 4096: their weights are slow to draw, and too many to test with."""
    model = vision("vgg16_bn")
    for name, inputs, outputs in (("0", 512 * 49, 64), ("3", 64, 64), ("6", 64, 1000)):
        model.classifier.set_submodule(name, nn.Linear(inputs, outputs))
    return model


BUILD: dict[str, tuple[Callable[[], nn.Module], str, Shape]] = {
    **{name: (kind.build, kind.classifier, kind.shape) for name, kind in ARCHITECTURES.items()},
    **{name: (build, "classifier", (3, 6, 6)) for name, build in NETWORKS.items()},
    "transformer": (Transformer, "classifier", (3, 6, 6)),
    "vgg-cifar": (vgg_cifar, "classifier", (3, 32, 32)),
    "resnet18": (partial(vision, "resnet18"), "fc", (3, 64, 64)),
    "resnet50": (partial(vision, "resnet50"), "fc", (3, 64, 64)),
    "mobilenet_v2": (partial(vision, "mobilenet_v2"), "classifier.1", (3, 64, 64)),
    "vgg16_bn": (vgg_narrow, "classifier.6", (3, 64, 64)),
    "densenet121": (partial(vision, "densenet121"), "classifier", (3, 64, 64)),
    "mobilenet_v3": (partial(vision, "mobilenet_v3_small"), "classifier.3", (3, 64, 64)),
}
SMALL = ["digits-cnn", "lenet-5-caffe", "resnet-20", *NETWORKS, "transformer"]


@cache
def network(name: str) -> tuple[nn.Module, str, Shape]:
    """(the network in eval mode with random weights and statistics, its classifier, its input's shape)."""
    build, classifier, shape = BUILD[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(6)
        model = build()
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.2)
                module.running_var.uniform_(0.5, 2)
                module.weight.data.uniform_(0.5, 1.5)
                module.bias.data.normal_(0, 0.2)
    return model.eval(), classifier, shape


@cache
def groups(name: str) -> list[ChannelGroup]:
    return channel_groups(*network(name))


@cache
def costs(name: str) -> Costs:
    model, _, shape = network(name)
    return channel_costs(model, shape, groups(name))


def drawn(name: str, seed: int) -> dict[int, Tensor]:
    """A random set of channels to keep: another share of each group, and nothing removed from some."""
    random = torch.Generator().manual_seed(seed)
    kept = {}
    for group in groups(name):
        share = float(torch.rand((), generator=random))
        mask = torch.rand(group.size, generator=random) < share
        mask[int(torch.randint(group.size, (), generator=random))] = True
        if share < 0.9:
            kept[group.position] = mask
    return kept


def numbers(kept: Mapping[int, Tensor]) -> dict[int, int]:
    return {position: int(mask.sum()) for position, mask in kept.items()}
