"""GitLab over REST.

Three things are other than on GitHub. An approval by GitLab's button is not bound to a commit, so it does not count: a
maintainer writes ``espalier approve COMMIT``. A status that is running cannot get another description until it ends, so
progress shows in the comment alone. A line of a comment that starts with ``/`` is a command, carried out with our rights.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any, ClassVar
from urllib.parse import quote

from evaluator.errors import ForgeRefused
from evaluator.forges import answers
from evaluator.forges.forge import CONTEXT, Change, Comment, Source, State, Status, Verdict
from evaluator.forges.http import Client
from evaluator.forges.rest import RestForge
from evaluator.forges.wire import Manners

MAINTAINER = 40
"""Access level from which on somebody may merge to a protected branch, unless a project says otherwise."""

TO_GITLAB: dict[Verdict, str] = {"pending": "running", "success": "success", "failure": "failed", "error": "canceled"}
FROM_GITLAB: dict[str, Verdict] = {
    **{theirs: ours for ours, theirs in TO_GITLAB.items()}, "created": "pending", "pending": "pending", "skipped": "error",
}  # fmt: skip
CHANGES: dict[str, State] = {"opened": "open", "locked": "open", "merged": "merged", "closed": "closed"}


class GitLab(RestForge):
    """A project on GitLab; ``project`` is its path, with all groups."""

    manners: ClassVar = Manners(scheme="Bearer", needs="the scope api, and the role Developer or higher in the project")
    page: ClassVar = {"per_page": "100"}

    def __init__(self, client: Client, web: str, project: str, login: str | None = None) -> None:
        super().__init__(client, web, login)
        self._web, self._project = web, f"/projects/{quote(project, safe='')}"

    @staticmethod
    def interface(host: str) -> str:
        return f"{host}/api/v4"

    def open_changes(self) -> list[Change]:
        order = {"order_by": "created_at", "sort": "asc", **self.page}
        found = self._client.pages(f"{self._project}/merge_requests", state="opened", **order)
        return sorted(self._parsed(found), key=lambda change: change.number)

    def merged_changes(self, limit: int = 30) -> list[Change]:
        order = {"order_by": "updated_at", "sort": "desc", **self.page}
        found = self._client.pages(f"{self._project}/merge_requests", state="merged", **order)
        merged = islice(self._parsed(found), limit)
        return sorted(merged, key=lambda c: c.merged_at.timestamp() if c.merged_at else 0.0, reverse=True)

    def change(self, number: int) -> Change:
        return self._parse(self._client.get(f"{self._project}/merge_requests/{number}"))

    def source(self, change: Change) -> Source:
        return Source(f"{self._web}.git", f"refs/merge-requests/{change.number}/head")

    def status(self, change: Change) -> Status | None:
        path = f"{self._project}/repository/commits/{change.head}/statuses"
        found = [one for one in self._client.pages(path, name=CONTEXT, **self.page) if answers.take(one, "name") == CONTEXT]
        if not found:
            return None
        last = max(found, key=lambda one: answers.number(one, "id"))
        state = FROM_GITLAB.get(answers.text(last, "status"))
        description = answers.take(last, "description") or ""
        return Status(state, description, self._page_of(last, "target_url") or None) if state else None

    @staticmethod
    def _shows(shown: Status, wanted: Status) -> bool:
        return shown == wanted or shown.state == wanted.state == "pending"

    def _post_status(self, change: Change, status: Status) -> None:
        content = {"state": TO_GITLAB[status.state], "name": CONTEXT, "description": status.description,
                   "ref": self._ref(change)}  # fmt: skip
        link = {"target_url": status.target_url} if status.target_url else {}
        try:
            self._client.post(f"{self._project}/statuses/{change.head}", content | link)
        except ForgeRefused as error:
            if "Cannot transition status" not in error.what:  # somebody else of us was quicker
                raise

    def _ref(self, change: Change) -> str:
        """GitLab keeps statuses with a ref; that of a fork is not in the project, but its merge request is."""
        found = self._client.get(f"{self._project}/merge_requests/{change.number}")
        if answers.take(found, "source_project_id") == answers.take(found, "target_project_id"):
            return answers.text(found, "source_branch")
        return f"refs/merge-requests/{change.number}/head"

    def _comments(self, change: Change) -> Iterator[Comment]:
        order = {"order_by": "created_at", "sort": "asc", **self.page}
        for one in self._client.pages(f"{self._project}/merge_requests/{change.number}/notes", **order):
            if answers.take(one, "system") is not True:
                by = answers.login(answers.take(one, "author"), "username")
                yield Comment(answers.number(one, "id"), by, answers.take(one, "body") or "")

    @staticmethod
    def _body(body: str) -> str:
        """With an invisible character before every slash that a line starts with, so that it is no command."""
        return re.sub(r"^(?=[^\S\n]*/)", "\u200b", body, flags=re.MULTILINE)

    def _post_comment(self, change: Change, body: str) -> None:
        self._client.post(f"{self._project}/merge_requests/{change.number}/notes", {"body": body})

    def _edit_comment(self, change: Change, comment: Comment, body: str) -> None:
        self._client.change("PUT", f"{self._project}/merge_requests/{change.number}/notes/{comment.id}", {"body": body})

    def _delete_comment(self, change: Change, comment: Comment) -> None:
        self._client.delete(f"{self._project}/merge_requests/{change.number}/notes/{comment.id}")

    def _reviews(self, change: Change) -> dict[str, bool]:  # noqa: ARG002 (they name no commit)
        return {}

    def _may_merge(self, login: str) -> bool:
        members = self._client.pages(f"{self._project}/members/all", query=login, **self.page)
        mine = [one for one in members if answers.login(one, "username") == login]
        return any(answers.number(one, "access_level") >= MAINTAINER for one in mine if _active(one))

    def _my_login(self) -> str:
        return answers.text(self._client.get("/user"), "username")

    def _parse(self, found: Any) -> Change:
        state = CHANGES.get(answers.text(found, "state"), "closed")
        commits = [answers.take(found, name) for name in ("merge_commit_sha", "squash_commit_sha", "sha")]
        return Change(
            number=answers.number(found, "iid"),
            title=answers.text(found, "title"),
            author=answers.login(answers.take(found, "author"), "username"),
            head=answers.text(found, "sha"),
            base=answers.text(found, "target_branch"),
            state=state,
            merge_commit=next(filter(None, commits)) if state == "merged" else None,
            merged_at=answers.moment(answers.take(found, "merged_at")),
            url=self._page_of(found, "web_url"),
        )


def _active(member: Any) -> bool:
    return answers.take(member, "state") in ("active", None)
