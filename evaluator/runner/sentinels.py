"""Whether this machine measures what it did: asked once a pass, before anything is measured, and remembered.

A record is published only where the sentinels of its benchmark were as they were in the environment that made it. Where it
says again what is published, from another environment, that is the environment in which it was pruned.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evaluator.errors import EspalierError, Interrupted
from evaluator.records import Record, Store
from evaluator.records.changes import place
from evaluator.repository import Repository
from evaluator.runner import stages
from evaluator.runner.attempts import Over
from evaluator.runner.greeting import WALLED
from evaluator.runner.ledger import read_ledger, write_ledger

log = logging.getLogger("espalier.runner")

KEPT = 50
"""Environments."""


@dataclass
class Sentinels:
    """Of one pass.

    Args:
        main: the checkout in which they are measured.
        path: remembers in which environments they passed, and when.
        selection: of which part of the grid.
        meanwhile: called now and then, as long as that takes.
    """

    main: Repository
    path: Path
    selection: Sequence[str]
    meanwhile: Callable[[], None]
    now: Callable[[], float]
    deviations: list[str] | None = field(init=False, default=None)
    """None: not looked at in this pass."""
    _failure: EspalierError | None = field(init=False, default=None)
    _watched: frozenset[str] = field(init=False, default=frozenset())

    def are_well(self) -> bool:
        """Whether they are as they were, here and now.

        Raises:
            EspalierError: they cannot be measured; it is not tried again in this pass.
        """
        if self._failure is not None:
            raise self._failure
        if self.deviations is None:
            found = self._look()
            self._watched = frozenset(cell.partition("/")[0] for cell in found["cells"])
            self.deviations = list(found["deviations"])
            self._remember(found["environments"], well=found["ok"])
            if found["accepted"]:
                log.warning("the sentinels deviate as a maintainer has accepted", extra={"deviations": found["accepted"]})
            if self.deviations:
                fix = "if this machine is right all the same: espalier sentinels --accept WHY"
                extra = {"deviations": self.deviations, "fix": fix}
                log.error("not published: this machine no longer measures what it did", extra=extra)
        return not self.deviations

    def _look(self) -> Any:
        try:
            self.meanwhile()
            return stages.ask(self.main, "sentinels", WALLED, *self.selection, meanwhile=self.meanwhile)
        except (Interrupted, Over):
            raise
        except EspalierError as error:
            self._failure = error
            raise

    def sift(self, store: Store, slugs: Iterable[str]) -> None:
        """Take out what was made in an environment in which they never passed: it is measured anew."""
        known = read_ledger(self.path)  # what is forgotten is measured anew
        for slug in slugs:
            odd = [record for record in store.by(slug) if not self._vouch_for(record, known)]
            if odd:
                log.warning("made where no sentinel has passed, so it is measured anew",
                            extra={"submission": slug, "records": len(odd)})  # fmt: skip
                with store.writing():
                    store.discard(odd)

    def _vouch_for(self, record: Record, known: Iterable[str]) -> bool:
        """A benchmark of which no sentinel is published has nothing to be compared with yet."""
        return record.benchmark not in self._watched or place(record.made_in) in known

    def _remember(self, environments: Iterable[str], *, well: bool) -> None:
        known = {one: when for one, when in read_ledger(self.path).items() if one not in environments}
        known |= dict.fromkeys(environments, self.now()) if well else {}
        write_ledger(self.path, dict(sorted(known.items(), key=lambda item: item[1])[-KEPT:]))
