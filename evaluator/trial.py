"""A trial of a submission: cells of one seed, each pruned twice and scored, before anything is measured in earnest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial

from evaluator.expectation import Expectation
from evaluator.grid import Cell
from evaluator.group import Group, run
from evaluator.launch import Scorers
from evaluator.metadata import Submission
from evaluator.pruning import Pruning, prune
from evaluator.records import Record, prune_key
from evaluator.setting import Setting

STEPS = 3
"""Of a cell: two runs of the method, and its score."""
NOT_TRIED = "not tried"
WHY_NOT = "a cell before it ran out of time"

Tell = Callable[[str, int], None]
"""Is told what was done, and of how many steps it is the end."""


@dataclass(frozen=True)
class Tried:
    """One cell: its record, if it was run at all, and whether a second run gave the same outcome, if there was one.

    Args:
        printed: by the method, the end of it.
    """

    cell: Cell
    record: Record | None = None
    repeatable: bool | None = None
    printed: str = ""

    @property
    def fine(self) -> bool:
        return self.status == "ok" and self.repeatable is True

    @property
    def status(self) -> str:
        return self.record.status if self.record else NOT_TRIED

    @property
    def reason(self) -> str | None:
        return self.record.reason if self.record else WHY_NOT

    @property
    def log(self) -> str:
        return self.record.log if self.record else ""

    def as_json(self) -> dict[str, object]:
        record = self.record
        return {
            "cell": self.cell.id,
            "status": self.status,
            "reason": self.reason,
            "repeatable": self.repeatable,
            "compression": record.counts.compression if record and record.counts else None,
            "before": record.before.accuracy if record and record.before else None,
            "after": record.after.accuracy if record and record.after else None,
            "log": self.log,
        }


def try_out(groups: Sequence[Group], setting: Setting, scorers: Scorers, tell: Tell) -> Iterator[Tried]:
    """Every cell of the groups. After one that runs out of time no other is tried: it would be the same again and again."""
    late = False
    for group in groups:
        found: dict[Cell, Tried] = {}
        if not late:
            found = {tried.cell: tried for tried in _try_group(group, setting, scorers, tell)}
            late = any(tried.status == "timeout" for tried in found.values())
        yield from (found.get(planned.cell, Tried(planned.cell)) for planned in group.planned)


def _try_group(group: Group, setting: Setting, scorers: Scorers, tell: Tell) -> Iterator[Tried]:
    submission = group.submission
    assert isinstance(submission, Submission)
    expectation = Expectation(setting.repository, setting.grid)
    keys = {p.cell: prune_key(p.cell, expectation.inputs(submission, p.cell)) for p in group.planned}
    first = _once(group, keys, setting, partial(_tell_run, tell, "first run", STEPS))
    good = {cell: keys[cell] for cell, pruning in first.items() if pruning.status == "ok"}
    second = _once(group, good, setting, partial(_tell_run, tell, "second run", STEPS - 1))
    for record in run(replace(group, planned=tuple(p for p in group.planned if p.cell in first)), setting, scorers):
        cell = record.cell
        again = second.get(cell)
        if again and again.status == "ok":
            tell(f"{cell.id}, scored: {record.status}", 1)
        alike = (again.status, again.outcome) == ("ok", first[cell].outcome) if again else None
        yield Tried(cell, record, alike, (again or first[cell]).log)


def _tell_run(tell: Tell, which: str, left: int, cell: Cell, pruning: Pruning) -> None:
    """With a run that fails, all steps that are left of its cell are over."""
    tell(f"{cell.id}, {which}: {pruning.status}", 1 if pruning.status == "ok" else left)


def _once(
    group: Group, keys: Mapping[Cell, str], setting: Setting, tell: Callable[[Cell, Pruning], None]
) -> dict[Cell, Pruning]:
    """Cells pruned afresh, up to the first that runs out of time."""
    assert group.submission is not None
    done: dict[Cell, Pruning] = {}
    afresh = replace(setting, afresh=True, resumable=False, trial=True)
    with closing(prune(group.submission, group.benchmark, keys, afresh)) as prunings:
        for cell, pruning in prunings:
            done[cell] = pruning
            tell(cell, pruning)
            if pruning.status == "timeout":
                break
    return done
