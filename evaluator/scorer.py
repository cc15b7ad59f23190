"""The scorer: a fresh, trusted process that turns artifacts into figures.

For each request line (JSON) on standard input a process is forked that answers with one line for each thing scored; it
comes into being after the sandbox that made the artifacts is dead, and imports nothing contributed. Its parent has
imported PyTorch, computes nothing, and says how it ended. Both end when standard input does.
"""

from __future__ import annotations

import os
import sys
import threading
import traceback
from collections.abc import Iterator
from itertools import groupby
from typing import IO, NoReturn

import torch

from evaluator.admission import Artifact, admit
from evaluator.canonical import digest
from evaluator.channels import bound
from evaluator.controls import control
from evaluator.device import set_up
from evaluator.errors import EspalierError, InvalidOutcome
from evaluator.evaluation import Bench, Candidate, evaluate, first_channels, misses_target
from evaluator.expectation import of_variant
from evaluator.forking import get_ready
from evaluator.grid import Cell, load_grid
from evaluator.grid.cells import pattern
from evaluator.memory import ran_out
from evaluator.messages import Ended, Measurement, Reply, Request, Todo
from evaluator.records import Counts, Variant, score_key
from evaluator.records.record import DENSE_ARTIFACT, MATCHED, SCRATCH
from evaluator.repository import Repository


def serve(request: Request, device: torch.device) -> Iterator[Reply]:
    """Score everything in the request; networks of one seed and recipe are trained side by side."""
    repository = Repository(request.root)
    bench = Bench(repository, load_grid(repository.grid), request.benchmark, device, recipe=request.recipe)
    queue = _Queue(bench, dict(request.known))
    for _, todos in groupby(sorted(request.todo, key=_seed), key=_seed):
        for todo in todos:
            if todo.outcome is None:
                yield from queue.add(todo, "dense", None)
            else:
                yield from _admit(bench, todo, queue)
        yield from queue.empty()  # nobody joins them any more, and whoever stops here has whole cells


def _seed(todo: Todo) -> int:
    return todo.cell.seed


def _admit(bench: Bench, todo: Todo, queue: _Queue) -> Iterator[Reply]:
    assert todo.outcome is not None
    try:
        artifact = admit(todo.outcome, bench.form(todo.cell))
    except InvalidOutcome as error:
        yield Reply(cell=todo.cell, variant="method", status="invalid_output", reason=str(error))
        return
    model = bench.start(todo.cell).cpu()
    weights = {position: weight.detach() for position, weight in bench.weights(model).items()}
    groups = bound(bench.groups, model) if artifact.channels else []
    for variant in todo.variants:
        chosen = artifact
        if variant in MATCHED:
            chosen = control(variant, artifact, weights, groups, pattern(todo.cell.target), todo.cell.seed)
        replies = list(queue.add(todo, variant, chosen))
        yield from replies
        if variant == "method" and any(reply.variant == "method" and reply.cell == todo.cell and reply.status != "ok"
                                       for reply in replies):  # fmt: skip
            return


