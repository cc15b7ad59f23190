"""What a method answers with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from evaluator.errors import InvalidOutcome


@dataclass(frozen=True)
class Pruned:
    """The outcome: what is kept and, where a method updates them, new values of the weights that are.

    On a track with training the job's model, as it is when ``prune`` returns, belongs to the outcome as well.

    Args:
        masks: position -> boolean tensor of the weight's shape, True where the weight is kept; one for every layer.
            Empty where channels are removed.
        weights: position -> new weight; layers that are left out keep the weights of the base model.
        channels: position of a channel group -> boolean tensor (channels,), True where the channel is kept; one for
            every group. Empty where single weights are removed.
    """

    masks: Mapping[int, Tensor] = field(default_factory=dict)
    weights: Mapping[int, Tensor] = field(default_factory=dict)
    channels: Mapping[int, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for what, kept in (("layer", self.masks), ("channel group", self.channels)):
            for position, mask in kept.items():
                if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
                    raise InvalidOutcome(
                        f"the mask of {what} {position} is not a boolean tensor", fix="compare, e.g. score > t"
                    )
