"""Where changes are proposed: GitHub, Gitea and Forgejo, GitLab, or a bare git repository; one small interface for all."""

from __future__ import annotations

from evaluator.forges.cache import Cache
from evaluator.forges.dry import DryRun
from evaluator.forges.forge import CONTEXT, MARKER, Approval, Change, Forge, Source, Status, approval_of
from evaluator.forges.local import LocalForge
from evaluator.forges.opening import open_forge
from evaluator.forges.token import Token

__all__ = [
    "open_forge",
    "Forge",
    "Change",
    "Source",
    "Status",
    "Approval",
    "approval_of",
    "CONTEXT",
    "MARKER",
    "LocalForge",
    "DryRun",
    "Token",
    "Cache",
]
