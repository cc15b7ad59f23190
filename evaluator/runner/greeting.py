"""A change that is new: is it one submission, and sound? Its author hears of it at once."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass

from evaluator.errors import EspalierError, ForgeError
from evaluator.forges import Change, Forge, Status, approval_of, words
from evaluator.repository import Repository
from evaluator.runner import stages
from evaluator.runner.changes import Refused, fetched, submission_of
from evaluator.runner.git import MOST_FETCHED, TooLarge
from evaluator.runner.report import origin
from evaluator.runner.verdicts import FINDINGS, Finding, Verdict
from evaluator.runner.voice import Voice
from evaluator.runner.workspace import Workspaces

log = logging.getLogger("espalier.runner")

WALLED = "--sandbox=bubblewrap"
"""For whatever executes a submission."""
PASSED = "`check` and `smoke` passed."
UNTRIED = "the smoke tier cannot be run here; that is no fault of the change, and is tried again"
FINAL: dict[Finding, str] = {
    "refused": "refused before; waits for a push",
    "unsound": "found unsound before; waits for a push",
}
"""What is said of findings after which a change is not looked at again."""
MALFORMED = re.compile(r"\bobject [0-9a-f]{40,64}: ")
"""How git complains of an object, which stays what it is."""


class Unfetchable(Refused):
    """Git does not take the commits, or the forge does not have them."""


@dataclass(frozen=True)
class Checked:
    """A change that is one submission, found sound."""

    change: Change
    slug: str
    repository: Repository
    verdict: Verdict


@dataclass(frozen=True)
class Greeting:
    """Looks at changes without measuring them.

    Args:
        meanwhile: done now and then, as long as it takes.
        dry: nothing is remembered of what was found, since nothing was said.
    """

    forge: Forge
    workspaces: Workspaces
    voice: Voice
    meanwhile: Callable[[], None]
    dry: bool = False

    def look(self, change: Change) -> Checked | None:
        """Look at a change without measuring it; None where it cannot go on."""
        clone = self.workspaces.clone
        verdict = Verdict(self.workspaces.of(change.number).state, change.head, clone.main, clone.code)
        if known := next((said for finding, said in FINAL.items() if verdict.is_known(finding)), None):
            log.info(known, extra={"change": change.number})
            return None
        told = "" if verdict.is_known(*FINDINGS) else self._told(change)
        if told and self._is_decided(change):
            log.info("another runner has decided; waits for a push", extra={"change": change.number})
            return None
        try:
            slug = self._submission(change)
        except Refused as refusal:
            self._refuse(change, refusal, verdict)
            clone.forget(fetched(change.number))
            if verdict.is_known("refused"):
                clone.tidy()  # of all that a stranger made, nothing stays
            return None
        if slug is None:
            return None  # pushed to meanwhile: the next pass sees the new commit
        checked = Checked(change, slug, self.workspaces.prepare(change.number, change.head, slug), verdict)
        if verdict.is_known("sound"):
            return checked
        sound = PASSED in told or self._is_sound(checked)
        if not self.dry:
            verdict.keep("sound" if sound else "unsound")
        return checked if sound else None

    def _submission(self, change: Change) -> str | None:
        """Its slug; None where the change is another commit by now. Raises Refused."""
        clone = self.workspaces.clone
        for last in (False, True):
            try:
                return submission_of(clone, change.head) if self._is_fetched(change) else None
            except Refused:
                if last:
                    raise
                clone.look_at_main()  # what looks like the change's may have come to main meanwhile
        return None

    def _is_fetched(self, change: Change) -> bool:
        """Whether the change is what was fetched of it.

        Raises:
            Unfetchable: git has its reasons, and the forge can be reached.
            ForgeError: it cannot.
        """
        clone, ref = self.workspaces.clone, self.forge.source(change).ref
        try:  # from the project itself, by the way on which git reaches it: a forge keeps the heads of changes there
            return clone.fetch(clone.url, ref, fetched(change.number), MOST_FETCHED) == change.head
        except TooLarge:
            fix = "a submission is two small files: make the commits anew, without what is large, and push them"
            raise Refused(f"the commits of this change have more than {MOST_FETCHED / 1e6:g} MB", fix=fix) from None
        except ForgeError as error:
            there = clone.at(clone.url, ref)
            if there == change.head:
                fix = "make the commits anew, for instance by `git cherry-pick` onto main, and push them"
                raise Unfetchable(error.what, fix=fix) from None
            if there is None:
                raise Unfetchable(error.what, fix="push the branch again, or open another change") from None
            return False

    def _told(self, change: Change) -> str:
        """What a runner said of this very commit, by this main's evaluator, before it quotes a log; empty if none did."""
        comment = (self.forge.comment(change) or "").partition("```")[0]
        return comment if origin(change.head, self.workspaces.clone.code) in comment else ""

    def _is_decided(self, change: Change) -> bool:
        status = self.forge.status(change)
        return status is not None and status.state in ("success", "failure")

    def _refuse(self, change: Change, refusal: Refused, verdict: Verdict) -> None:
        """Say why, once."""
        odd = isinstance(refusal, Unfetchable)
        said = Status("error", "git cannot fetch this commit") if odd else Status("failure", "not one submission")
        if odd and self.forge.status(change) == said:
            log.info("still cannot be fetched", extra={"change": change.number})
        else:
            notes = [words.code(refusal.what, 500), refusal.fix or ""]
            self.voice.say(change, said.state, said.description, notes=notes)
        if not self.dry and (not odd or MALFORMED.search(refusal.what)):
            verdict.keep("refused")

    def _is_sound(self, checked: Checked) -> bool:
        """`check`, then `smoke`; what they find goes to the author at once.

        Raises:
            EspalierError: this machine cannot run them.
        """
        change, slug, repository = checked.change, checked.slug, checked.repository
        self.meanwhile()
        found = stages.ask(repository, "check", slug, meanwhile=self.meanwhile)
        if not found["ok"]:
            self.voice.say(change, "failure", "check found errors", slug, problems=found["problems"])
            return False
        self.forge.set_status(change, Status("pending", "check passed; smoke tier at work"))
        smoked = stages.ask(repository, "smoke", slug, WALLED, meanwhile=self.meanwhile)
        if any(cell["status"] == "infrastructure" for cell in smoked["cells"]):
            self.forge.set_status(change, Status("error", UNTRIED))
            raise EspalierError(UNTRIED, where=slug, fix="see what `espalier smoke` says in its workspace")
        if not smoked["ok"]:
            self.voice.say(change, "failure", "the smoke tier failed", slug, problems=found["problems"],
                           smoked=smoked["cells"], command=f"espalier smoke {slug}")  # fmt: skip
            return False
        how = f"by a comment that is this one line, `{approval_of(change.head)}`, or by a review (but for GitLab)"
        notes = [f"{PASSED} The grid runs once a maintainer approves this commit: {how}."]
        self.voice.say(change, "pending", "checks passed; waits for a maintainer's approval", slug, notes=notes,
                       problems=found["problems"], smoked=smoked["cells"])  # fmt: skip
        return True
