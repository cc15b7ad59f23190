"""Jobs of methods that watch channels at work, and what a layer reads there."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from evaluator.contract import Batch, ChannelGroup, Job, Slice
from evaluator.job import Goal
from tests.submissions.specimens import NETWORKS, images, job, network

every_network = pytest.mark.parametrize("kind", NETWORKS)


def structured(kind: str, speedup: float = 2, seed: int = 0) -> Job:
    return job(network(kind), Goal(speedup=speedup), seed=seed)


def batch(number: int = 16) -> Batch:
    return images().take(torch.arange(number))


def read_by(work: Job, piece: Slice, inputs: Tensor) -> Tensor:
    """What enters the module of a slice, as it is."""
    seen: list[Tensor] = []
    hook = piece.module.register_forward_pre_hook(lambda _, entered: seen.append(entered[0].clone()))
    with torch.no_grad():
        work.model(inputs)
    hook.remove()
    return seen[0]


def readers(group: ChannelGroup) -> list[Slice]:
    return [piece for piece in group.slices if piece.side == "in"]


def sequential(*parts: nn.Module, classifier: nn.Module) -> nn.Sequential:
    layers = nn.Sequential(*parts)
    layers.add_module("classifier", classifier)
    return layers.eval()


def assert_highest_stay(score: Tensor, mask: Tensor) -> None:
    if not mask.all():
        assert float(score[mask].min()) >= float(score[~mask].max())


def lively(kind: str) -> nn.Module:
    """A network in which hardly any unit is ever silent: all biases and shifts are 2."""
    model = network(kind)
    for part in model.modules():
        if getattr(part, "bias", None) is not None:
            part.bias.data.fill_(2)
    return model
