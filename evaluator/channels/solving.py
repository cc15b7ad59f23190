"""From scores of channels to those that stay, as close to a speedup as whole channels allow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Literal

import torch
from torch import Tensor

from evaluator.channels.costs import Costs
from evaluator.errors import ContractError, InvalidOutcome, numbered
from evaluator.scores import checked

ChannelScope = Literal["global", "group"]

FAR = 0.05
"""How far from the speedup, as a share of it, the order of scores may end and still be kept to: what the grid tolerates."""
PATIENCE = 10_000
"""How many numbers of channels that follow no order are tried at most."""


def solve(scores: Mapping[int, Tensor], costs: Costs, speedup: float, scope: ChannelScope) -> dict[int, Tensor]:
    """Keep the highest-scored channels such that the MACs shrink by ``speedup``, as closely as whole channels allow.

    The best channel of every group always stays, and within a group those of the highest scores. Ties go to the channel that
    comes first in the network. Where channels are so few that their order ends farther than ``FAR`` from the speedup, a few
    are given back, or more removed: as few as come near.

    Args:
        scores: position of a group -> tensor (size,), finite; higher is kept longer.
        costs: of the network that the groups are of.
        speedup: dense MACs over kept MACs, 1 or more.
        scope: ``"global"``, all channels compete with each other; ``"group"``, every group keeps the same share of its
            channels, rounded to the nearest whole number, as long as their order is followed.

    Returns:
        Position -> boolean tensor (size,), True where the channel stays.

    Raises:
        InvalidOutcome: a score is missing, has another shape or is not finite, or the groups do not allow the speedup.
    """
    given = _exact(scores, costs)
    if not speedup <= costs.highest_speedup:
        raise InvalidOutcome(
            f"a speedup of {speedup:g} is out of reach: the channels allow {costs.highest_speedup:.2f} at most"
        )
    if scope not in ("global", "group"):
        raise ContractError(f"no scope {scope!r}", fix='"global" or "group"')
    if not given:
        return {}
    ranks = {position: _ranks(score) for position, score in given.items()}
    worth = given if scope == "global" else {p: -(rank + 0.5) / len(rank) for p, rank in ranks.items()}
    owners = torch.cat([torch.full((len(rank) - 1,), position) for position, rank in ranks.items()])
    values = torch.cat([worth[position][rank > 0] for position, rank in ranks.items()])
    removal = torch.sort(values, descending=True, stable=True).indices.flip(0)
    numbers = _numbers(owners[removal].tolist(), costs, speedup)
    return {position: (rank < numbers[position]).to(scores[position].device) for position, rank in ranks.items()}


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


def _numbers(removal: list[int], costs: Costs, speedup: float) -> Counter[int]:
    """Group -> how many of its channels stay; ``removal`` names the group of each channel, in the order in which they go."""

    def after(number: int) -> Counter[int]:
        kept = Counter(costs.sizes)
        kept.subtract(removal[:number])
        return kept

    def miss(kept: Counter[int]) -> float:
        return abs(costs.speedup(kept) - speedup)

    low, high = 0, len(removal)
    while low < high:  # the smallest number that reaches the speedup, which only grows
        middle = (low + high) // 2
        low, high = (low, middle) if costs.speedup(after(middle)) >= speedup else (middle + 1, high)
    plain = min(after(max(low - 1, 0)), after(low), key=miss)
    return _nearby(plain, costs, speedup) if miss(plain) > FAR * speedup else plain


def _nearby(kept: Counter[int], costs: Costs, speedup: float) -> Counter[int]:
    """As few channels more or less as come within ``FAR`` of the speedup; or the closest of what was tried."""

    def miss(numbers: tuple[int, ...]) -> float:
        return abs(costs.speedup(dict(zip(costs.sizes, numbers, strict=True))) - speedup)

    best = tuple(kept.values())
    ring, seen = {best}, {best}
    while ring and miss(best) > FAR * speedup and len(seen) + 2 * len(costs.sizes) * len(ring) <= PATIENCE:
        ring = {further for numbers in ring for further in _steps(numbers, costs)} - seen
        seen |= ring
        best = min([best, *sorted(ring, reverse=True)], key=miss)  # of equals the one that keeps more of the first groups
    return Counter(dict(zip(costs.sizes, best, strict=True)))


def _steps(numbers: tuple[int, ...], costs: Costs) -> Iterator[tuple[int, ...]]:
    """With one channel less or more in one group."""
    for place, (number, size) in enumerate(zip(numbers, costs.sizes.values(), strict=True)):
        yield from ((*numbers[:place], n, *numbers[place + 1 :]) for n in (number - 1, number + 1) if 1 <= n <= size)
