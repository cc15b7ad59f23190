"""What a runner says: to the people of a change by status and comment, to the maintainer in the log."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from evaluator.forges import Change, Forge, Status
from evaluator.runner.git import Clone
from evaluator.runner.report import Report

log = logging.getLogger("espalier.runner")


@dataclass
class Voice:
    """Of one pass; ``worked`` once there was something to say."""

    forge: Forge
    clone: Clone
    worked: bool = False

    def say(self, change: Change, state: str, summary: str, slug: str | None = None, **parts: object) -> None:
        """Status and comment, if they say something new."""
        link = parts.get("preview")
        title = f"`{slug}`: {summary}" if slug else summary
        report = Report(title, change.head, self.clone.code, **parts)  # type: ignore[arg-type]
        self.forge.upsert_comment(change, report.text())
        self.forge.set_status(change, Status(state, summary, str(link) if link else None))  # type: ignore[arg-type]
        self.tell(summary, change=change.number, submission=slug, state=state)

    def tell(self, what: str, **about: object) -> None:
        """Log that something was done, or would have been."""
        self.worked = True
        log.info(what, extra=about)
