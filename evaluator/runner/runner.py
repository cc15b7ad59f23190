"""One pass over everything that waits: publish what was merged, greet what is new, measure what was approved."""

from __future__ import annotations

import json
import logging
import math
import re
import time
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evaluator.canonical import write_atomically
from evaluator.forges import Change, Forge, Status
from evaluator.grid import load_grid
from evaluator.records import Store
from evaluator.records.record import DENSE
from evaluator.runner import stages
from evaluator.runner.approved import Approved
from evaluator.runner.attempts import Attempts, Lost, Overtaken
from evaluator.runner.changes import merged_submission
from evaluator.runner.git import MAIN
from evaluator.runner.greeting import Checked, Greeting
from evaluator.runner.housekeeping import DAY, Housekeeping
from evaluator.runner.lease import Lease
from evaluator.runner.nights import Meter, Nights, gpus, hours, night_of, steps
from evaluator.runner.previews import Previews
from evaluator.runner.publication import adopt, commit_records, publish_site, require_key
from evaluator.runner.sentinels import Sentinels
from evaluator.runner.stages import Progress
from evaluator.runner.targets import Target
from evaluator.runner.verdicts import was_ever
from evaluator.runner.voice import Voice
from evaluator.runner.watch import Duty, Watch, Work
from evaluator.runner.workspace import Workspaces
from evaluator.sandbox import require

log = logging.getLogger("espalier.runner")

HEARTBEAT = "heartbeat.json"
STOPPED = "not published: the sentinels deviate; a maintainer has to look"
WHOLE = re.compile(r"(\d+)/\1 cells\b")


