"""What a runner needs of a forge, whichever it is: a few reads, and two writes that may be repeated without harm."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from evaluator.errors import ForgeError
from evaluator.forges.words import line

CONTEXT = "espalier"
"""The name under which statuses are kept."""

MARKER = "<!-- espalier:report -->"
"""First line of our comment; a reader does not see it, and we find the comment again by it."""

COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")

State = Literal["open", "merged", "closed"]
Verdict = Literal["pending", "success", "failure", "error"]
VERDICTS: dict[str, Verdict] = {"pending": "pending", "success": "success", "failure": "failure", "error": "error"}
"""By what most forges call them."""

TITLE_LENGTH = 200
DESCRIPTION_LENGTH = 140
"""GitHub takes no more; kept to everywhere, so that what is read back equals what was written."""


@dataclass(frozen=True)
class Change:
    """A pull request or merge request at one moment. Title and author are a stranger's text, made to fit one line.

    Args:
        number: what people call it by, from 1.
        title: at most 200 characters, never empty.
        author: the login of who opened it.
        head: the commit that it proposes, in full.
        base: the branch that it is for.
        state: whether it still waits, went in, or was turned down.
        merge_commit: what the base branch got, once merged.
        merged_at: when, in UTC, once merged.
        url: where people read it; empty where there is no such page.
    """

    number: int
    title: str
    author: str
    head: str
    base: str
    state: State = "open"
    merge_commit: str | None = None
    merged_at: datetime | None = None
    url: str = ""

    def __post_init__(self) -> None:
        if self.number < 1 or not COMMIT.fullmatch(self.head):
            raise ForgeError("a change without a number or a full commit", where=f"change {self.number}")
        object.__setattr__(self, "title", line(self.title, TITLE_LENGTH) or "(no title)")
        object.__setattr__(self, "author", line(self.author, TITLE_LENGTH) or "(unknown)")


@dataclass(frozen=True)
class Source:
    """Where git fetches a head from: ``git fetch URL REF``."""

    url: str
    ref: str


@dataclass(frozen=True)
class Status:
    """What is shown beside a commit.

    Args:
        state: where the evaluation stands.
        description: cut to 140 characters of one line.
        target_url: where it links to, http or https.
    """

    state: Verdict
    description: str
    target_url: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "description", line(self.description, DESCRIPTION_LENGTH))
        if self.target_url and not re.match(r"https?://", self.target_url):
            raise ForgeError("a status can link to http and https only", where=line(self.target_url, TITLE_LENGTH))


@dataclass(frozen=True)
class Comment:
    """A comment on a change; ``by`` is the forge's own name of its author, ``id`` the forge's of the comment."""

    id: int
    by: str
    body: str


@dataclass(frozen=True)
class Approval:
    """A maintainer's word that the evaluation of this commit, and of no other, may run."""

    by: str
    commit: str


class Forge(Protocol):
    """A place where changes are proposed. Every call may raise ForgeError; what it wrote until then stays consistent."""

    @property
    def name(self) -> str:
        """Which forge and project, for messages."""

    def open_changes(self) -> list[Change]:
        """Every change that waits, by number."""

    def merged_changes(self, limit: int = 30) -> list[Change]:
        """The last changes that were merged, the latest merge first."""

    def change(self, number: int) -> Change:
        """One change as it is now: was it pushed to, merged, closed?"""

    def source(self, change: Change) -> Source:
        """Where git fetches the head from. A push since then makes the ref another commit than ``change.head``."""

    def status(self, change: Change) -> Status | None:
        """Our last status of ``change.head``, if there is one."""

    def set_status(self, change: Change, status: Status) -> None:
        """Show ``status`` beside ``change.head``; nothing is written where it is already shown."""

    def comment(self, change: Change) -> str | None:
        """The text of our comment, without the marker, if there is one."""

    def upsert_comment(self, change: Change, text: str) -> None:
        """Make ``text`` the one comment of ours: edited in place, written anew, or left as it is."""

    def approvals(self, change: Change) -> list[Approval]:
        """Approvals of ``change.head`` by those who may merge. One of an earlier commit does not count."""

    def close(self) -> None:
        """Let connections go."""


def approval_of(commit: str) -> str:
    """The comment by which a maintainer approves a commit, on every forge."""
    return f"espalier approve {commit}"


def approved_commit(body: str) -> str | None:
    """The commit that a comment approves: its first line is ``espalier approve COMMIT``, in full, and no more.

    A quoted line starts with ``>`` and a longer one is talk, so that a commit is approved on purpose only.
    """
    found = re.fullmatch(rf"espalier approve ({COMMIT.pattern})", body.strip().partition("\n")[0].strip())
    return found[1] if found else None
