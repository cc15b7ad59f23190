"""The class in method.py: that there is one, that it can be called, and that it agrees with the metadata."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evaluator.check.agreement import check_agreement
from evaluator.check.problems import Problem, error, quoted, warning
from evaluator.check.syntax import is_number, last_name

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
        yield from check_agreement(path, method, nodes, metadata)
    yield from _branches(path, nodes)


def _methods(tree: ast.Module) -> list[ast.ClassDef]:
    """The top-level classes that derive from PruningMethod, directly or through one another."""
    known = {"PruningMethod"}
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module == "evaluator.contract":
            known |= {alias.asname for alias in node.names if alias.name == "PruningMethod" and alias.asname}
    found = []
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and any(last_name(base) in known for base in node.bases):
            known.add(node.name)
            found.append(node)
    return found


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
        numbers = [side.value for side in sides if isinstance(side, ast.Constant) and is_number(side)]
        if not any(number not in (0, 1) for number in numbers):
            continue
        for part in ast.walk(node):
            if isinstance(part, ast.Attribute) and part.attr in ("keep", "density", "position", "layers", "shape"):
                return f"{part.attr}"
            if isinstance(part, ast.Name) and part.id == "position":
                return "position"
    return None
