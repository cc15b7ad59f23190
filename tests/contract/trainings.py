"""Jobs whose methods may train, and what several files of tests do with them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from evaluator.contract import Job
from evaluator.selection import keep_top
from tests.submissions.specimens import NETWORKS, job, network, permission, total

every_network = pytest.mark.parametrize("kind", NETWORKS)
STEPS = 4
"""Steps of an epoch."""


def trainable(kind: str = "plain", epochs: int = 3, *, continuous: bool = False, **recipe: float | str) -> Job:
    model = network(kind)
    return job(model, total(model) // 3, training=permission(model, epochs, continuous=continuous, **recipe))


def same(one: Job, other: Job) -> bool:
    pairs = zip(one.model.state_dict().values(), other.model.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def magnitude_masks(work: Job, share: float) -> dict[int, Tensor]:
    return {i: keep_top(w.abs(), int(share * w.numel())) for i, w in work.weights()}


def some_channels(work: Job, seed: int = 0) -> dict[int, Tensor]:
    """Of every group a random half that stays, the first channel with it."""
    random = torch.Generator().manual_seed(seed)
    kept = {group.position: torch.rand(group.size, generator=random) < 0.5 for group in work.groups()}
    for mask in kept.values():
        mask[0] = True
    return kept
