"""The scorer: a fresh, trusted process that turns artifacts into figures.

It reads one request line (JSON) from standard input and answers with one line for each thing scored. It is started after
the sandbox that made the artifacts is dead, imports nothing contributed, and ends when its standard input does.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator, Mapping
from typing import IO

import torch
from torch import Tensor

from evaluator.admission import Artifact, admit
from evaluator.canonical import digest
from evaluator.controls import MATCHED
from evaluator.device import set_up
from evaluator.errors import InvalidOutcome
from evaluator.evaluation import Bench, evaluate, misses_target
from evaluator.grid import load_grid
from evaluator.messages import Measurement, Reply, Request, Todo
from evaluator.records import Variant, score_key
from evaluator.repository import Repository

DENSE_ARTIFACT = digest("dense")
"""The artifact digest of a network that nothing was removed from."""


def serve(request: Request, device: torch.device) -> Iterator[Reply]:
    """Score everything in the request, cell by cell."""
    repository = Repository(request.root)
    bench = Bench(repository, load_grid(repository.grid), request.benchmark, device)
    known = dict(request.known)
    for todo in request.todo:
        if todo.outcome is None:
            yield _score(bench, todo, "dense", None, known)
            continue
        yield from _score_outcome(bench, todo, known)


def _score_outcome(bench: Bench, todo: Todo, known: dict[str, Measurement]) -> Iterator[Reply]:
    assert todo.outcome is not None
    base = {position: weight.detach().cpu() for position, weight in bench.weights(bench.base(todo.cell.seed)).items()}
    try:
        artifact = admit(todo.outcome, [(position, tuple(weight.shape)) for position, weight in base.items()])
    except InvalidOutcome as error:
        yield Reply(cell=todo.cell, variant="method", status="invalid_output", reason=str(error))
        return
    for variant in todo.variants:
        chosen = artifact if variant == "method" else _matched(variant, base, artifact, todo.cell.seed)
        reply = _score(bench, todo, variant, chosen, known)
        yield reply
        if reply.status != "ok" and variant == "method":
            return


def _matched(variant: Variant, base: Mapping[int, Tensor], artifact: Artifact, seed: int) -> Artifact:
    return Artifact(masks=MATCHED[variant](base, artifact.masks, seed), weights={})


def _score(bench: Bench, todo: Todo, variant: Variant, artifact: Artifact | None, known: dict[str, Measurement]) -> Reply:
    name = artifact.digest if artifact else DENSE_ARTIFACT
    key = score_key(name, todo.cell, todo.inputs)
    masks = artifact.masks if artifact else {}
    weights = artifact.weights if artifact else {}
    counts = known[key].counts if key in known else bench.count(masks)
    if misses_target(todo.cell, counts, bench.targets[todo.cell.division].tolerance):
        return Reply(
            cell=todo.cell,
            variant=variant,
            status="missed_target",
            reason=f"compression {counts.compression:.3f}, asked for {todo.cell.target}",
            artifact=name,
            measurement=Measurement(counts=counts),
        )
    if key not in known:
        known[key] = evaluate(bench, todo.cell, counts, masks, weights)
    measurement = known[key]
    return Reply(
        cell=todo.cell,
        variant=variant,
        status="ok",
        artifact=name,
        score_key=key,
        measurement=measurement,
    )


def _leave_with_parent(stdin: IO[str]) -> None:
    """Standard input stays open as long as the coordinator lives."""
    stdin.read()
    os._exit(1)


def main() -> None:
    """Entry point of the process; see the module."""
    request = Request.model_validate_json(sys.stdin.readline())
    threading.Thread(target=_leave_with_parent, args=(sys.stdin,), daemon=True).start()
    device = set_up(request.device)
    for reply in serve(request, device):
        sys.stdout.write(reply.model_dump_json() + "\n")
        sys.stdout.flush()
    os._exit(0)  # the thread above still waits


if __name__ == "__main__":
    main()
