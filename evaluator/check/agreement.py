"""What method.py does and what metadata.yaml says of it: hyper-parameters, needs, division."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from evaluator.check.problems import Problem, error, quoted, warning
from evaluator.check.syntax import is_number, last_name

READS_DATA = ("train_batches", "validation_batches", "train")
TAKES_GRADIENTS = ("loss_and_gradients", "loss_and_gradients_by_batch", "loss")
LEARNS = ("grad", "after_backward", "learn")
"""Attributes and arguments by which a method may come to gradients as well."""
OUTCOMES = {"unstructured": "keep_highest", "semi-structured": "keep_n_of_m", "structured": "keep_channels"}
"""Division -> what turns scores into its outcome."""
ON_THE_WAY = ("keep", "speedup")
"""Arguments with which it asks for something else than the cell's target."""


def check_agreement(path: Path, method: ast.ClassDef, nodes: list[ast.AST], metadata: dict[str, Any]) -> Iterator[Problem]:
    """Where the two disagree; ``nodes`` are all nodes of the module that ``method`` is the method's class of."""
    yield from _hyperparameters(path, method, metadata.get("hyperparameters"))
    yield from _attributes(path, method, nodes, metadata.get("hyperparameters"))
    yield from _needs(path, nodes, metadata.get("needs"))
    yield from _own_training(path, nodes, metadata.get("needs"))
    yield from _division(path, nodes, metadata.get("division"))


def _hyperparameters(path: Path, method: ast.ClassDef, given: Any) -> Iterator[Problem]:
    """Declared in the class and given in the metadata must be the same, and each must be used."""
    given = given if isinstance(given, dict) else {}
    declared: dict[str, ast.AnnAssign] = {}
    for node in method.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and not _is_class_variable(node.annotation):
            declared[node.target.id] = node
        elif isinstance(node, ast.Assign) and is_number(node.value):
            fix = "move the number to hyperparameters in metadata.yaml, and declare its name and type here"
            yield warning(path, node.lineno, "hidden-hyperparameter", "this number is set where readers do not see it", fix)
    misspelt = _misspelt(declared, given)
    yield from _not_declared(path, method, declared, given, misspelt)
    for name, node in declared.items():
        if name not in given and name not in misspelt.values():
            fix = f"add `{name}:` under hyperparameters in metadata.yaml, or remove the declaration"
            yield error(path, node.lineno, "undeclared-hyperparameter", f"metadata.yaml gives no {quoted(name)}", fix)
        elif node.value is not None:
            fix = "remove the value here"
            message = f"{quoted(name)} has a value here and another in metadata.yaml, which counts"
            yield warning(path, node.lineno, "hidden-hyperparameter", message, fix)
    used = {node.attr for node in ast.walk(method) if isinstance(node, ast.Attribute) and last_name(node.value) == "self"}
    for name in [name for name in given if name in declared and name not in used]:
        fix = "use it, or remove it here and in metadata.yaml"
        yield warning(path, declared[name].lineno, "unused-hyperparameter", f"{quoted(name)} is never used", fix)


def _misspelt(declared: Collection[str], given: Collection[Any]) -> dict[str, str]:
    """Name in the metadata -> the one that is like it and stands in the class alone."""
    spare = [name for name in declared if name not in given]
    strange = [name for name in given if isinstance(name, str) and name not in declared]
    return {name: near[0] for name in strange if (near := get_close_matches(name, spare, n=1))}


def _not_declared(
    path: Path, method: ast.ClassDef, declared: dict[str, ast.AnnAssign], given: dict[Any, Any], misspelt: dict[str, str]
) -> Iterator[Problem]:
    for name, value in given.items():
        if name not in declared:
            line, fix = method.lineno, f"add `{name}: {type(value).__name__}` to the class"
            if name in misspelt:
                line, fix = declared[misspelt[name]].lineno, f"did you mean {misspelt[name]}? Write the same name in both"
            message = f"the hyper-parameter {quoted(name)} of metadata.yaml is not declared in the class"
            yield error(path, line, "undeclared-hyperparameter", message, fix)


def _is_class_variable(annotation: ast.expr) -> bool:
    return any(isinstance(part, ast.Name | ast.Attribute) and last_name(part) == "ClassVar" for part in ast.walk(annotation))


def _attributes(path: Path, method: ast.ClassDef, nodes: list[ast.AST], given: Any) -> Iterator[Problem]:
    """What is read of ``self`` and is nowhere: no hyper-parameter, function or value that some class of the file sets."""
    known = set(given) if isinstance(given, dict) else set()
    for node in nodes:
        if isinstance(node, ast.ClassDef):
            known |= {part.name for part in node.body if isinstance(part, ast.FunctionDef | ast.ClassDef)}
            known |= {name.id for part in node.body for name in ast.walk(part) if isinstance(name, ast.Name) and _set(name)}
        elif isinstance(node, ast.Attribute) and _set(node):
            known.add(node.attr)
    if any(last_name(base) != "PruningMethod" for base in method.bases):
        return  # what it inherits from elsewhere is not to be seen here
    for node in (node for part in method.body for node in _outside_classes(part) if isinstance(node, ast.Attribute)):
        if last_name(node.value) == "self" and not node.attr.startswith("__") and node.attr not in known:
            known.add(node.attr)
            fix = f"declare `{node.attr}: float` in the class, and give its value under hyperparameters in metadata.yaml"
            message = f"{quoted(f'self.{node.attr}')} is nowhere declared or set"
            yield error(path, node.lineno, "undeclared-hyperparameter", message, fix)