@dataclass
class Runner:
    """Everything that a pass needs.

    Args:
        home: what the runner keeps between passes: its clone, a workspace for each change, previews, logs.
        selection: options of `espalier evaluate` that say which part of the grid is run here.
        key: signs published records; None: they are not signed.
        target: where the site goes; None: nowhere.
        url: where the published site will be read; empty: nobody has said so.
        source: where the project's repository can be read, to which the site links; empty likewise.
        previews: address under which ``home/previews`` can be read; None: it cannot.
        poll: seconds between two looks at the forge while cells are measured.
        budget: GPU-seconds of a night for what is missing or stale on main beside what was merged.
        dry: write nothing to the project or the site, and measure nothing.
    """

    forge: Forge
    workspaces: Workspaces
    lease: Lease
    home: Path
    selection: tuple[str, ...] = ()
    workers: int | None = None
    key: Path | None = None
    target: Target | None = None
    url: str = ""
    source: str = ""
    previews: str | None = None
    poll: float = 30.0
    budget: float = 0.0
    dry: bool = False
    now: Callable[[], float] = time.time
    _voice: Voice = field(init=False)
    _meter: Meter = field(init=False)
    _watch: Watch = field(init=False)
    _try: Attempts = field(init=False, default_factory=Attempts)
    _sentinels: Sentinels = field(init=False)
    _elsewhere: set[str | None] = field(init=False, default_factory=set)
    """Submissions that another runner has measured and will publish."""

    @property
    def failed(self) -> bool:
        """Whether something failed in the last pass that is not of one open change."""
        return self._try.failed

    def once(self) -> bool:
        """One pass, begun anew as often as something else comes first; False where another runner is at work.

        Raises:
            SandboxError: there is no sandbox here; nothing of a stranger is run without.
        """
        require()
        self._try, self._voice = Attempts(), Voice(self.forge, self.workspaces.clone)
        self._meter = Meter(gpus(self.workers), self.now)
        passed = self.home / "sentinels.json"
        self._sentinels = Sentinels(self.workspaces.main, passed, self.selection, self._beside, self.now)
        self.workspaces.clone.open()
        if not self.dry and not self.lease.take():
            held = self.lease.holder()
            log.info("another runner is at work", extra={"owner": held.owner if held else None})
            return False
        try:
            while not self._is_whole():
                self.workspaces.clone.open()
        except Lost as error:
            log.warning(error.what)
            return False
        finally:
            if not self.dry:
                self.lease.give_back()
        return True

    def _is_whole(self) -> bool:
        """Whether a pass came to its end."""
        try:
            self._pass()
        except Overtaken as error:
            log.info(error.what)
            return False
        return True

    def _pass(self) -> None:
        self._heartbeat("working")
        self.workspaces.update_main()
        merged = [change for change in self.forge.merged_changes() if self._is_in_main(change)]
        self._watch = self._watch_beside({change.number for change in merged})
        self._elsewhere.clear()
        self._publish(merged)
        changes = [change for change in self.forge.open_changes() if change.base == MAIN]
        for checked in self._watch.greet(changes, self._keep_lease):
            self._try(self._approved.measure, checked, change=checked.change)
        self._try(self._housekeeping.sweep)
        self._try(self._housekeeping.collect, self.now())
        self._nightly()
        stopped = bool(self._sentinels.deviations)
        self._heartbeat("stopped by the sentinels" if stopped else "idle")
        log.info("pass ended" if self._voice.worked or stopped else "nothing to do", extra={
            "open_changes": len(changes), "merged_changes": len(merged), "gpu_hours": hours(self._meter.spent),
        })  # fmt: skip

    def _watch_beside(self, merged: Container[int]) -> Watch:
        """What is done beside evaluations, in a pass that publishes what was ``merged``."""

        def look(change: Change, meanwhile: Duty) -> Checked | None:
            return Greeting(self.forge, self.workspaces, self._voice, meanwhile, dry=self.dry).look(change)

        def is_news(change: Change) -> bool:
            return change.number not in merged and change.base == MAIN and self._is_in_main(change, anew=True)

        def alive() -> None:
            self._keep_lease()
            self._heartbeat("working")

        workers = (f"--workers={self.workers}",) if self.workers else ()
        return Watch(self.forge, self._try, look, alive, is_news, self._meter, workers, self.poll)

    # -- what is merged -----------------------------------------------------------------------------------------------

    def _publish(self, merged: Sequence[Change]) -> None:
        """Records of what was merged to main, and the site, if it is another: first of what is measured, which need not
        wait for the rest, then of what is measured now."""
        unpublished = self._try(self._unpublished)
        waiting = list(reversed(merged)) if unpublished is not None else []
        for until in (0.0, math.inf):
            waiting = [
                one for one in waiting if self._try(self._publish_change, one, unpublished, until, change=one) is False
            ]
            self._try(self._publish_site)
            if not waiting:
                return

    def _is_in_main(self, change: Change, *, anew: bool = False) -> bool:
        """As it was fetched, or is now (``anew``); what was merged to another branch, or later, is not."""
        clone, commit = self.workspaces.clone, change.merge_commit
        if change.base != MAIN or commit is None:
            return False
        return clone.is_ancestor(commit, clone.look_at_main() if anew else clone.main)

    def _publish_change(self, change: Change, unpublished: Sequence[Mapping[str, Any]], until: float) -> bool:
        """Whether it is done. What a later change of grid or protocol made stale is not of this change: the nights have a
        budget for it."""
        slug = merged_submission(self.workspaces.clone, str(change.merge_commit))
        waits = change.number in self.workspaces.numbers()
        due = any(cell["submission"] == slug and (waits or cell["state"] != "stale") for cell in unpublished)
        if due and self.dry:
            self._voice.tell("would publish records", change=change.number, submission=slug)
        elif due and self._is_elsewhere(change):
            log.info("another runner has measured it, and is waited for", extra={"change": change.number})
            self._elsewhere.add(slug)
            return True
        elif due and not self._sentinels.are_well():
            self.forge.set_status(change, Status("error", STOPPED))
            return True
        elif due:
            if waits:
                adopt(self.workspaces.of(change.number), self.workspaces.main)
            if not self._catch_up(str(slug), f"Records of {slug} (change {change.number})", self.selection, until):
                return False
        if waits:
            self._housekeeping.forget(change.number)
        return True

    def _is_elsewhere(self, change: Change) -> bool:
        """Whether another runner has all the records of what was merged less than a day ago."""
        if was_ever(self.workspaces.of(change.number).state, "measured"):
            return False
        status = self.forge.status(change)
        merged = change.merged_at.timestamp() if change.merged_at else -math.inf
        return bool(status and WHOLE.match(status.description)) and self.now() - merged < DAY

    def _publish_site(self) -> None:
        if self.target is None:
            return
        if self.dry:
            shown = self.target.shows(self.workspaces.clone.main)
            if not shown:
                self._voice.tell("would publish the site")
            return
        self._keep_lease()
        if publish_site(self.workspaces, self.target, self.now(), self._beside, self.url, self.source):
            self._voice.tell("site published", commit=self.workspaces.clone.main)

    def _unpublished(self) -> list[dict[str, Any]]:
        """Cells of submissions of main that are missing or stale and can be measured, as `espalier plan` lists them."""
        plan = stages.ask(self.workspaces.main, "plan", "--published", "--here", *self.selection)
        return [cell for cell in plan["cells"] if cell["todo"] and cell["submission"] != DENSE]

    def _nightly(self) -> None:
        """What else is missing or stale on main, what most readers see first, as long as the night's budget lasts."""
        if not self.budget:
            return
        main, nights = self.workspaces.main, Nights(self.home / "nights.json", self.budget)
        cells = [cell for cell in self._unpublished() if cell["submission"] not in self._elsewhere]
        waiting = steps(load_grid(main.grid), Store(main.published), cells)
        for number, step in enumerate(waiting):
            left, spent = nights.left(self.now()), self._meter.spent
            if self.dry or not left:
                what = "would measure for main" if self.dry else "the night's budget is spent"
                self._voice.tell(what, waiting=len(waiting) - number, night=night_of(self.now()))
                return
            self._watch.give_way()
            if not self._sentinels.are_well():
                return
            deadline = self.now() + left / self._meter.gpus
            try:
                self._catch_up(step.slug, f"Records of {step.slug}", (f"--benchmark={step.benchmark}",), deadline)
            finally:
                nights.enter(self.now(), self._meter.spent - spent)
            log.info("night", extra={"night": night_of(self.now()), "gpu_hours": hours(nights.spent(self.now())),
                                     "budget_hours": hours(self.budget)})  # fmt: skip
            self._publish_site()

    def _catch_up(self, slug: str, title: str, only: Sequence[str], deadline: float) -> bool:
        """Measure what is missing of a submission of main, and publish what there is; False where there is no time to."""
        main = self.workspaces.main
        require_key(main, self.key)
        self._sentinels.sift(Store(main.local), (slug, DENSE))
        progress = Progress.of(main, slug, only)
        if progress.done < progress.cells:
            if deadline <= self.now():
                return False
            todo = progress.cells - progress.done
            self._voice.tell("measuring for main", submission=slug, only=" ".join(only), cells=todo)
            self._watch.measure(Work(main, slug, only, deadline=deadline), lambda: None)
            self._sentinels.sift(Store(main.local), (slug, DENSE))
        self._keep_lease()
        if commit_records(self.workspaces, slug, title, self.key):
            self._voice.tell("records published", submission=slug)
            if self.key is None:
                log.warning("they are not signed: no --key was given")
        return True

    @property
    def _previews(self) -> Previews:
        return Previews(self.home / "previews", self.previews)

    @property
    def _housekeeping(self) -> Housekeeping:
        mark = self.home / "collected"
        return Housekeeping(self.forge, self.workspaces, self._previews, mark, self._beside, dry=self.dry)

    @property
    def _approved(self) -> Approved:
        parts = (self.forge, self.workspaces, self._voice, self._watch, self._sentinels, self._previews)
        return Approved(*parts, self.selection, dry=self.dry)

    def _beside(self) -> None:
        """As long as the sentinels are measured, the site is built, or what nobody needs is collected."""
        self._watch.beside()

    def _keep_lease(self) -> None:
        if not self.dry and not self.lease.keep():
            raise Lost("another runner has taken over", fix="run one runner for each project")

    def _heartbeat(self, doing: str) -> None:
        if self.dry:
            log.info("would say that it was seen", extra={"doing": doing})
            return
        content = {"seen": int(self.now()), "doing": doing, "main": self.workspaces.clone.main}
        write_atomically(self.home / HEARTBEAT, (json.dumps(content) + "\n").encode())
        if self.target is not None:
            self._try(self.target.beat, int(self.now()), self._keep_lease, grave=False)
