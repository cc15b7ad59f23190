"""What forges with a REST interface have in common: look first, then write what is missing."""

from __future__ import annotations

import logging
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any

from evaluator.errors import ForgeError
from evaluator.forges import words
from evaluator.forges.answers import take
from evaluator.forges.forge import MARKER, Approval, Change, Comment, Status, approved_commit
from evaluator.forges.http import Client

LOGIN = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_-])?(?:\[bot\])?")
"""Names that can be part of an address. No forge has others."""

log = logging.getLogger("evaluator.forges")


class RestForge(ABC):
    """A forge behind a client; a kind of forge says where things are and what they are called.

    Args:
        client: the way there.
        name: for messages.
        login: who we are, where the token may not ask (a GitHub App); found out by default.
    """

    def __init__(self, client: Client, name: str, login: str | None = None) -> None:
        self._client, self._name, self._login = client, name, login

    @property
    def name(self) -> str:
        return self._name

    @cached_property
    def me(self) -> str:
        """Our login, in small letters."""
        return (self._login or self._my_login()).casefold()

    def set_status(self, change: Change, status: Status) -> None:
        def act() -> None:
            shown = self.status(change)
            if shown is None or not self._shows(shown, status):
                self._post_status(change, status)

        self._client.settle(act)

    def comment(self, change: Change) -> str | None:
        ours = self._ours(change)
        return words.without(MARKER, ours[0].body) if ours else None

    def upsert_comment(self, change: Change, text: str) -> None:
        body = self._body(words.comment(MARKER, text))

        def act() -> None:
            ours = self._ours(change)
            if not ours:
                self._post_comment(change, body)
            elif ours[0].body.replace("\r\n", "\n").strip() != body.strip():
                self._edit_comment(change, ours[0], body)
            for surplus in ours[1:]:
                self._delete_comment(change, surplus)

        self._client.settle(act)

    def approvals(self, change: Change) -> list[Approval]:
        """Reviews of the head, and comments that name it; who asks for changes in a review of it does not approve."""
        said = self._reviews(change)
        for comment in self._comments(change):
            if approved_commit(comment.body) == change.head and comment.by.casefold() != self.me:
                said.setdefault(comment.by, True)
        approving = sorted(by for by, approves in said.items() if approves and LOGIN.fullmatch(by))
        return [Approval(by, change.head) for by in approving if self._may_merge(by)]

    def close(self) -> None:
        self._client.close()

    def _ours(self, change: Change) -> list[Comment]:
        """Comments of ours, the oldest first. Somebody else's with our marker is a copy, and theirs."""
        found = (c for c in self._comments(change) if words.without(MARKER, c.body) is not None)
        return sorted((c for c in found if c.by.casefold() == self.me), key=lambda c: c.id)

    def _parsed(self, found: Iterable[Any]) -> Iterator[Change]:
        """Changes, each once; one that makes no sense (a head that is gone) does not keep the others from being seen."""
        seen: set[int] = set()
        for one in found:
            try:
                change = self._parse(one)
            except ForgeError as error:
                log.warning("%s: a change is left out: %s", self.name, error.what)
                continue
            if change.number not in seen:
                seen.add(change.number)
                yield change

    @staticmethod
    def _shows(shown: Status, wanted: Status) -> bool:
        return shown == wanted

    @staticmethod
    def _body(body: str) -> str:
        """A comment as it is sent."""
        return body

    @staticmethod
    def _page_of(found: Any, name: str) -> str:
        url = take(found, name)
        return url if isinstance(url, str) and re.match(r"https?://", url) else ""

    @abstractmethod
    def status(self, change: Change) -> Status | None: ...

    @abstractmethod
    def _my_login(self) -> str: ...

    @abstractmethod
    def _parse(self, found: Any) -> Change: ...

    @abstractmethod
    def _post_status(self, change: Change, status: Status) -> None: ...

    @abstractmethod
    def _comments(self, change: Change) -> Iterator[Comment]: ...

    @abstractmethod
    def _post_comment(self, change: Change, body: str) -> None: ...

    @abstractmethod
    def _edit_comment(self, change: Change, comment: Comment, body: str) -> None: ...

    @abstractmethod
    def _delete_comment(self, change: Change, comment: Comment) -> None: ...

    @abstractmethod
    def _reviews(self, change: Change) -> dict[str, bool]:
        """What people said last in reviews of ``change.head``: approved, or asked for changes."""

    @abstractmethod
    def _may_merge(self, login: str) -> bool: ...
