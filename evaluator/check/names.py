"""Names that are nowhere: of variables, by pyflakes, and of what the job offers."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from evaluator.check.problems import Problem, error, quoted
from evaluator.check.syntax import last_name
from evaluator.errors import nearest

OF_THE_JOB = (
    "allocate", "batch_statistics", "channels", "checkpoints", "costs", "density", "device", "epochs", "epochs_left",
    "generator", "groups", "initialise", "keep", "keep_channels", "keep_highest", "keep_n_of_m", "layers", "loss",
    "loss_and_gradients", "loss_and_gradients_by_batch", "masks", "memory", "model", "pattern", "restore", "shape",
    "snapshot", "speedup", "total", "train", "train_batches", "validation_batches", "visit_channels", "visit_inputs",
    "weights", "without_channels",
)  # fmt: skip
"""What :class:`evaluator.contract.Job` has; a check does not load PyTorch, without which it cannot be asked."""


def check_names(path: Path, tree: ast.Module, nodes: list[ast.AST]) -> Iterator[Problem]:
    """``nodes`` are all nodes of ``tree``."""
    yield from _undefined(path, tree)
    yield from _of_the_job(path, nodes)


def _undefined(path: Path, tree: ast.Module) -> Iterator[Problem]:
    from pyflakes.checker import Checker
    from pyflakes.messages import UndefinedName

    try:
        messages = Checker(tree, filename=path.name).messages
    except (RecursionError, ValueError, MemoryError):  # too deep, or an annotation in quotes that is no code
        return
    first = {str(m.message_args[0]): m.lineno for m in reversed(messages) if isinstance(m, UndefinedName)}
    for name, line in first.items():
        fix = "import it, or write the name as where it is set"
        yield error(path, line, "undefined-name", f"{quoted(name)} is nowhere imported or set", fix)


def _of_the_job(path: Path, nodes: list[ast.AST]) -> Iterator[Problem]:
    jobs = {
        node.arg for node in nodes if isinstance(node, ast.arg) and node.annotation and last_name(node.annotation) == "Job"
    }
    jobs -= {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    for node in nodes:
        if not isinstance(node, ast.Attribute) or not isinstance(node.value, ast.Name) or node.value.id not in jobs:
            continue
        if node.attr not in OF_THE_JOB and not node.attr.startswith("_"):
            fix = nearest(node.attr, OF_THE_JOB, "CONTRIBUTING.md lists what it has")
            yield error(path, node.lineno, "unknown-part", f"the job has no {quoted(node.attr)}", fix)
