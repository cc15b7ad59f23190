"""Checks of method.py by reading its syntax tree: nothing is imported or run.

They tell a contributor early what the sandbox or a reviewer would refuse. They can be got around; the sandbox cannot.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from evaluator.check.imports import SYSTEM, check_imports
from evaluator.check.method import check_method
from evaluator.check.names import check_names
from evaluator.check.problems import Problem, error, quoted, warning
from evaluator.source import declares_encoding, parse

FORBIDDEN = ("breakpoint", "compile", "exit", "input", "open", "quit", "__file__", "__loader__", "__spec__")
REFLECTION = (
    "delattr", "eval", "exec", "getattr", "globals", "locals", "setattr", "vars", "__builtins__", "__doc__", "__import__",
)  # fmt: skip
"""What reaches anything by its name, and so around the other checks."""
INTROSPECTION = (
    "__bases__", "__builtins__", "__class__", "__closure__", "__code__", "__delattr__", "__dict__", "__doc__",
    "__getattr__", "__getattribute__", "__getstate__", "__globals__", "__loader__", "__mro__", "__reduce__", "__reduce_ex__",
    "__self__", "__setattr__", "__setstate__", "__spec__", "__subclasses__", "attrgetter", "get_field", "methodcaller",
)  # fmt: skip
LONGEST_TEXT = 2000
LONGEST_BYTES = 200
LONGEST_TABLE = 200
"""Constants beyond these are data, and data have no place in a method."""
LONGEST_MODULE = 600
LONGEST_METHOD = 120
"""Lines of code, as :func:`code_lines` counts them."""


def check_code(path: Path, text: str, metadata: dict[str, Any] | None) -> list[Problem]:
    """Every problem of a ``method.py``; ``metadata`` are the values of metadata.yaml, None where they are not to be had."""
    problems = list(_encoding(path, text))
    tree, failure = _parse(path, text)
    if tree is None:
        return [*problems, *([failure] if failure else [])]
    nodes = list(ast.walk(tree))
    problems += check_imports(path, nodes)
    problems += _names(path, nodes)
    problems += _data(path, nodes)
    unknown = list(check_names(path, tree, nodes))
    problems += unknown
    # what it needs is judged by what it asks of the job, so not before that is spelt right
    problems += [p for p in check_method(path, tree, nodes, metadata) if p.code != "needs" or not unknown]
    lines = text.count("\n")
    if lines > LONGEST_MODULE:
        problems.append(warning(path, 1, "long", f"{lines} lines are long for a method", "leave to the job what it offers"))
    elif (lines := code_lines(text, nodes)) > LONGEST_METHOD:
        fix = f"a method has the idea, the contract does the rest: {LONGEST_METHOD} lines at most"
        problems.append(warning(path, 1, "many-lines", f"{lines} lines of code are many for a method", fix))
    return problems


def code_lines(text: str, nodes: Iterable[ast.AST]) -> int:
    """Lines that hold code: no blanks, comments or docstrings; ``nodes`` are all nodes of its tree."""
    prose: set[int] = set()
    for node in nodes:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            prose |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    lines = enumerate(text.splitlines(), 1)
    return sum(1 for number, line in lines if line.strip() and not line.lstrip().startswith("#") and number not in prose)


def _parse(path: Path, text: str) -> tuple[ast.Module | None, Problem | None]:
    try:
        return parse(text), None
    except SyntaxError as failure:
        message = f"not Python: {quoted(failure.msg)}"
        return None, error(path, failure.lineno or 1, "syntax", message, "this is where Python 3.11 stops reading")
    except (ValueError, RecursionError, MemoryError) as failure:
        message = f"Python cannot read this: {type(failure).__name__}"
        return None, error(path, 1, "syntax", message, "write shorter, less nested expressions")


def _encoding(path: Path, text: str) -> Iterator[Problem]:
    """A coding comment would make Python run another text than the one that was reviewed."""
    if declared := declares_encoding(text):
        line, name = declared
        yield error(path, line, "encoding", f"the file declares the encoding {quoted(name)}", "remove the declaration")


def _names(path: Path, nodes: list[ast.AST]) -> Iterator[Problem]:
    own = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    own |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    imports = (node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom))
    imported = {(alias.asname or alias.name).partition(".")[0] for node in imports for alias in node.names}
    for node in nodes:
        if isinstance(node, ast.Name) and node.id in FORBIDDEN and node.id not in own:
            fix = "a method computes with tensors; whatever it needs, the job offers"
            yield error(path, node.lineno, "forbidden-name", f"{quoted(node.id)} has no place in a method", fix)
        elif isinstance(node, ast.Name) and node.id in REFLECTION:
            fix = "write thing.name, after hasattr(thing, 'name') where it may be missing; call your variables otherwise"
            yield error(path, node.lineno, "forbidden-name", f"{quoted(node.id)} has no place in a method", fix)
    for line, name, whose in _accesses(nodes):
        if name in (*INTROSPECTION, *SYSTEM):
            fix = "write it without reaching into Python's internals"
            yield error(path, line, "introspection", f"{quoted(name)} reaches into Python's internals", fix)
        elif name.startswith("_") and not name.startswith("__") and whose not in {"self", "cls"} | (imported - own):
            fix = "use what the job offers; where that is not enough, open an issue: then the contract is wrong"
            yield error(path, line, "private", f"{quoted(name)} is private to the evaluator", fix)


def _accesses(nodes: list[ast.AST]) -> Iterator[tuple[int, str, str]]:
    """(line, attribute, the variable whose it is, if it is one's) wherever an attribute is read or set."""
    for node in nodes:
        if isinstance(node, ast.Attribute):
            yield node.lineno, node.attr, node.value.id if isinstance(node.value, ast.Name) else ""
        elif isinstance(node, ast.MatchClass):
            yield from ((node.lineno, name, "") for name in node.kwd_attrs)


def _data(path: Path, nodes: list[ast.AST]) -> Iterator[Problem]:
    """Long constants: weights, labels or code in disguise."""
    prose = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    for node in nodes:
        size, most = 0, 0
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes) and id(node) not in prose:
            size, most = len(node.value), LONGEST_TEXT if isinstance(node.value, str) else LONGEST_BYTES
        elif isinstance(node, ast.List | ast.Tuple | ast.Set):
            size, most = len(node.elts), LONGEST_TABLE
        elif isinstance(node, ast.Dict):
            size, most = len(node.values), LONGEST_TABLE
        if size > most and isinstance(node, ast.expr):
            fix = "a method learns from the data that the job gives it; it brings none"
            yield error(path, node.lineno, "embedded-data", f"a constant of {size} items is data, not code", fix)
