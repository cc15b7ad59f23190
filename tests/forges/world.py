"""A made-up project as a forge keeps it: changes, comments, reviews, statuses, people. The servers say it in their words."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from itertools import count

from evaluator.forges.clock import Clock

ME = "espalier-bot"
SECRET = "glpat-Zq7_planted+token/0123456789="
OPENED_AT = "2026-03-0{}T10:00:00Z"


class QuickClock(Clock):
    """Time that passes at once when somebody sleeps, and chance that is none."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return super().monotonic() + sum(self.slept)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def chance(self) -> float:
        return 0.5


def sha(*parts: object) -> str:
    return hashlib.sha1(repr(parts).encode()).hexdigest()


@dataclass
class Proposal:
    number: int
    title: str
    author: str | None
    head: str
    base: str = "main"
    state: str = "open"
    merged_at: str | None = None
    how: str = "merge"
    made: str | None = None
    """What the base got, once merged."""
    from_fork: bool = True
    comments: list[dict] = field(default_factory=list)
    reviews: list[dict] = field(default_factory=list)


class World:
    """What is there. ``access`` is ``admin``, ``write`` or ``read``."""

    def __init__(self) -> None:
        self.proposals: dict[int, Proposal] = {}
        self.statuses: dict[str, list[dict]] = {}
        self.access = {ME: "admin", "maria": "write", "rita": "read"}
        self.page_size = 2
        self._ids = count(1)

    def new_id(self) -> int:
        return next(self._ids)

    def propose(self, title: str = "A method", author: str | None = "ada", base: str = "main") -> Proposal:
        number = len(self.proposals) + 1
        self.proposals[number] = Proposal(number, title, author, sha(number, "first"), base)
        return self.proposals[number]

    def push(self, number: int) -> str:
        proposal = self.proposals[number]
        proposal.head = sha(proposal.head, "pushed")
        return proposal.head

    def say(self, number: int, by: str, body: str) -> dict:
        comment = {"id": self.new_id(), "by": by, "body": body}
        self.proposals[number].comments.append(comment)
        return comment

    def review(
        self, number: int, by: str, state: str = "APPROVED", commit: str | None = None, dismissed: bool = False
    ) -> None:
        proposal = self.proposals[number]
        commit = commit or proposal.head
        proposal.reviews.append({"id": self.new_id(), "by": by, "state": state, "commit": commit, "dismissed": dismissed})

    def merge(self, number: int, how: str = "merge") -> str:
        """As "merge", "squash", "rebase", or "forward": as it is, without a commit of its own."""
        proposal = self.proposals[number]
        proposal.state, proposal.merged_at = "merged", OPENED_AT.format(number)
        proposal.how, proposal.made = how, proposal.head if how == "forward" else sha(proposal.head, how)
        return proposal.made

    def set_status(self, commit: str, content: dict) -> dict:
        status = {"id": self.new_id(), **content}
        self.statuses.setdefault(commit, []).append(status)
        return status
