"""One pass over everything that waits: publish what was merged, greet what is new, measure what was approved."""

from __future__ import annotations

import json
import logging
import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluator.canonical import write_atomically
from evaluator.errors import EspalierError, ForgeError
from evaluator.forges import Change, Forge, Status, words
from evaluator.records import Record, Store
from evaluator.records.record import DENSE
from evaluator.records.signatures import SIGNERS
from evaluator.repository import Repository
from evaluator.runner import stages
from evaluator.runner.changes import Refused, merged_submission, submission_of
from evaluator.runner.lease import Lease
from evaluator.runner.publication import Folder, Target, adopt, commit_records, publish_site, pushed_away
from evaluator.runner.report import Report
from evaluator.runner.stages import Evaluation, Progress
from evaluator.runner.standings import ranks_of
from evaluator.runner.workspace import Workspaces
from evaluator.terminal import duration

log = logging.getLogger("espalier.runner")

HEARTBEAT = "heartbeat.json"


@dataclass(frozen=True)
class Checked:
    """A change that is one submission, found sound."""

    change: Change
    slug: str
    repository: Repository


class Lost(EspalierError):
    """The lease went to another runner."""


@dataclass
class Runner:
    """Everything that a pass needs.

    Args:
        home: what the runner keeps between passes: its clone, a workspace for each change, previews, logs.
        selection: options of `espalier evaluate` that say which part of the grid is run here.
        key: signs published records; None: they are not signed.
        target: where the site goes; None: nowhere.
        url: where the published site will be read; empty: nobody has said so.
        previews: address under which ``home/previews`` can be read; None: it cannot.
        poll: seconds between two looks at the forge while cells are measured.
        budget: seconds of a pass for what is missing or stale on main beside what was merged.
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
    previews: str | None = None
    poll: float = 30.0
    budget: float = 0.0
    dry: bool = False
    now: Callable[[], float] = time.time

    def once(self) -> bool:
        """One pass; False where another runner is at work."""
        self.workspaces.clone.open()
        if not self.dry and not self.lease.take():
            held = self.lease.holder()
            log.info("another runner is at work", extra={"owner": held.owner if held else None})
            return False
        try:
            self._heartbeat("working")
            self.workspaces.update_main()
            self._publish()
            waiting = [checked for change in self.forge.open_changes() if (checked := self._try(self._greet, change))]
            for checked in waiting:
                self._try(self._measure, checked)
            self._nightly()
            self._sweep()
            self._heartbeat("idle")
        except Lost as error:
            log.warning(error.what)
            return False
        if not self.dry:
            self.lease.give_back()
        return True

    def _try(self, step: Callable[[Any], Any], subject: Any) -> Any:
        """Do something for one change; what fails is told, and the others go on."""
        try:
            return step(subject)
        except Lost:
            raise
        except EspalierError as error:
            change = subject.change if isinstance(subject, Checked) else subject
            log.error(str(error), extra={"change": change.number})
            return None

    # -- what is merged -----------------------------------------------------------------------------------------------

    def _publish(self) -> None:
        """Records of what was merged to main, measured now where they are missing; then the site, if it is another."""
        unpublished = self._unpublished()
        for change in reversed(self.forge.merged_changes()):
            slug = merged_submission(self.workspaces.clone, change.merge_commit) if change.merge_commit else None
            waits = change.number in self.workspaces.numbers()
            if slug in unpublished and self.dry:
                log.info("would publish records", extra={"change": change.number, "submission": slug})
            elif slug in unpublished and self._measures_as_before(change):
                if waits:
                    adopt(self.workspaces.of(change.number), self.workspaces.main)
                self._catch_up(str(slug), f"Records of {slug} (change {change.number})")
            elif slug in unpublished:
                continue
            if waits and not self.dry:
                self.workspaces.remove(change.number)
        self._publish_site()

    def _publish_site(self) -> None:
        if self.target is None:
            return
        if self.dry:
            shown = self.target.shows(self.workspaces.clone.main)
            log.info("the site is up to date" if shown else "would publish the site")
            return
        self._keep_lease()
        if publish_site(self.workspaces, self.target, self.url):
            log.info("site published", extra={"commit": self.workspaces.clone.main})

    def _unpublished(self) -> dict[str, int]:
        """Submissions of main of which something can be measured that is missing or stale, with how many cells."""
        plan = stages.ask(self.workspaces.main, "plan", "--published", *self.selection)
        return Counter(cell["submission"] for cell in plan["cells"] if cell["todo"] and cell["submission"] != DENSE)

    def _nightly(self) -> None:
        """What else is missing or stale on main, the submissions with most of it first, for as long as the budget lasts."""
        deadline = self.now() + self.budget
        for slug, _ in Counter(self._unpublished()).most_common() if self.budget and not self.dry else ():
            if self.now() < deadline:
                self._catch_up(slug, f"Records of {slug}", deadline)
                self._publish_site()

    def _catch_up(self, slug: str, title: str, deadline: float = math.inf) -> None:
        """Measure what is missing of a submission of main, and publish what there is."""
        main = self.workspaces.main
        progress = Progress.of(main, slug, self.selection)
        if progress.done < progress.cells:
            log.info("measuring for main", extra={"submission": slug, "cells": progress.cells - progress.done})
            evaluation = Evaluation(main, slug, self._options)
            try:
                while not evaluation.wait(self.poll) and self.now() < deadline:
                    self._keep_lease()
                    self._heartbeat("measuring")
            finally:
                evaluation.stop()
        self._commit(slug, title)

    def _measures_as_before(self, change: Change) -> bool:
        """The sentinels, before anything is published; where they deviate, all of it waits for a maintainer."""
        self._keep_lease()
        found = stages.ask(self.workspaces.main, "sentinels", *self.selection)
        if not found["ok"]:
            log.error(
                "not published: this machine no longer measures what it did", extra={"deviations": found["deviations"]}
            )
            self.forge.set_status(change, Status("error", "not published: the sentinels deviate; a maintainer has to look"))
            self._heartbeat("stopped by the sentinels")
        return bool(found["ok"])

    def _commit(self, slug: str, title: str) -> None:
        try:
            made = commit_records(self.workspaces, slug, title, self.key)
        except ForgeError as error:
            if not pushed_away(error):
                raise
            self.workspaces.clone.open()
            self.workspaces.update_main()
            made = commit_records(self.workspaces, slug, title, self.key)
        if made:
            log.info("records published", extra={"submission": slug})
            if self.key is None:
                log.warning("they are not signed: no --key was given")
        self.workspaces.update_main()

    @property
    def _options(self) -> tuple[str, ...]:
        """Of `espalier evaluate`."""
        return (*self.selection, *((f"--workers={self.workers}",) if self.workers else ()))

    # -- what is new --------------------------------------------------------------------------------------------------

    def _greet(self, change: Change) -> Checked | None:
        """Look at a change without measuring it; None where it cannot go on."""
        clone = self.workspaces.clone
        source = self.forge.source(change)
        try:
            if clone.fetch(source.url, source.ref, f"refs/espalier/changes/{change.number}") != change.head:
                return None  # pushed to meanwhile: the next pass sees the new commit
            slug = submission_of(clone, change.head)
        except Refused as refusal:
            self._say(change, "failure", "not one submission", notes=[words.code(refusal.what, 500), refusal.fix or ""])
            return None
        repository = self.workspaces.prepare(change.number, change.head, slug)
        seen = f"{change.head} {clone.main}"
        checked = Checked(change, slug, repository)
        verdicts = {sound: repository.state / ("sound" if sound else "unsound") for sound in (True, False)}
        for sound, verdict in verdicts.items():
            if verdict.is_file() and verdict.read_text(encoding="utf-8") == seen:
                return checked if sound else None
        sound = self._is_sound(checked)
        write_atomically(verdicts[sound], seen.encode())
        return checked if sound else None

    def _is_sound(self, checked: Checked) -> bool:
        """`check`, then `smoke`; what they find goes to the author at once."""
        change, slug, repository = checked.change, checked.slug, checked.repository
        self._keep_lease()
        found = stages.ask(repository, "check", slug)
        if not found["ok"]:
            self._say(change, "failure", "check found errors", slug, problems=found["problems"])
            return False
        self.forge.set_status(change, Status("pending", "check passed; smoke tier at work"))
        smoked = stages.ask(repository, "smoke", slug)
        if not smoked["ok"]:
            self._say(change, "failure", "the smoke tier failed", slug, problems=found["problems"], smoked=smoked["cells"],
                      command=f"espalier smoke {slug}")  # fmt: skip
            return False
        notes = [f"`check` and `smoke` passed. The grid runs once a maintainer approves commit `{change.head[:12]}`."]
        self._say(change, "pending", "checks passed; waits for a maintainer's approval", slug, notes=notes,
                  problems=found["problems"], smoked=smoked["cells"])  # fmt: skip
        return True

    # -- what is approved ---------------------------------------------------------------------------------------------

    def _measure(self, checked: Checked) -> None:
        """The grid, if a maintainer approved this very commit; ends early when the change is pushed to or closed."""
        change, slug, repository = checked.change, checked.slug, checked.repository
        approved = any(approval.commit == change.head for approval in self.forge.approvals(change))
        if not approved or self.dry:
            log.info("would measure" if approved else "waits for approval", extra={"change": change.number})
            return
        progress = Progress.of(repository, slug, self.selection)
        if progress.done < progress.cells:
            log.info("measuring", extra={"change": change.number, "submission": slug, "cells": progress.cells})
            evaluation = Evaluation(repository, slug, self._options)
            try:
                if not self._watch(evaluation, checked):
                    return
            finally:
                evaluation.stop()
            progress = Progress.of(repository, slug, self.selection)
        self._conclude(checked, progress)

    def _watch(self, evaluation: Evaluation, checked: Checked) -> bool:
        """Tell how far it is until it has ended; False where the change is no longer what was approved."""
        change = checked.change
        told = -1
        while not evaluation.wait(self.poll):
            self._keep_lease()
            self._heartbeat("measuring")
            now = self.forge.change(change.number)
            if (now.state, now.head) != ("open", change.head):
                log.info("the change has moved on", extra={"change": change.number})
                return False
            progress = Progress.of(checked.repository, checked.slug, self.selection)
            if progress.done != told:  # a forge takes a thousand statuses of a commit, not more
                told = progress.done
                left = f", about {duration(progress.seconds)} left" if progress.seconds else ""
                self.forge.set_status(change, Status("pending", f"{progress.done}/{progress.cells} cells{left}"))
        return True

    def _conclude(self, checked: Checked, progress: Progress) -> None:
        change, slug, repository = checked.change, checked.slug, checked.repository
        records = _records(Store(repository.local), slug)
        failed = sum(record.status != "ok" and record.variant == "method" for record in records)
        whole = progress.done == progress.cells
        summary = f"{progress.done}/{progress.cells} cells" + (f", {failed} failed" if failed else "")
        site, address = self._preview(checked) if whole else (None, None)
        self._say(
            change,
            "success" if whole and not failed else "failure",
            summary,
            slug,
            records=records,
            before=_records(Store(self.workspaces.main.published), slug),
            ranks=ranks_of(site, slug) if site else (),
            preview=address,
            command=f"espalier evaluate {slug}",
        )

    def _preview(self, checked: Checked) -> tuple[Path, str | None]:
        """The site with the change's records laid over the published ones."""
        repository, number = checked.repository, checked.change.number
        (repository.published / SIGNERS).unlink(missing_ok=True)  # these records are nobody's word yet
        stages.do(repository, "promote", checked.slug)
        folder = self.home / "previews" / str(number)
        notice = f"Preview of change {number}: not published"
        stages.do(repository, "site", "build", "--no-local", "--notice", notice, "--output", str(folder))
        page = f"{number}/methods/{checked.slug}.html"
        return folder, f"{self.previews.rstrip('/')}/{page}" if self.previews else None

    # -- words --------------------------------------------------------------------------------------------------------

    def _say(self, change: Change, state: str, summary: str, slug: str | None = None, **parts: object) -> None:
        """Status and comment, if they say something new."""
        link = parts.get("preview")
        title = f"`{slug}`: {summary}" if slug else summary
        report = Report(title, change.head, self.workspaces.clone.main, **parts)  # type: ignore[arg-type]
        self.forge.upsert_comment(change, report.text())
        self.forge.set_status(change, Status(state, summary, str(link) if link else None))  # type: ignore[arg-type]
        log.info(summary, extra={"change": change.number, "submission": slug, "state": state})

    def _keep_lease(self) -> None:
        if not self.dry and not self.lease.keep():
            raise Lost("another runner has taken over", fix="run one runner for each project")

    def _heartbeat(self, doing: str) -> None:
        content = {"seen": int(self.now()), "doing": doing, "main": self.workspaces.clone.main}
        write_atomically(self.home / HEARTBEAT, (json.dumps(content) + "\n").encode())
        if isinstance(self.target, Folder) and not self.dry:
            self.target.beat(int(self.now()))

    def _sweep(self) -> None:
        """Workspaces of changes that were turned down."""
        for number in self.workspaces.numbers():
            if self.forge.change(number).state == "closed":
                self.workspaces.remove(number)


def _records(store: Store, slug: str) -> list[Record]:
    folders = sorted(path for path in store.folder.glob("*/") if path.is_dir())
    return [record for folder in folders for record in store.read(folder.name, slug).values()]
