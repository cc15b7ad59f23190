"""A change that a maintainer approved: the grid, how far it is, and what came of it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial

from evaluator.forges import Change, Forge, Status
from evaluator.records import Store
from evaluator.runner.attempts import Overtaken
from evaluator.runner.changes import is_approved, still
from evaluator.runner.greeting import Checked
from evaluator.runner.previews import Previews
from evaluator.runner.sentinels import Sentinels
from evaluator.runner.stages import Progress
from evaluator.runner.standings import ranks_of
from evaluator.runner.voice import Voice
from evaluator.runner.watch import Duty, Watch, Work
from evaluator.runner.workspace import Workspaces
from evaluator.terminal import duration

log = logging.getLogger("espalier.runner")

UNSEEN = "it was built where the runner works, which was given no address (`--previews`) under which it can be read."
UNMEASURED = "not measured: the sentinels deviate; a maintainer has to look"


@dataclass(frozen=True)
class Approved:
    """Measures such changes.

    Args:
        selection: options of `espalier evaluate` that say which part of the grid is run here.
        dry: only say what would be measured.
    """

    forge: Forge
    workspaces: Workspaces
    voice: Voice
    watch: Watch
    sentinels: Sentinels
    previews: Previews
    selection: tuple[str, ...]
    dry: bool = False

    def measure(self, checked: Checked) -> None:
        """The grid, if a maintainer approved this very commit.

        Raises:
            Overtaken: the change was pushed to or closed meanwhile, or another was merged.
        """
        change, slug, repository = checked.change, checked.slug, checked.repository
        if not is_approved(self.forge, change):
            log.info("waits for approval", extra={"change": change.number, "commit": change.head[:12]})
            return
        self.watch.taken.add((change.number, change.head))
        if self.dry:
            self.voice.tell("would measure", change=change.number)
            return
        if self._has_moved(change):
            return
        self.workspaces.prepare(change.number, change.head, slug)  # whatever was looked at since then
        progress = Progress.of(repository, slug, self.selection)
        if progress.done < progress.cells:
            if not self.sentinels.are_well():
                self.forge.set_status(change, Status("error", UNMEASURED))
                return
            if self._has_moved(change):  # they take long, and what was pushed meanwhile lies in the folder now
                return
            self.workspaces.prepare(change.number, change.head, slug)
        before = -1
        while before < progress.done < progress.cells:  # again, as long as it gets on: one device is used at a time
            self.voice.tell("measuring", change=change.number, submission=slug, cells=progress.cells)
            self.watch.measure(Work(repository, slug, self.selection, change), self._telling(checked, progress))
            before, progress = progress.done, Progress.of(repository, slug, self.selection)
        if not progress.cells:
            log.info("nothing of it can be measured here", extra={"change": change.number})
        elif before < 0 and checked.verdict.is_known("measured") and self.previews.of(change.number).is_dir():
            log.info("measured before; waits for a merge", extra={"change": change.number})
        else:
            self._conclude(checked, progress)

    def _has_moved(self, change: Change) -> bool:
        """Whether it is no longer what was approved."""
        now = still(self.forge, change.number)
        if now is not None and (now.state, now.head) == ("open", change.head):
            return False
        log.info("the change has moved on", extra={"change": change.number})
        return True

    def _telling(self, checked: Checked, progress: Progress) -> Duty:
        """Tells how far its evaluation is."""
        told = -1

        def tell() -> None:
            nonlocal told
            if self._has_moved(checked.change):
                raise Overtaken("what it is now is looked at first")
            now = progress.later(checked.repository, checked.slug, (*self.selection, *self.watch.workers))
            if now.done != told:  # a forge takes a thousand statuses of a commit, not more
                left = f", about {duration(now.seconds)} left" if now.seconds else ""
                self.voice.say(checked.change, "pending", f"{now.done}/{now.cells} cells{left}", checked.slug)
                told = now.done

        return tell

    def _conclude(self, checked: Checked, progress: Progress) -> None:
        change, slug, repository = checked.change, checked.slug, checked.repository
        records = Store(repository.local).by(slug)
        failed = sum(record.status != "ok" and record.variant == "method" for record in records)
        whole = progress.done == progress.cells
        summary = f"{progress.done}/{progress.cells} cells" + (f", {failed} failed" if failed else "")
        if whole:
            self.previews.build(change.number, repository, slug, partial(self.watch.beside, change))
        self.voice.say(
            change,
            "error" if not whole else "failure" if failed else "success",
            summary,
            slug,
            records=records,
            before=Store(self.workspaces.main.published).by(slug),
            ranks=ranks_of(self.previews.of(change.number), slug) if whole else (),
            preview=self.previews.page(change.number, slug) if whole else None,
            unseen=UNSEEN if whole else "it is made once all cells are measured.",
            command=f"espalier evaluate {slug}",
        )
        if whole:
            checked.verdict.keep("measured")
