"""Controls that the evaluator draws itself: is it the score, or only how much of each layer is kept?

Blalock et al. 2020, appendix B: compare with random and with magnitude pruning in the method's own layerwise proportions.
Where n of every m neighbours are kept the proportions are the pattern's; where channels are removed, a group's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from evaluator.admission import Artifact
from evaluator.channels import ChannelGroup
from evaluator.records import Variant
from evaluator.selection import keep_n_of_m, keep_top
from evaluator.training import stream

Weights = Mapping[int, Tensor]
"""Position of a prunable layer -> the weight from which the method started."""


def matched_random(weights: Weights, masks: Mapping[int, Tensor], seed: int) -> dict[int, Tensor]:
    """As many weights per layer as ``masks`` keeps, chosen uniformly (exact count)."""
    scores = _random(weights, seed)
    return {i: keep_top(scores[i], int(masks[i].sum())) for i in weights}


def matched_magnitude(weights: Weights, masks: Mapping[int, Tensor], seed: int) -> dict[int, Tensor]:  # noqa: ARG001
    """As many weights per layer as ``masks`` keeps, the largest."""
    return {i: keep_top(weight.abs(), int(masks[i].sum())) for i, weight in weights.items()}


def matched_pattern(variant: Variant, weights: Weights, pattern: tuple[int, int], seed: int) -> dict[int, Tensor]:
    """n of every m neighbours: any, or the largest."""
    scores = _random(weights, seed) if variant == "matched-random" else {i: w.abs() for i, w in weights.items()}
    return {i: keep_n_of_m(score, *pattern) for i, score in scores.items()}


def matched_channels(
    variant: Variant, groups: Sequence[ChannelGroup], channels: Mapping[int, Tensor], seed: int
) -> dict[int, Tensor]:
    """As many channels per group as ``channels`` keeps: any, or those whose filters have the largest L1 norm (Li 2017)."""
    if variant == "matched-random":
        scores = _random({group.position: torch.empty(group.size) for group in groups}, seed)
    else:
        scores = {g.position: sum((f.abs().sum(1) for f in g.filters), torch.zeros(g.size)) for g in groups}
    return {position: keep_top(score.cpu(), int(channels[position].sum())) for position, score in scores.items()}


def control(
    variant: Variant,
    artifact: Artifact,
    weights: Weights,
    groups: Sequence[ChannelGroup],
    pattern: tuple[int, int] | None,
    seed: int,
) -> Artifact:
    """What a matched control keeps beside a method's ``artifact``."""
    if artifact.channels:
        return Artifact(channels=matched_channels(variant, groups, artifact.channels, seed))
    if pattern is not None:
        return Artifact(matched_pattern(variant, weights, pattern, seed))
    matched = matched_random if variant == "matched-random" else matched_magnitude
    return Artifact(matched(weights, artifact.masks, seed))


def _random(weights: Weights, seed: int) -> dict[int, Tensor]:
    random = stream("matched-random", seed)
    return {i: torch.rand(weight.shape, generator=random, dtype=torch.float64) for i, weight in weights.items()}