class _Queue:
    """Networks that wait until enough of one seed and recipe are there to be trained side by side.

    What was measured before under the same key is not measured again, nor twice in one request.
    """

    def __init__(self, bench: Bench, known: dict[str, Measurement]) -> None:
        self.bench = bench
        self.known = known
        self._cohorts: dict[str, list[Candidate]] = {}
        self._askers: dict[str, list[tuple[Todo, Variant, str]]] = {}

    def add(self, todo: Todo, variant: Variant, artifact: Artifact | None) -> Iterator[Reply]:
        """The replies that are ready by now."""
        name = artifact.digest if artifact else DENSE_ARTIFACT
        inputs = of_variant(self.bench.grid, todo.cell, todo.inputs, variant)
        cell = todo.cell._replace(track="at-init") if variant in SCRATCH else todo.cell
        key = score_key(_scored(variant, artifact, name), cell, inputs)
        counts = self.known[key].counts if key in self.known else self.bench.count(artifact or Artifact())
        if artifact is not None and (reason := self._miss(todo.cell, counts, artifact)):
            counted = Measurement(counts=counts)
            yield Reply(
                cell=todo.cell, variant=variant, status="missed_target", reason=reason, artifact=name, measurement=counted
            )
        elif key in self.known:
            yield _reply(todo, variant, name, key, self.known[key])
        elif key in self._askers:
            self._askers[key].append((todo, variant, name))
        else:
            self._askers[key] = [(todo, variant, name)]
            yield from self._enter(Candidate(key, todo.cell, variant, counts, artifact))

    def _miss(self, cell: Cell, counts: Counts, artifact: Artifact) -> str | None:
        grid = self.bench.grid
        return misses_target(cell, counts, dict(artifact.masks), grid.targets[cell.division].tolerance, grid.keep(cell))

    def _enter(self, candidate: Candidate) -> Iterator[Reply]:
        candidate.choose_recipe(self.bench)
        recipe = candidate.recipe.functional() if candidate.recipe else None
        name = digest([candidate.cell.seed, recipe])
        cohort = self._cohorts.setdefault(name, [])
        cohort.append(candidate)
        if len(cohort) >= self.bench.cohort_size:
            yield from self._measure(self._cohorts.pop(name))

    def empty(self) -> Iterator[Reply]:
        """Measure all that still waits."""
        while self._cohorts:
            yield from self._measure(self._cohorts.pop(next(iter(self._cohorts))))

    def _measure(self, cohort: list[Candidate]) -> Iterator[Reply]:
        measured = _together(self.bench, cohort)
        if isinstance(measured, str):
            yield from self._in_less_memory(cohort, measured)
            return
        for candidate, measurement in zip(cohort, measured, strict=True):
            self.known[candidate.key] = measurement
            for todo, variant, name in self._askers.pop(candidate.key):
                yield _reply(todo, variant, name, candidate.key, measurement)

    def _in_less_memory(self, cohort: list[Candidate], said: str) -> Iterator[Reply]:
        """Each half by itself, from the beginning; the failure of a network that does not even fit alone."""
        if len(cohort) > 1:
            yield from self._measure(cohort[: len(cohort) // 2])
            yield from self._measure(cohort[len(cohort) // 2 :])
            return
        counted = Measurement(counts=cohort[0].counts)
        reason = f"too little memory to train and score the network ({said})"
        for todo, variant, name in self._askers.pop(cohort[0].key):
            yield Reply(
                cell=todo.cell, variant=variant, status="out_of_memory", reason=reason, artifact=name, measurement=counted
            )


def _together(bench: Bench, cohort: list[Candidate]) -> list[Measurement] | str:
    """The measurements; what was said where the memory is too small for so many networks side by side."""
    try:
        for candidate in cohort:
            candidate.build(bench)
        return evaluate(bench, cohort)
    except Exception as error:
        said = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        if not ran_out(error, said):
            raise
    for candidate in cohort:
        candidate.drop()
    torch.cuda.empty_cache()  # not above, where the error still holds on to what was computed
    return said


def _scored(variant: Variant, artifact: Artifact | None, name: str) -> str:
    """Digest of what is scored; a network from scratch is known by its widths, whichever channels a method chose."""
    if variant not in SCRATCH or artifact is None:
        return name
    return digest([variant, Artifact(channels=first_channels(artifact)).digest])


def _reply(todo: Todo, variant: Variant, artifact: str, key: str, measurement: Measurement) -> Reply:
    return Reply(cell=todo.cell, variant=variant, status="ok", artifact=artifact, score_key=key, measurement=measurement)


def main() -> None:
    """Entry point of the process; see the module."""
    get_ready()
    while line := sys.stdin.readline():
        pid = os.fork()
        if pid == 0:
            _answer_and_exit(line)
        _, status = os.waitpid(pid, 0)
        _say(Ended(code=os.waitstatus_to_exitcode(status)))


def _answer_and_exit(line: str) -> NoReturn:
    try:
        threading.Thread(target=_leave_with_coordinator, args=(sys.stdin,), daemon=True).start()
        request = Request.model_validate_json(line)
        for reply in serve(request, set_up(request.device)):
            _say(reply)
        os._exit(0)  # the thread above still waits
    except EspalierError as error:
        sys.stderr.write(" ".join(str(error).split()) + "\n")  # the last line is what the record will say
        sys.stderr.flush()
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(1)


def _leave_with_coordinator(stdin: IO[str]) -> None:
    """Standard input stays open as long as the coordinator lives, which sends nothing before we have ended."""
    stdin.read()
    os._exit(1)


def _say(message: Reply | Ended) -> None:
    sys.stdout.write(message.model_dump_json() + "\n")
    sys.stdout.flush()
