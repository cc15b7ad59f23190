"""Who works: a lease kept as a ref of the project itself, so that two runners anywhere never do the same work.

Git moves a ref only from the commit that the mover names; of two who want the lease, one gets it.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from evaluator.errors import ForgeError
from evaluator.runner.git import Clone, cause

log = logging.getLogger("espalier.runner")

REF = "refs/espalier/lease"
LATE = (b"stale info", b"cannot lock ref", b"failed to update ref", b"already exists")
"""What git says to the second of two."""


@dataclass(frozen=True)
class Held:
    """By whom, and until when (seconds since 1970)."""

    owner: str
    until: float


class Lease:
    """The right to work, for some minutes at a time.

    Args:
        owner: one name for each runner on each machine; the same after a restart, which goes on with the lease it had.
        seconds: after so long without a renewal, another runner may take over.
    """

    def __init__(self, clone: Clone, owner: str, *, seconds: float = 900, now: Callable[[], float] = time.time) -> None:
        self.clone = clone
        self.owner = owner
        self.seconds = seconds
        self._now = now
        self._renewed = 0.0

    def holder(self) -> Held | None:
        """Who has it now, expired or not."""
        return self._look()[1]

    def take(self) -> bool:
        """Take or renew it; False where another runner has it."""
        commit, held = self._look()
        now = self._now()
        if held is not None and held.owner != self.owner and held.until > now:
            return False
        content = json.dumps({"owner": self.owner, "until": now + self.seconds})
        tree = self.clone.run("mktree", check=True).stdout.decode().strip()
        made = self.clone.git("commit-tree", tree, "-m", content)
        if not self._push(f"{made}:{REF}", commit):
            return False
        self._renewed = now
        return True

    def keep(self) -> bool:
        """Renew it once a third of its time is over; False where it was lost.

        Raises:
            ForgeError: two thirds are over, and it cannot be renewed; what works by it has the last to come to its end.
        """
        age = self._now() - self._renewed
        if age < self.seconds / 3:
            return True
        try:
            return self.take()
        except ForgeError as error:
            if age >= self.seconds * 2 / 3:
                raise
            log.warning("the lease is not renewed yet: %s", error.what)
            return True

    def give_back(self) -> None:
        """So that another runner need not wait for its end."""
        commit, held = self._look()
        if held is not None and held.owner == self.owner:
            self._push(f":{REF}", commit)

    def _look(self) -> tuple[str | None, Held | None]:
        commit = self._commit()
        if commit is None:
            return None, None
        try:
            content = json.loads(self.clone.git("log", "-1", "--format=%B", commit))
            return commit, Held(str(content["owner"]), float(content["until"]))
        except (ValueError, KeyError, TypeError):
            return commit, None  # not ours to understand, ours to replace

    def _commit(self) -> str | None:
        """Where the ref is now, fetched; another runner may give it back between two questions, so they are asked again."""
        for last in (False, False, True):
            if not self.clone.git("ls-remote", self.clone.url, REF):
                return None
            try:
                return self.clone.fetch(self.clone.url, REF, REF)
            except ForgeError:
                if last:
                    raise
        return None

    def _push(self, what: str, expected: str | None) -> bool:
        """Whether the ref moved from where we saw it. No plus sign before it: that would override the condition."""
        condition = f"--force-with-lease={REF}:{expected or ''}"
        done = self.clone.run("push", "--quiet", "--no-verify", condition, self.clone.url, what)
        if done.returncode and not any(sign in done.stderr for sign in LATE):
            raise ForgeError(f"the lease cannot be pushed: {cause(done)}", where=self.clone.folder,
                             fix="give the runner's git the right to push to this repository")  # fmt: skip
        return done.returncode == 0
