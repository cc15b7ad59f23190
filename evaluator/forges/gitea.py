"""Gitea and Forgejo over REST: GitHub's paths, with other words here and there."""

from __future__ import annotations

from typing import ClassVar

from evaluator.forges.github import GitHub
from evaluator.forges.wire import Manners


class Gitea(GitHub):
    """A repository on Gitea or Forgejo. Only an administrator of a repository may ask what others may do there."""

    manners: ClassVar = Manners(
        scheme="token",
        needs="write:repository, write:issue and read:user, of an account that administers the repository",
    )
    by_number: ClassVar = {"sort": "oldest", "limit": "50"}
    by_update: ClassVar = {"sort": "recentupdate", "limit": "50"}
    page: ClassVar = {"limit": "50"}
    verdicts: ClassVar[dict[str, bool | None]] = {"APPROVED": True, "REQUEST_CHANGES": False}
    writers: ClassVar = frozenset(("owner", "admin", "write"))

    @staticmethod
    def interface(host: str) -> str:
        return f"{host}/api/v1"
