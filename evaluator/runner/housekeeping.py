"""What a runner keeps and nobody needs any more: workspaces and previews of changes that are decided, unnamed artifacts."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from evaluator.forges import Forge
from evaluator.runner import stages
from evaluator.runner.changes import fetched, still
from evaluator.runner.git import MAIN
from evaluator.runner.previews import Previews
from evaluator.runner.workspace import Workspaces

log = logging.getLogger("espalier.runner")

DAY = 86_400.0


@dataclass(frozen=True)
class Housekeeping:
    """Removes it.

    Args:
        mark: its time says when artifacts were collected last.
        meanwhile: called now and then, as long as that takes.
        dry: only say what would go.
    """

    forge: Forge
    workspaces: Workspaces
    previews: Previews
    mark: Path
    meanwhile: Callable[[], None]
    dry: bool = False

    def forget(self, number: int) -> None:
        """All of a change, with what was measured for it."""
        if self.dry:
            log.info("would remove workspace and preview", extra={"change": number})
            return
        self.workspaces.remove(number)
        self.previews.remove(number)
        self.workspaces.clone.forget(fetched(number))

    def sweep(self) -> None:
        """Changes that were turned down, are gone, or are for another branch now; of those that were merged, what is left
        over."""
        waiting = self.workspaces.numbers()
        for number in sorted({*waiting, *self.previews.numbers()}):
            change = still(self.forge, number)
            published = change is not None and change.state == "merged" and number not in waiting
            if change is None or change.state == "closed" or change.base != MAIN or published:
                self.forget(number)

    def collect(self, now: float) -> None:
        """Once a day, what no record of main names."""
        if self.dry or (self.mark.exists() and now - self.mark.stat().st_mtime < DAY):
            return
        freed = stages.ask(self.workspaces.main, "gc", meanwhile=self.meanwhile)["bytes"]
        self.workspaces.clone.tidy()
        self.mark.touch()
        os.utime(self.mark, (now, now))
        log.info("collected", extra={"bytes": freed})
