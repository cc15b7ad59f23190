"""GitHub over REST, and what Gitea does alike."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, ClassVar
from urllib.parse import quote

from evaluator.errors import ForgeRefused
from evaluator.forges import answers
from evaluator.forges.forge import CONTEXT, VERDICTS, Change, Comment, Source, Status
from evaluator.forges.http import Client
from evaluator.forges.rest import RestForge
from evaluator.forges.wire import Manners

DEEPEST = 300
"""Closed changes that are looked through for merged ones."""


class GitHub(RestForge):
    """A repository on GitHub.

    Args:
        web: the address of the repository, as people know it.
        project: its path, ``owner/name``.
    """

    manners: ClassVar = Manners(
        scheme="Bearer",
        needs="pull requests and issues (read and write), commit statuses (read and write), metadata (read)",
        headers={"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"},
    )
    by_number: ClassVar = {"sort": "created", "direction": "asc", "per_page": "100"}
    by_update: ClassVar = {"sort": "updated", "direction": "desc", "per_page": "100"}
    page: ClassVar = {"per_page": "100"}
    verdicts: ClassVar[dict[str, bool | None]] = {"APPROVED": True, "CHANGES_REQUESTED": False, "DISMISSED": None}
    writers: ClassVar = frozenset(("admin", "maintain", "write"))

    def __init__(self, client: Client, web: str, project: str, login: str | None = None) -> None:
        super().__init__(client, web, login)
        self._web, self._repo = web, f"/repos/{quote(project)}"

    @staticmethod
    def interface(host: str) -> str:
        """Where the REST interface is, for a scheme and host."""
        return "https://api.github.com" if host == "https://github.com" else f"{host}/api/v3"

    def open_changes(self) -> list[Change]:
        found = self._client.pages(f"{self._repo}/pulls", state="open", **self.by_number)
        return sorted(self._parsed(found), key=lambda change: change.number)

    def merged_changes(self, limit: int = 30) -> list[Change]:
        closed = islice(self._client.pages(f"{self._repo}/pulls", state="closed", **self.by_update), DEEPEST)
        merged = islice((change for change in self._parsed(closed) if change.state == "merged"), limit)
        return sorted(merged, key=_merge_time, reverse=True)

    def change(self, number: int) -> Change:
        return self._parse(self._client.get(f"{self._repo}/pulls/{number}"))

    def source(self, change: Change) -> Source:
        return Source(f"{self._web}.git", f"refs/pull/{change.number}/head")

    def status(self, change: Change) -> Status | None:
        found = self._client.get(f"{self._repo}/commits/{change.head}/status", **self.page)
        mine = [one for one in answers.take(found, "statuses") or [] if answers.take(one, "context") == CONTEXT]
        if not mine:
            return None
        last = max(mine, key=lambda one: answers.number(one, "id"))
        state = VERDICTS.get(answers.take(last, "state") or answers.take(last, "status"))
        description = answers.take(last, "description") or ""
        return Status(state, description, self._page_of(last, "target_url") or None) if state else None

    def _post_status(self, change: Change, status: Status) -> None:
        content = {"state": status.state, "description": status.description, "context": CONTEXT}
        link = {"target_url": status.target_url} if status.target_url else {}
        self._client.post(f"{self._repo}/statuses/{change.head}", content | link)

    def _comments(self, change: Change) -> Iterator[Comment]:
        for one in self._client.pages(f"{self._repo}/issues/{change.number}/comments", **self.page):
            by = answers.login(answers.take(one, "user"))
            yield Comment(answers.number(one, "id"), by, answers.take(one, "body") or "")

    def _post_comment(self, change: Change, body: str) -> None:
        self._client.post(f"{self._repo}/issues/{change.number}/comments", {"body": body})

    def _edit_comment(self, change: Change, comment: Comment, body: str) -> None:  # noqa: ARG002 (GitLab needs the change)
        self._client.change("PATCH", f"{self._repo}/issues/comments/{comment.id}", {"body": body})

    def _delete_comment(self, change: Change, comment: Comment) -> None:  # noqa: ARG002
        self._client.delete(f"{self._repo}/issues/comments/{comment.id}")

    def _reviews(self, change: Change) -> dict[str, bool]:
        """The last review of each person counts, and only if it is of the head: a review names its commit."""
        said: dict[str, bool] = {}
        found = self._client.pages(f"{self._repo}/pulls/{change.number}/reviews", **self.page)
        for review in sorted(found, key=lambda one: answers.number(one, "id")):
            state, by = answers.take(review, "state"), answers.login(answers.take(review, "user"))
            if not by or state not in self.verdicts:
                continue
            said.pop(by, None)
            verdict = None if answers.take(review, "dismissed") is True else self.verdicts[state]
            if verdict is not None and answers.take(review, "commit_id") == change.head:
                said[by] = verdict
        return said

    def _may_merge(self, login: str) -> bool:
        try:
            found = self._client.get(f"{self._repo}/collaborators/{quote(login, safe='')}/permission")
        except ForgeRefused as error:
            if error.status == 404:
                return False
            raise
        return answers.take(found, "permission") in self.writers

    def _my_login(self) -> str:
        return answers.text(self._client.get("/user"), "login")

    def _parse(self, found: Any) -> Change:
        merged_at = answers.moment(answers.take(found, "merged_at"))
        merged = merged_at is not None or answers.take(found, "merged") is True
        return Change(
            number=answers.number(found, "number"),
            title=answers.text(found, "title"),
            author=answers.login(answers.take(found, "user")),
            head=answers.text(found, "head", "sha"),
            base=answers.text(found, "base", "ref"),
            state="merged" if merged else "open" if answers.take(found, "state") == "open" else "closed",
            merge_commit=answers.take(found, "merge_commit_sha") if merged else None,
            merged_at=merged_at,
            url=self._page_of(found, "html_url"),
        )


def _merge_time(change: Change) -> float:
    return change.merged_at.timestamp() if change.merged_at else 0.0