def _outside_classes(node: ast.AST) -> Iterator[ast.AST]:
    """``node`` and what is in it, in the order of the text and without classes, whose ``self`` is another."""
    ahead = [node]
    while ahead:
        node = ahead.pop()
        if not isinstance(node, ast.ClassDef):
            yield node
            ahead += reversed([*ast.iter_child_nodes(node)])


def _set(node: ast.Name | ast.Attribute) -> bool:
    return isinstance(node.ctx, ast.Store)


def _needs(path: Path, nodes: list[ast.AST], needs: Any) -> Iterator[Problem]:
    needs = needs if isinstance(needs, dict) else {}
    lines: dict[str, int] = {}
    for node in nodes:
        if isinstance(node, ast.Attribute):
            lines.setdefault(node.attr, node.lineno)
    if (line := _trains(nodes)) and not needs.get("training_epochs"):
        fix = "set needs.training_epochs, and stage: during, or after for the iterative track"
        yield error(path, line, "needs", "job.train is used, but needs.training_epochs is 0", fix)
    for key, calls in (("data", READS_DATA), ("gradients", TAKES_GRADIENTS)):
        called = next((name for name in calls if name in lines), None)
        if called and needs.get(key) is False:
            message = f"job.{called} is used, but needs.{key} is false"
            yield error(path, lines[called], "needs", message, f"set needs.{key}: true in metadata.yaml")
        if not called and needs.get(key) is True and not (key == "gradients" and _learns(nodes)):
            message = f"needs.{key} is true, but none of job.{', job.'.join(calls)} is used"
            yield warning(
                path, 1, "needs", message, f"set needs.{key}: false in metadata.yaml, unless it is reached otherwise"
            )


def _trains(nodes: list[ast.AST]) -> int | None:
    """The line of the first ``job.train(...)``; the ``train()`` of a network is another."""
    return next((call.lineno for name, call in _calls_of_job(nodes) if name == "train"), None)


def _own_training(path: Path, nodes: list[ast.AST], needs: Any) -> Iterator[Problem]:
    """Signs of a training loop in a method that reads labelled data: no epoch of its own would be counted."""
    if not isinstance(needs, dict) or not (needs.get("data") and needs.get("labels")):
        return
    fix = "train the network by job.train, whose epochs are counted; say under deviations what else is optimised"
    line = next((node.lineno for node in nodes if _is_optimiser(node)), None)  # type: ignore[attr-defined]
    if line is not None:
        yield warning(path, line, "own-training", "an optimiser beside labelled data: is this training of its own?", fix)
    elif needs.get("training_epochs") and (line := _descends(nodes)):
        message = "gradients, and numbers taken from others in place: is this training of its own?"
        yield warning(path, line, "own-training", message, fix)


def _descends(nodes: list[ast.AST]) -> int | None:
    """Where gradients are taken outside the hooks of ``job.train``, if something is subtracted in place as well."""
    taken = (node for node in nodes if isinstance(node, ast.Attribute) and _takes_gradients(node))
    return next((node.lineno for node in taken), None) if any(map(_subtracts, nodes)) else None


def _takes_gradients(node: ast.Attribute) -> bool:
    differentiates = node.attr == "grad" and last_name(node.value) == "autograd"
    return differentiates or node.attr in (*TAKES_GRADIENTS, "backward")


def _subtracts(node: ast.AST) -> bool:
    if isinstance(node, ast.AugAssign):
        return isinstance(node.op, ast.Sub)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return node.func.attr == "sub_" or (node.func.attr == "add_" and any(word.arg == "alpha" for word in node.keywords))
    return False


def _is_optimiser(node: ast.AST) -> bool:
    if isinstance(node, ast.ImportFrom):
        named = [f"{node.module}.{alias.name}" for alias in node.names]
        return any(name.startswith("torch.optim") for name in named)
    if isinstance(node, ast.Import):
        return any(alias.name.startswith("torch.optim") for alias in node.names)
    return isinstance(node, ast.Attribute) and node.attr == "optim" and last_name(node.value) == "torch"


def _learns(nodes: list[ast.AST]) -> bool:
    attributes = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    arguments = {node.arg for node in nodes if isinstance(node, ast.keyword)}
    return any(name in attributes | arguments for name in LEARNS)


def _division(path: Path, nodes: list[ast.AST], division: Any) -> Iterator[Problem]:
    """Outcomes of another division, which the job refuses."""
    own = OUTCOMES.get(division) if isinstance(division, str) else None
    others = {helper: other for other, helper in OUTCOMES.items() if helper != own}
    if division == "semi-structured":
        del others["keep_highest"]  # may be a step on the way
    for name, call in _calls_of_job(nodes):
        on_the_way = any(word.arg in ON_THE_WAY for word in call.keywords)
        if own and name in others and not on_the_way:
            message = f"job.{name} is for division: {others[name]}, but division is {division}"
            fix = f"use job.{own}, or set division: {others[name]} in metadata.yaml"
            yield error(path, call.lineno, "division", message, fix)


def _calls_of_job(nodes: list[ast.AST]) -> Iterator[tuple[str, ast.Call]]:
    """(name, call) wherever a function of the job is called."""
    for node in nodes:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and last_name(node.func.value) == "job":
            yield node.func.attr, node
