"""The architectures of the grid, and which of their weights may be pruned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from evaluator.errors import GridError
from evaluator.networks.lenet import digits_cnn, digits_mlp, lenet_5_caffe, lenet_300_100
from evaluator.networks.resnet import resnet_cifar

Prunable = nn.Conv2d | nn.Linear


@dataclass(frozen=True)
class Architecture:
    """How to build a network, the name of its classifier (the layer that yields the logits), and its input's shape."""

    build: Callable[[], nn.Module]
    classifier: str
    shape: tuple[int, int, int]


ARCHITECTURES: dict[str, Architecture] = {
    "digits-mlp": Architecture(digits_mlp, "classifier", (1, 8, 8)),
    "digits-cnn": Architecture(digits_cnn, "classifier", (1, 8, 8)),
    "lenet-300-100": Architecture(lenet_300_100, "classifier", (1, 28, 28)),
    "lenet-5-caffe": Architecture(lenet_5_caffe, "classifier", (1, 28, 28)),
    "resnet-20": Architecture(lambda: resnet_cifar(20), "classifier", (3, 32, 32)),
    "resnet-56": Architecture(lambda: resnet_cifar(56), "classifier", (3, 32, 32)),
}


def architecture(name: str) -> Architecture:
    """Raises GridError for an unknown name."""
    try:
        return ARCHITECTURES[name]
    except KeyError:
        known = ", ".join(ARCHITECTURES)
        raise GridError(f"no architecture {name!r} in evaluator/networks", fix=f"one of: {known}") from None


def prunable_layers(model: nn.Module, classifier: str) -> list[tuple[str, Prunable]]:
    """Conv and Linear layers except the classifier, in the network's order; a layer's index here is its *position*."""
    return [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear) and name != classifier
    ]


def floating_state(model: nn.Module) -> list[tuple[str, Tensor]]:
    """Parameters and statistics of the network, in its order; without BatchNorm's counters, which decide nothing."""
    return [(name, tensor) for name, tensor in model.state_dict().items() if tensor.is_floating_point()]
