"""Jobs whose methods train and remove channels, and a look at each training that they ask for."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from torch import Tensor, nn

from evaluator.contract import ChannelGroup, Job
from evaluator.job import Goal
from tests.submissions.specimens import EPOCHS, NETWORKS, job, network, permission

every_network = pytest.mark.parametrize("kind", NETWORKS)
Channels = Mapping[int, Tensor]


def training(kind: str, speedup: float = 2, epochs: int = EPOCHS, *, continuous: bool = False, **recipe: float | str) -> Job:
    model = network(kind)
    return job(model, Goal(speedup=speedup), training=permission(model, epochs, continuous=continuous, **recipe))


def sparse_training(kind: str, speedup: float = 2, epochs: int = 4, **recipe: float | str) -> Job:
    return training(kind, speedup, epochs, continuous=True, **recipe)


def numbers(channels: Channels) -> dict[int, int]:
    return {position: int(mask.sum()) for position, mask in channels.items()}


def speedup(work: Job, channels: Channels) -> float:
    return work.costs().speedup(numbers(channels))


def makers(group: ChannelGroup) -> list[nn.Module]:
    return [piece.module for piece in group.slices if piece.side == "out"]


def batchnorms(group: ChannelGroup) -> list[nn.Module]:
    return [piece.module for piece in group.slices if piece.side == "norm"]


def spied(work: Job, monkeypatch: pytest.MonkeyPatch, look: Callable[[int, dict[str, Any]], None]) -> list[int]:
    """Calls ``look(epochs, options)`` before each ``work.train``; returns the epochs of the calls."""
    train, calls = work.train, []

    def spy(epochs: int, **options: Any) -> float:
        look(epochs, options)
        calls.append(epochs)
        return train(epochs, **options)

    monkeypatch.setattr(work, "train", spy)
    return calls


def spy(work: Job, monkeypatch: pytest.MonkeyPatch, see) -> None:
    """Call ``see(number of the call, its options)`` before every training that a method asks for."""
    calls = itertools.count()
    spied(work, monkeypatch, lambda _, options: see(next(calls), options))
