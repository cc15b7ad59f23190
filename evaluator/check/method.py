"""The class in method.py: that there is one, that it can be called, and that it agrees with the metadata."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evaluator.check.problems import Problem, error, quoted, warning

READS_DATA = ("train_batches", "validation_batches", "train")
TAKES_GRADIENTS = ("loss_and_gradients", "loss_and_gradients_by_batch", "loss")
LEARNS = ("grad", "after_backward", "learn")
"""Attributes and arguments by which a method may come to gradients as well."""
NAMES_LAYERS = ("named_children", "named_modules", "named_parameters", "get_submodule", "get_parameter", "state_dict")


def check_method(path: Path, tree: ast.Module, nodes: list[ast.AST], metadata: dict[str, Any] | None) -> Iterator[Problem]:
    """Problems of the method's class; ``nodes`` are all nodes of ``tree``, ``metadata`` is as in ``check_code``."""
    classes = _methods(tree)
    if not classes:
        fix = "write `class MyMethod(PruningMethod):` at the top level, with `from evaluator.contract import PruningMethod`"
        yield error(path, 1, "no-method", "no class derives from PruningMethod", fix)
        return
    for extra in classes[1:]:
        message = f"{quoted(extra.name)} is a second method, after {quoted(classes[0].name)}"
        yield error(path, extra.lineno, "many-methods", message, "one submission is one method; make it a second submission")
    method = classes[0]
    yield from _placeholders(path, tree)
    yield from _shape(path, method)
    if metadata is not None:
        yield from _hyperparameters(path, method, metadata.get("hyperparameters"))
        yield from _needs(path, nodes, metadata.get("needs"))
        yield from _own_training(path, nodes, metadata.get("needs"))
    yield from _branches(path, nodes)


def _methods(tree: ast.Module) -> list[ast.ClassDef]:
    """The top-level classes that derive from PruningMethod, directly or through one another."""
    known = {"PruningMethod"}
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module == "evaluator.contract":
            known |= {alias.asname for alias in node.names if alias.name == "PruningMethod" and alias.asname}
    found = []
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and any(_last_name(base) in known for base in node.bases):
            known.add(node.name)
            found.append(node)
    return found


def _last_name(node: ast.expr) -> str | None:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else None


