"""When a forge says «not now»: how long to wait before asking again, and when asking again is of no use."""

from __future__ import annotations

from dataclasses import dataclass

from evaluator.forges.answers import Answer
from evaluator.forges.clock import Clock

LONGEST_BACKOFF = 60.0
SECONDARY = 60.0
"""What GitHub asks for where it limits and names no time: at least a minute, and longer each time."""

UNDECIDED = frozenset((408, 409, 425))
"""Not done, for reasons that pass: too slow, another update under way (GitLab), too early."""


@dataclass(frozen=True)
class Timing:
    """How long we wait, in seconds.

    Args:
        connect: for a connection.
        read: for the next bytes.
        whole: for all of an answer.
        patience: at most, in all, for one request to be let through.
        between_writes: from one write to the next (GitHub asks for a second).
        attempts: of one request, at most; a number, not seconds.
    """

    connect: float = 10.0
    read: float = 30.0
    whole: float = 120.0
    patience: float = 900.0
    between_writes: float = 1.0
    attempts: int = 5


def backoff(attempt: int, clock: Clock) -> float:
    """Twice as long each time, from a second on, and never quite the same."""
    return min(2.0**attempt, LONGEST_BACKOFF) * (0.5 + clock.chance())


def limited(answer: Answer, attempt: int, clock: Clock) -> float | None:
    """Seconds to wait when the forge turned the request away undone for a while; None when that is not what it says."""
    if answer.status in UNDECIDED:
        return max(answer.retry_after or 0.0, backoff(attempt, clock))
    if answer.status not in (403, 429):
        return None
    if answer.retry_after is not None:
        return max(answer.retry_after, 1.0)
    if (reset := until_reset(answer, clock)) is not None:
        return reset
    said = answer.message.lower()
    if answer.status == 429 or "rate limit" in said or "abuse detection" in said:
        return SECONDARY * 2.0**attempt
    return None


def until_reset(answer: Answer, clock: Clock) -> float | None:
    """Seconds until a used-up quota is filled again, by the forge's clock; None while there is some left."""
    reset = answer.number("x-ratelimit-reset", "ratelimit-reset")
    if reset is None or answer.number("x-ratelimit-remaining", "ratelimit-remaining") != 0:
        return None
    return max(reset - (answer.sent_at or clock.time()), 0.0) + 1.0
