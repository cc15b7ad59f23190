"""The architectures of the grid, and which of their weights may be pruned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from evaluator.errors import GridError
from evaluator.networks.imagenet import mobilenet_v2, resnet_18, resnet_50
from evaluator.networks.lenet import digits_cnn, digits_mlp, lenet_5_caffe, lenet_300_100
from evaluator.networks.resnet import resnet_cifar
from evaluator.networks.vgg import vgg_cifar
from evaluator.networks.vit import vit_b_16

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
    "resnet-56-100": Architecture(lambda: resnet_cifar(56, 100), "classifier", (3, 32, 32)),
    "resnet-110": Architecture(lambda: resnet_cifar(110), "classifier", (3, 32, 32)),
    "vgg-16-bn": Architecture(lambda: vgg_cifar(16), "classifier", (3, 32, 32)),
    "vgg-19-bn-100": Architecture(lambda: vgg_cifar(19, 100), "classifier", (3, 32, 32)),
    "resnet-18": Architecture(resnet_18, "fc", (3, 224, 224)),
    "resnet-50": Architecture(resnet_50, "fc", (3, 224, 224)),
    "mobilenet-v2": Architecture(mobilenet_v2, "classifier.1", (3, 224, 224)),
    "vit-b-16": Architecture(vit_b_16, "classifier", (3, 224, 224)),
}


def architecture(name: str) -> Architecture:
    """Raises GridError for an unknown name."""
    try:
        return ARCHITECTURES[name]
    except KeyError:
        known = ", ".join(ARCHITECTURES)
        raise GridError(f"no architecture {name!r} in evaluator/networks", fix=f"one of: {known}") from None


def prunable_layers(model: nn.Module, classifier: str) -> list[tuple[str, Prunable]]:
    """Conv and Linear layers except the classifier, in the network's order; a layer's index here is its *position*.

    Raises:
        GridError: a layer's weight is not its own.
    """
    owners: dict[nn.Parameter, str] = {}
    found = []
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            weight = module._parameters.get("weight")
            if weight is None:
                raise GridError(
                    "its weight is computed from other parameters", where=name, fix="let it be a plain parameter"
                )
            other = owners.setdefault(weight, name)
            if other != name:
                raise GridError(f"its weight is that of {other}, too", where=name, fix="call one layer twice instead")
            if name != classifier:
                found.append((name, module))
    return found


def floating_state(model: nn.Module) -> list[tuple[str, Tensor]]:
    """Parameters and statistics of the network, in its order; without BatchNorm's counters, which decide nothing."""
    return [(name, tensor) for name, tensor in model.state_dict().items() if tensor.is_floating_point()]
