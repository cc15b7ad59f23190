"""The scores that a method gives, checked before anything is chosen by them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from evaluator.errors import UNDIVIDED, InvalidOutcome, numbered


def checked(scores: Mapping[int, Tensor], shapes: Mapping[int, Sequence[int]], what: str) -> dict[int, Tensor]:
    """The scores of every position, in the network's order and without autograd.

    Args:
        shapes: position -> shape of its scores.
        what: stands at a position, as messages call it.

    Raises:
        InvalidOutcome: a position has no scores, or of another shape, or such as are not finite.
    """
    ordered = {}
    for position, shape in sorted(shapes.items()):
        score = scores.get(position)
        if score is None or score.shape != torch.Size(shape):
            found = "no score" if score is None else f"a score of shape {tuple(score.shape)}"
            fix = numbered(scores, len(shapes)) if score is None else f"give scores of shape {tuple(shape)}"
            raise InvalidOutcome(f"{found} for {what} {position}, which asks for {tuple(shape)}", fix=fix)
        if bad := int((~torch.isfinite(score)).sum()):
            where = f"in {bad:,} of {score.numel():,} places"
            raise InvalidOutcome(f"the scores of {what} {position} hold NaN or infinity {where}", fix=UNDIVIDED)
        ordered[position] = score.detach()
    return ordered
