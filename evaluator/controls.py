"""Controls that the evaluator draws itself: is it the score, or only how many weights each layer keeps?

Blalock et al. 2020, appendix B: compare with random and with magnitude pruning in the method's own layerwise proportions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from evaluator.records import Variant
from evaluator.selection import keep_top
from evaluator.training import stream

Weights = Mapping[int, Tensor]
"""Position of a prunable layer -> the base model's weight."""


def matched_random(weights: Weights, masks: Mapping[int, Tensor], seed: int) -> dict[int, Tensor]:
    """As many weights per layer as ``masks`` keeps, chosen uniformly (exact count)."""
    random = stream("matched-random", seed)
    scores = {i: torch.rand(weight.shape, generator=random, dtype=torch.float64) for i, weight in weights.items()}
    return {i: keep_top(scores[i], int(masks[i].sum())) for i in weights}


def matched_magnitude(weights: Weights, masks: Mapping[int, Tensor], seed: int) -> dict[int, Tensor]:  # noqa: ARG001
    """As many weights per layer as ``masks`` keeps, the largest."""
    return {i: keep_top(weight.abs(), int(masks[i].sum())) for i, weight in weights.items()}


MATCHED: dict[Variant, Callable[[Weights, Mapping[int, Tensor], int], dict[int, Tensor]]] = {
    "matched-random": matched_random,
    "matched-magnitude": matched_magnitude,
}
