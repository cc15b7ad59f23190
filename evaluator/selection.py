"""From scores to masks with an exact count: what to keep when so many weights may stay.

Ties go to the weight that comes first, so that the count is exact and the outcome does not depend on chance.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from evaluator.errors import InvalidOutcome


def keep_top(scores: Tensor, count: int) -> Tensor:
    """Boolean tensor of ``scores``'s shape, True for its ``count`` highest entries."""
    flat = scores.flatten()
    if not 0 < count < len(flat):
        return torch.full_like(scores, count > 0, dtype=torch.bool)
    least = flat.topk(count, sorted=False).values.min()  # a whole sort takes several times as long
    mask, equal = flat > least, flat == least
    mask |= equal & (equal.cumsum(0) <= count - mask.sum())
    return mask.view(scores.shape)


def keep_top_globally(scores: Mapping[int, Tensor], count: int) -> dict[int, Tensor]:
    """As :func:`keep_top`, over all layers at once."""
    everything = torch.cat([layer.flatten() for layer in scores.values()])
    parts = torch.split(keep_top(everything, count), [layer.numel() for layer in scores.values()])
    return {position: part.view(scores[position].shape) for position, part in zip(scores, parts, strict=True)}


def keep_top_by_row(scores: Tensor, count: int) -> Tensor:
    """True for ``count`` entries, spread evenly over the output rows (dimension 0).

    Each row keeps the floor or the ceiling of its even share; the rows whose next entry scores highest get the ceiling.
    """
    rows = scores.flatten(1)
    share, extra = divmod(count, len(rows))
    mask = torch.zeros_like(rows, dtype=torch.bool)
    order = torch.sort(rows, dim=1, descending=True, stable=True).indices
    mask.scatter_(1, order[:, :share], True)
    if extra:
        following = rows.gather(1, order[:, share : share + 1])
        lucky = torch.sort(following[:, 0], descending=True, stable=True).indices[:extra]
        mask[lucky, order[lucky, share]] = True
    return mask.view(scores.shape)


def keep_n_of_m(scores: Tensor, n: int, m: int) -> Tensor:
    """True for the ``n`` highest of every ``m`` neighbours along the inputs (dimension 1), at each place of a kernel.

    All True where the number of inputs cannot be divided by ``m``: such a layer has no such pattern.
    """
    if scores.shape[1] % m:
        return torch.ones_like(scores, dtype=torch.bool)
    blocks = _blocks(scores, m)
    order = torch.sort(blocks, dim=-1, descending=True, stable=True).indices
    mask = torch.zeros_like(blocks, dtype=torch.bool).scatter_(-1, order[..., :n], True)
    return mask.flatten(-2).movedim(-1, 1).contiguous()


def erk_densities(shapes: Mapping[int, torch.Size], keep: int) -> dict[int, float]:
    """Densities of the Erdos-Renyi-Kernel rule that keep ``keep`` weights in all (Evci et al. 2020, section 3).

    In proportion to sum(shape) / product(shape), and none over 1: layers that would exceed it are dense.
    """
    sizes = {position: shape.numel() for position, shape in shapes.items()}
    dense: set[int] = set()
    while True:
        sparse = sizes.keys() - dense
        budget = keep - sum(sizes[position] for position in dense)
        scale = budget / sum(sum(shapes[position]) for position in sparse) if sparse else 0.0
        overfull = {position for position in sparse if scale * sum(shapes[position]) > sizes[position]}
        if not overfull:
            return {p: 1.0 if p in dense else scale * sum(shapes[p]) / sizes[p] for p in sizes}
        dense |= overfull


def has_pattern(mask: Tensor, n: int, m: int) -> bool:
    """Whether exactly ``n`` of every ``m`` neighbours are True, or everything in a layer without such a pattern."""
    if mask.shape[1] % m:
        return bool(mask.all())
    return bool((_blocks(mask, m).sum(-1) == n).all())


def _blocks(tensor: Tensor, m: int) -> Tensor:
    """(outputs, places of the kernel ..., inputs / m, m)."""
    last = tensor.movedim(1, -1)
    return last.reshape(*last.shape[:-1], -1, m)


def apportion(densities: Mapping[int, float], sizes: Mapping[int, int], total: int) -> dict[int, int]:
    """Whole numbers of weights to keep per layer, in proportion to ``densities`` and summing to ``total`` exactly.

    Rounding goes by the largest remainder. ``total`` may differ from the sum of ``density * size`` by rounding only.

    Raises:
        InvalidOutcome: a density is outside 0..1, or the densities do not add up to ``total`` (within 0.5 %).
    """
    if not 0 <= total <= sum(sizes.values()):
        raise InvalidOutcome(f"{total} weights cannot be kept of {sum(sizes.values())}")
    for position, density in densities.items():
        if not 0 <= density <= 1 + 1e-9:
            raise InvalidOutcome(f"density {density} of layer {position} is not between 0 and 1")
    exact = {position: min(densities[position], 1.0) * sizes[position] for position in sizes}
    wanted = sum(exact.values())
    if abs(wanted - total) > max(0.005 * total, 1):
        raise InvalidOutcome(
            f"the densities keep {wanted:.0f} weights, the target keeps {total}", fix="scale them to job.density overall"
        )
    counts = {position: int(value) for position, value in exact.items()}
    while (missing := total - sum(counts.values())) != 0:
        step = 1 if missing > 0 else -1
        open_layers = [p for p in counts if 0 <= counts[p] + step <= sizes[p]]
        open_layers.sort(key=lambda p: (step * (counts[p] - exact[p]), p))
        for position in open_layers[: abs(missing)]:
            counts[position] += step
    return counts
