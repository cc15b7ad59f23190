"""A forge that is nothing but a bare git repository, so that the whole loop runs without a network.

    refs/heads/main                   what changes are for
    refs/pull/N/head                  the commit that change N proposes
    refs/pull/N/change                a blob, written once: JSON with number, title, author and base
    refs/pull/N/closed                there when the change was turned down
    refs/pull/N/merged                the last commit that its base got of it, where these are others (squash, rebase)
    refs/notes/espalier-status        on a head: JSON, a status by context
    refs/notes/espalier-comments      on refs/pull/N/change: JSON, a list of comments
    refs/notes/espalier-approvals     on a head: JSON, a list of who approved it for which change
    config espalier.maintainer        whose approvals count; one value a maintainer

A change is merged when its base contains its head, or what was made of it, however that came about.
`evaluator.forges.people` opens, changes, approves and merges.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from evaluator.errors import ForgeError, ForgeRefused
from evaluator.forges import words
from evaluator.forges.answers import number, take, text
from evaluator.forges.forge import CONTEXT, MARKER, VERDICTS, Approval, Change, Comment, Source, Status, approved_commit
from evaluator.forges.git import alone, drop_locks, found, git
from evaluator.forges.notes import Notes


class LocalForge:
    """The forge in a bare repository; ``login`` is our own name there."""

    def __init__(self, path: Path, login: str = "espalier") -> None:
        if not (path / "HEAD").is_file() or not (path / "refs").is_dir():
            fix = f"make one: python -m evaluator.forges create {path}"
            raise ForgeError("this is not a bare git repository", where=path, fix=fix)
        self.path, self._login = path.resolve(), login
        drop_locks(self.path, age=60)
        self._statuses, self._approvals = Notes(self.path, "status"), Notes(self.path, "approvals")
        self._comments = Notes(self.path, "comments")

    @property
    def name(self) -> str:
        return str(self.path)

    def open_changes(self) -> list[Change]:
        return [change for change in self._changes() if change.state == "open"]

    def merged_changes(self, limit: int = 30) -> list[Change]:
        merged = [change for change in self._changes() if change.state == "merged"]
        merged.sort(key=lambda c: (c.merged_at.timestamp() if c.merged_at else 0.0, c.number), reverse=True)
        return merged[:limit]

    def change(self, number: int) -> Change:
        refs = self.refs(number)
        if not {"head", "change"} <= refs.keys():
            raise ForgeRefused(f"there is no change {number}", status=404, where=self.path)
        return self._change(number, refs)

    def source(self, change: Change) -> Source:
        return Source(str(self.path), f"refs/pull/{change.number}/head")

    def status(self, change: Change) -> Status | None:
        kept = take(self._statuses.read(change.head), CONTEXT)
        state = VERDICTS.get(text(kept, "state")) if kept else None
        return Status(state, text(kept, "description"), take(kept, "target_url")) if state else None

    def set_status(self, change: Change, status: Status) -> None:
        with alone(self.path):
            if self.status(change) != status:
                self._statuses.write(change.head, {**(self._statuses.read(change.head) or {}), CONTEXT: asdict(status)})

    def comments(self, change: Change) -> list[Comment]:
        """Every comment, the oldest first."""
        kept = self._comments.read(self._anchor(change)) or []
        return [Comment(number(one, "id"), text(one, "by"), text(one, "body")) for one in kept]

    def comment(self, change: Change) -> str | None:
        ours = self._ours(self.comments(change))
        return words.without(MARKER, ours[0].body) if ours else None

    def upsert_comment(self, change: Change, text: str) -> None:
        body = words.comment(MARKER, text)
        with alone(self.path):
            comments = self.comments(change)
            ours = self._ours(comments)
            mine = Comment(ours[0].id if ours else self._next_id(comments), self._login, body)
            kept = [one for one in comments if one not in ours]
            wanted = sorted([*kept, mine], key=lambda one: one.id)
            if wanted != comments:
                self._comments.write(self._anchor(change), [asdict(one) for one in wanted])

    def say(self, change: Change, by: str, body: str) -> None:
        """Add a comment of somebody's."""
        with alone(self.path):
            comments = self.comments(change)
            added = [*comments, Comment(self._next_id(comments), by, body)]
            self._comments.write(self._anchor(change), [asdict(one) for one in added])

    def approve(self, change: Change, by: str) -> None:
        """Note that somebody approves ``change.head``; whether that counts is asked when it is read."""
        with alone(self.path):
            kept = self._approvals.read(change.head) or []
            if (given := {"change": change.number, "by": by}) not in kept:
                self._approvals.write(change.head, [*kept, given])

    def approvals(self, change: Change) -> list[Approval]:
        given = {text(one, "by") for one in self._approvals.read(change.head) or [] if take(one, "change") == change.number}
        told = {one.by for one in self.comments(change) if approved_commit(one.body) == change.head}
        maintainers = set((found(self.path, "config", "--get-all", "espalier.maintainer") or "").splitlines())
        return [Approval(by, change.head) for by in sorted((given | told) & maintainers - {self._login})]

    def close(self) -> None:
        pass

    def refs(self, number: int | None = None) -> dict[str, str]:
        """Objects by ref, after ``refs/pull/``; of one change, after its number."""
        prefix = "refs/pull/" if number is None else f"refs/pull/{number}/"
        lines = git(self.path, "for-each-ref", "--format=%(objectname) %(refname)", prefix).splitlines()
        return {name.removeprefix(prefix): object_ for object_, name in (one.split(" ", 1) for one in lines)}

    def _changes(self) -> list[Change]:
        by_number: dict[int, dict[str, str]] = {}
        for name, object_ in self.refs().items():
            number, _, kind = name.partition("/")
            if number.isascii() and number.isdigit():
                by_number.setdefault(int(number), {})[kind] = object_
        whole = {number: refs for number, refs in sorted(by_number.items()) if {"head", "change"} <= refs.keys()}
        return [self._change(number, refs) for number, refs in whole.items()]

    def _change(self, number: int, refs: dict[str, str]) -> Change:
        content = self._read(refs["change"])
        base, head = text(content, "base"), refs["head"]
        merge = self._merge_commit(f"refs/heads/{base}", head, refs.get("merged"))
        seconds = int(git(self.path, "log", "-1", "--format=%ct", merge)) if merge else 0
        return Change(
            number=number,
            title=text(content, "title"),
            author=text(content, "author"),
            head=head,
            base=base,
            state="merged" if merge else "closed" if "closed" in refs else "open",
            merge_commit=merge,
            merged_at=datetime.fromtimestamp(seconds, UTC) if merge else None,
        )

    def _read(self, blob: str) -> Any:
        try:
            return json.loads(git(self.path, "cat-file", "blob", blob))
        except ValueError:
            raise ForgeError(f"{blob} does not describe a change", where=self.path) from None

    def _merge_commit(self, base: str, head: str, made: str | None) -> str | None:
        """The commit by which the base branch got the head, or what was ``made`` of it; None while it has not."""
        if made is not None and found(self.path, "merge-base", "--is-ancestor", made, base) is not None:
            return made
        if found(self.path, "merge-base", "--is-ancestor", head, base) is None:
            return None
        ways = ("rev-list", "--first-parent", "--ancestry-path", "--parents", f"{head}..{base}")
        lines = [line.split() for line in git(self.path, *ways).splitlines()]
        return lines[-1][0] if lines and lines[-1][1] != head else head

    def _anchor(self, change: Change) -> str:
        return git(self.path, "rev-parse", "--verify", f"refs/pull/{change.number}/change")

    def _ours(self, comments: list[Comment]) -> list[Comment]:
        return [c for c in comments if c.by == self._login and words.without(MARKER, c.body) is not None]

    @staticmethod
    def _next_id(comments: list[Comment]) -> int:
        return max((one.id for one in comments), default=0) + 1