def _placeholders(path: Path, tree: ast.Module) -> Iterator[Problem]:
    """Documentation that `espalier new` left to be written."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and "TODO" in (ast.get_docstring(node) or ""):
            whose = "the file" if isinstance(node, ast.Module) else quoted(node.name)
            message = f"the docstring of {whose} is still to be filled in"
            yield warning(path, node.body[0].lineno, "placeholder", message, "write it")


def _shape(path: Path, method: ast.ClassDef) -> Iterator[Problem]:
    if not (ast.get_docstring(method) or "").strip():
        fix = "say what it does, after which paper and equation, and where it deviates"
        yield error(path, method.lineno, "no-docstring", f"{quoted(method.name)} has no docstring", fix)
    functions = {node.name: node for node in method.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    prune = functions.get("prune")
    if prune is None:
        fix = "def prune(self, job: Job) -> Pruned:"
        yield error(path, method.lineno, "no-prune", f"{quoted(method.name)} has no function prune", fix)
    else:
        required = len(prune.args.posonlyargs + prune.args.args) - len(prune.args.defaults)
        strict = [
            word for word, default in zip(prune.args.kwonlyargs, prune.args.kw_defaults, strict=True) if default is None
        ]
        callable_ = required <= 2 <= len(prune.args.posonlyargs + prune.args.args) and not strict
        if not callable_ or prune.decorator_list or isinstance(prune, ast.AsyncFunctionDef):
            fix = "def prune(self, job: Job) -> Pruned: without decorators"
            yield error(path, prune.lineno, "prune-signature", "prune cannot be called as prune(job)", fix)
    if "__init__" in functions:
        fix = "remove it: hyper-parameters are set from metadata.yaml, and everything else belongs into prune"
        yield warning(path, functions["__init__"].lineno, "own-init", "the method has an __init__ of its own", fix)


def _hyperparameters(path: Path, method: ast.ClassDef, given: Any) -> Iterator[Problem]:
    """Declared in the class and given in the metadata must be the same, and each must be used."""
    given = given if isinstance(given, dict) else {}
    declared: dict[str, ast.AnnAssign] = {}
    for node in method.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and not _is_class_variable(node.annotation):
            declared[node.target.id] = node
        elif isinstance(node, ast.Assign) and _is_number(node.value):
            fix = "move the number to hyperparameters in metadata.yaml, and declare its name and type here"
            yield warning(path, node.lineno, "hidden-hyperparameter", "this number is set where readers do not see it", fix)
    for name, node in declared.items():
        if name not in given:
            fix = f"add `{name}:` under hyperparameters in metadata.yaml, or remove the declaration"
            yield error(path, node.lineno, "undeclared-hyperparameter", f"metadata.yaml gives no {quoted(name)}", fix)
        elif node.value is not None:
            fix = "remove the value here"
            message = f"{quoted(name)} has a value here and another in metadata.yaml, which counts"
            yield warning(path, node.lineno, "hidden-hyperparameter", message, fix)
    used = {node.attr for node in ast.walk(method) if isinstance(node, ast.Attribute) and _last_name(node.value) == "self"}
    for name, value in given.items():
        if name not in declared:
            fix = f"add `{name}: {type(value).__name__}` to the class"
            message = f"the hyper-parameter {quoted(name)} is not declared in the class"
            yield error(path, method.lineno, "undeclared-hyperparameter", message, fix)
        elif name not in used:
            fix = "use it, or remove it here and in metadata.yaml"
            yield warning(path, declared[name].lineno, "unused-hyperparameter", f"{quoted(name)} is never used", fix)


def _is_class_variable(annotation: ast.expr) -> bool:
    return any(
        isinstance(part, ast.Name | ast.Attribute) and _last_name(part) == "ClassVar" for part in ast.walk(annotation)
    )


def _is_number(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, int | float)


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
    calls = (node.func for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute))
    return next((call.lineno for call in calls if call.attr == "train" and _last_name(call.value) == "job"), None)


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
    differentiates = node.attr == "grad" and _last_name(node.value) == "autograd"
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
    return isinstance(node, ast.Attribute) and node.attr == "optim" and _last_name(node.value) == "torch"


def _learns(nodes: list[ast.AST]) -> bool:
    attributes = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    arguments = {node.arg for node in nodes if isinstance(node, ast.keyword)}
    return any(name in attributes | arguments for name in LEARNS)


def _branches(path: Path, nodes: list[ast.AST]) -> Iterator[Problem]:
    """Signs of a method that treats one cell otherwise than another."""
    fix = "one rule and one set of hyper-parameters for all networks, data sets and targets"
    for node in nodes:
        if isinstance(node, ast.If | ast.IfExp | ast.While) and (cell := _compares_cell(node.test)):
            message = f"a branch on {cell} against a constant: is this tuned to a cell?"
            yield warning(path, node.test.lineno, "per-cell", message, fix)
        elif isinstance(node, ast.Attribute) and node.attr in NAMES_LAYERS:
            message = f"{quoted(node.attr)} gives names of layers, by which a network can be told"
            yield warning(path, node.lineno, "per-cell", message, "address layers by position: job.layers(), job.weights()")


def _compares_cell(test: ast.expr) -> str | None:
    """What of a cell is compared with a number other than 0 and 1 in a condition."""
    for node in ast.walk(test):
        if not isinstance(node, ast.Compare):
            continue
        sides = [node.left, *node.comparators]
        numbers = [side.value for side in sides if isinstance(side, ast.Constant) and _is_number(side)]
        if not any(number not in (0, 1) for number in numbers):
            continue
        for part in ast.walk(node):
            if isinstance(part, ast.Attribute) and part.attr in ("keep", "density", "position", "layers", "shape"):
                return f"{part.attr}"
            if isinstance(part, ast.Name) and part.id == "position":
                return "position"
    return None
