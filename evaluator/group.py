"""The cells of one submission on one benchmark: pruned in one warm sandbox, then scored by one fresh scorer.

This is the coordinator's side: it starts the two other processes and turns what they say into records.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from evaluator.artifacts import Artifacts
from evaluator.errors import SandboxError
from evaluator.expectation import Expectation, of_variant
from evaluator.grid import Cell
from evaluator.grid.cells import SETUP
from evaluator.launch import ScorerDied, Scorers
from evaluator.messages import Reply, Request, Todo
from evaluator.metadata import Submission
from evaluator.plan import Planned
from evaluator.pruning import Pruning, prune
from evaluator.records import Cost, Inputs, Record, Status, Variant, controls_of, prune_key
from evaluator.reuse import measured_before
from evaluator.setting import Setting


@dataclass(frozen=True)
class Group:
    """Cells to measure of one submission (None: the dense control) on one benchmark."""

    submission: Submission | None
    benchmark: str
    planned: tuple[Planned, ...]

    @property
    def name(self) -> str:
        return f"{self.planned[0].slug} on {self.benchmark}"


LONG = 60.0
"""Seconds of work in a group for which a sandbox and a scorer of its own, which take some, do not matter."""
WAIT = 1.1
"""How much longer than all on average a worker may be at work; of the estimates that is within what they are worth."""


def make_groups(planned: Sequence[Planned], workers: int = 1, *, apart: bool = False) -> list[Group]:
    """Cells to do, by submission and benchmark, in the plan's order; by seed as well where workers would be idle.

    Args:
        apart: networks gain nothing by being trained together, as on a CPU. Where there is much to do, groups are then
            split by seed, and by target, until all workers have about as much.
    """
    groups, seconds = _grouped(planned), sum(one.seconds or 0 for one in planned)
    for by in (("seed",), ("seed", "target")):
        finer = _grouped(planned, by)
        long = apart and seconds >= LONG * len(finer)
        if (by == ("seed",) and len(groups) < workers) or (long and _some_wait(groups, workers)):
            groups = finer
    return groups


def _some_wait(groups: Sequence[Group], workers: int) -> bool:
    """Whether the last worker ends much later than the others, when each takes the next group as soon as it is free."""
    loads = [0.0] * workers
    for group in groups:
        loads[loads.index(min(loads))] += sum(one.seconds or 0 for one in group.planned)
    return max(loads) > WAIT * sum(loads) / workers


def _grouped(planned: Sequence[Planned], by: Sequence[str] = ()) -> list[Group]:
    groups: dict[tuple[object, ...], list[Planned]] = {}
    for one in planned:
        groups.setdefault((one.slug, one.cell.benchmark, *(getattr(one.cell, name) for name in by)), []).append(one)
    return [Group(cells[0].submission, cells[0].cell.benchmark, tuple(cells)) for cells in groups.values()]


def run(group: Group, setting: Setting, scorers: Scorers) -> Iterator[Record]:
    """Measure a group; yields each record as soon as it is made. Whatever the submission does, that is a record too."""
    expectation = Expectation(setting.repository, setting.grid)
    recipe = setting.recipe
    inputs = {planned.cell: expectation.inputs(group.submission, planned.cell, recipe) for planned in group.planned}
    keys = {cell: prune_key(cell, content) for cell, content in inputs.items()}
    try:
        prunings = dict(prune(group.submission, group.benchmark, keys, setting)) if group.submission else {}
    except (SandboxError, OSError) as error:
        clerk = _Clerk(group, setting, inputs, keys, {})
        yield from (clerk.failure(planned.cell, "method", "infrastructure", str(error)) for planned in group.planned)
        return
    clerk = _Clerk(group, setting, inputs, keys, prunings)
    scorable = []
    for planned in group.planned:
        pruning = prunings.get(planned.cell)
        if pruning is None or pruning.status == "ok":
            scorable.append(planned)
        else:
            yield clerk.failure(planned.cell, "method", pruning.status, pruning.reason)
    if scorable:
        yield from _score(scorable, clerk, scorers)


def _score(scorable: Sequence[Planned], clerk: _Clerk, scorers: Scorers) -> Iterator[Record]:
    setting, group = clerk.setting, clerk.group
    request = Request(
        root=setting.repository.root,
        benchmark=group.benchmark,
        recipe=setting.recipe,
        device=setting.device,
        todo=[clerk.todo(planned) for planned in scorable],
        known=measured_before(group.planned[0].slug, group.benchmark, setting),
    )
    waiting = {(planned.cell, variant): None for planned in scorable for variant in planned.todo}
    try:
        for reply in scorers.score(request):
            waiting.pop((reply.cell, reply.variant), None)
            if reply.variant == "method" and reply.status != "ok":
                for control in controls_of(reply.cell):
                    waiting.pop((reply.cell, control), None)
            yield clerk.record(reply)
    except ScorerDied as error:
        for cell, variant in waiting:
            yield clerk.failure(cell, variant, "infrastructure", error.what)


@dataclass(frozen=True)
class _Clerk:
    """Writes records: what is known of a cell before it is scored, and what the scorer says of it."""

    group: Group
    setting: Setting
    inputs: Mapping[Cell, Inputs]
    keys: Mapping[Cell, str]
    prunings: Mapping[Cell, Pruning]

    def todo(self, planned: Planned) -> Todo:
        pruning = self.prunings.get(planned.cell)
        artifacts = Artifacts(self.setting.repository.artifacts)
        outcome = artifacts.path(pruning.outcome) if pruning and pruning.outcome else None
        return Todo(cell=planned.cell, inputs=self.inputs[planned.cell], outcome=outcome, variants=planned.todo)

    def failure(self, cell: Cell, variant: Variant, status: Status, reason: str | None) -> Record:
        return self.record(Reply(cell=cell, variant=variant, status=status, reason=reason))

    def record(self, reply: Reply) -> Record:
        cell, found = reply.cell, reply.measurement
        pruning = self.prunings.get(cell) if reply.variant == "method" else None
        slug, here = self.group.planned[0].slug, self.setting.environment
        measured_in = (found and found.environment) or here
        return Record(
            **cell._asdict(),
            submission=slug,
            variant=reply.variant,
            recipe=self.setting.grid.recipe_name(cell.benchmark, cell.track, self.setting.recipe),
            setup=SETUP[cell.track],
            status=reply.status,
            reason=reply.reason,
            log="\n".join(part.log for part in (pruning, found) if part and part.log),
            counts=found.counts if found else None,
            before=found.before if found else None,
            after=found.after if found else None,
            trainability=found.trainability if found else None,
            latency=found.latency if found else [],
            cost=Cost(
                pruning_seconds=pruning.seconds if pruning else 0,
                pruning_epochs=pruning.epochs if pruning else 0,
                pruning_memory_mb=pruning.memory_mb if pruning else None,
                retraining_seconds=found.retraining_seconds if found else 0,
                retraining_epochs=found.retraining_epochs if found else 0,
                scoring_seconds=found.scoring_seconds if found else 0,
            ),
            inputs=of_variant(self.setting.grid, cell, self.inputs[cell], reply.variant),
            artifact=reply.artifact,
            prune_key=self.keys[cell],
            score_key=reply.score_key,
            environment=measured_in,
            pruned_in=here if measured_in != here else None,
            created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        )
