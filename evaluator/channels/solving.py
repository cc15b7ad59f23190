"""From scores of channels to those that stay, as close to a speedup as whole channels allow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from evaluator.channels.costs import Costs
from evaluator.errors import ContractError, InvalidOutcome, numbered
from evaluator.scores import checked

ChannelScope = Literal["global", "group"]

CLOSE = 0.02
"""How far from the speedup, as a share of it, the plain order of scores may end before channels are passed over."""


def solve(scores: Mapping[int, Tensor], costs: Costs, speedup: float, scope: ChannelScope) -> dict[int, Tensor]:
    """Keep the highest-scored channels such that the MACs shrink by ``speedup``, as closely as whole channels allow.

    The best channel of every group always stays. Ties go to the channel that comes first in the network. Where channels are
    so few that the next one to go would overshoot widely, it is passed over for later ones that cost less, if that comes
    closer; networks of usual width never need it.

    Args:
        scores: position of a group -> tensor (size,), finite; higher is kept longer.
        costs: of the network that the groups are of.
        speedup: dense MACs over kept MACs, 1 or more.
        scope: ``"global"``, all channels compete with each other; ``"group"``, every group keeps the same share of its
            channels, rounded to the nearest whole number.

    Returns:
        Position -> boolean tensor (size,), True where the channel stays.

    Raises:
        InvalidOutcome: a score is missing, has another shape or is not finite, or the groups do not allow the speedup.
    """
    given = _exact(scores, costs)
    if speedup > costs.highest_speedup:
        raise InvalidOutcome(
            f"a speedup of {speedup:g} is out of reach: the channels allow {costs.highest_speedup:.2f} at most"
        )
    if scope not in ("global", "group"):
        raise ContractError(f"no scope {scope!r}", fix='"global" or "group"')
    ranks = {position: _ranks(score) for position, score in given.items()}
    worth = given if scope == "global" else {p: -(rank + 0.5) / len(rank) for p, rank in ranks.items()}
    free = {position: rank > 0 for position, rank in ranks.items()}
    owners = torch.cat([torch.full((len(rank),), position)[free[position]] for position, rank in ranks.items()])
    values = torch.cat([worth[position][free[position]] for position in ranks])
    removal = torch.sort(values, descending=True, stable=True).indices.flip(0)
    stays = torch.ones(len(values), dtype=torch.bool)
    stays[removal[_leaving(owners[removal].tolist(), costs, speedup)]] = False
    kept = {}
    for position, rank in ranks.items():
        kept[position] = rank == 0
        kept[position][free[position]] = stays[owners == position]
    return {position: mask.to(scores[position].device) for position, mask in kept.items()}


def _exact(scores: Mapping[int, Tensor], costs: Costs) -> dict[int, Tensor]:
    """The scores in the network's order, in double precision on the CPU, where sorting is the same everywhere."""
    if unknown := set(scores) - set(costs.sizes):
        fix = numbered(scores, len(costs.sizes))
        raise InvalidOutcome(f"scores for channel groups {sorted(unknown, key=str)}, which do not exist", fix=fix)
    shapes = {position: (size,) for position, size in costs.sizes.items()}
    return {position: score.to("cpu", torch.float64) for position, score in checked(scores, shapes, "channel group").items()}


def _ranks(score: Tensor) -> Tensor:
    """(size,) the place of each channel in its group, 0 for the best."""
    ranks = torch.empty(len(score), dtype=torch.int64)
    ranks[torch.sort(score, descending=True, stable=True).indices] = torch.arange(len(score))
    return ranks


def _leaving(owners: list[int], costs: Costs, speedup: float) -> list[int]:
    """Which to remove of the channels whose groups are ``owners``, in the order of removal: places in that order."""

    def after(number: int) -> float:
        removed = Counter(owners[:number])
        return costs.speedup({position: size - removed[position] for position, size in costs.sizes.items()})

    low, high = 0, len(owners)
    while low < high:  # the smallest number that reaches the speedup, which only grows
        middle = (low + high) // 2
        low, high = (low, middle) if after(middle) >= speedup else (middle + 1, high)
    below = max(low - 1, 0)
    nearest = below if speedup - after(below) <= after(low) - speedup else low
    miss = abs(after(nearest) - speedup)
    if miss > CLOSE * speedup:
        leaving, reached = _passing_over(owners, below, costs, speedup)
        if speedup - reached < miss:
            return leaving
    return list(range(nearest))


def _passing_over(owners: list[int], number: int, costs: Costs, speedup: float) -> tuple[list[int], float]:
    """The first ``number`` and whatever later ones do not exceed the speedup; and the speedup that they give."""
    kept = Counter(costs.sizes)
    kept.subtract(owners[:number])
    leaving = list(range(number))
    closed: set[int] = set()
    for place in range(number, len(owners)):
        group = owners[place]
        if group in closed:
            continue
        kept[group] -= 1
        if costs.speedup(kept) <= speedup:
            leaving.append(place)
        else:
            kept[group] += 1
            closed.add(group)
    return leaving, costs.speedup(kept)
