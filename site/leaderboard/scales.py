"""The axes of charts: from where to where they go, and what is written at them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

MARGIN = 0.2
"""Free on both sides of the factors, in log2."""
NEAR = 0.5
"""Points against dense up to which the axis of differences is about linear; beyond it is about logarithmic."""

_ERROR_TICKS = (
    (1, 10, 0.1, 90),
    (2, 5, 20, 50, 0.2, 0.5),
    (3, 30, 70, 0.3, 7, 0.7, 1.5, 15, 80),
    (4, 6, 8, 40, 60, 12, 2.5, 0.4, 0.6, 0.8, 1.2, 25, 3.5),
    (1.1, 1.3, 1.4, 1.6, 1.7, 1.8, 1.9, 2.2, 2.8, 4.5, 5.5, 6.5, 24, 26, 28, 32, 35, 45, 55, 60, 7.5, 8.5, 9),
)
"""Errors (percent) that may carry a label, the roundest first."""
_DROP_TICKS = ((0.0,), (1, 10), (0.5, 2, 5, 20, 50), (0.1, 0.2, 3, 30))
"""Points, up and down, that may carry a label."""


def padded(errors: Sequence[float], smallest: float) -> tuple[float, float]:
    """Domain of an axis of errors, percent."""
    known = [max(error, smallest) for error in errors] or [1.0, 10.0]
    low, high = min(known), max(known)
    pad = max(1.06, (high / low) ** 0.06)
    return low / pad, min(high * pad, 100.0)


def around(factors: Sequence[float]) -> list[float]:
    """Domain of an axis of factors."""
    return [min(factors) * 2**-MARGIN, max(factors) * 2**MARGIN]


def factors_within(low: float, high: float) -> list[float]:
    """Powers of two, and what lies half-way between them (1.5, 3, 6) where there are few."""
    powers = [float(2**k) for k in range(math.ceil(math.log2(low) - 1e-9), math.floor(math.log2(high) + 1e-9) + 1)]
    halves = [1.5 * 2**k for k in range(math.floor(math.log2(low)) - 1, math.ceil(math.log2(high)) + 1)]
    return powers if len(powers) > 2 else sorted([*powers, *(factor for factor in halves if low <= factor <= high)])


def error_ticks(low: float, high: float) -> list[float]:
    """Round errors spread over the axis: at most about eight, none closer than a ninth of it."""
    return _spread(_ERROR_TICKS, low, high, math.log)


def drop_domain(drops: Iterable[float]) -> list[float]:
    """Domain of an axis of differences to the dense control, zero within it."""
    bent = [bend(drop) for drop in (*drops, 0.0)]
    pad = max(0.05, 0.06 * (max(bent) - min(bent)))
    return [round(unbend(min(bent) - pad), 4), round(unbend(max(bent) + pad), 4)]


def drop_ticks(low: float, high: float) -> list[float]:
    """Round differences spread over the axis."""
    signed = [[sign * size for size in sizes for sign in (-1, 1)] for sizes in _DROP_TICKS]
    return _spread(signed, low, high, bend)


def _spread(rounds: Iterable[Iterable[float]], low: float, high: float, place: Callable[[float], float]) -> list[float]:
    """The candidates of each round in turn that lie within the axis, and none closer to another than a ninth of it."""
    first, last = place(low), place(high)
    chosen: list[float] = []
    for candidates in rounds:
        for tick in candidates:
            clear = all(abs(place(tick) - place(other)) > (last - first) / 9 for other in chosen)
            if low <= tick <= high and clear:
                chosen.append(tick)
    return sorted(chosen)


def bend(drop: float) -> float:
    """Place of a difference on an axis that is about linear near zero and about logarithmic beyond."""
    return math.copysign(math.log1p(abs(drop) / NEAR), drop)


def unbend(place: float) -> float:
    """The difference at a place."""
    return math.copysign(math.expm1(abs(place)) * NEAR, place)
