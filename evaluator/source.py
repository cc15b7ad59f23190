"""Python as text: read, and never run."""

from __future__ import annotations

import ast
import functools
import warnings


def parse(text: str) -> ast.Module:
    """Its syntax tree. Raises SyntaxError, ValueError, RecursionError or MemoryError, by what Python cannot read."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(text)


@functools.lru_cache(maxsize=1024)
def without_docstrings(text: str) -> str:
    """The text with every docstring emptied; what Python cannot read stays as it is.

    Positions come from the syntax tree and the rest is copied, so that the result is the same under any version of Python.
    """
    try:
        tree = parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return text
    lines = text.encode().splitlines(keepends=True)  # of bytes: by line ends alone, as Python counts lines
    for docstring in sorted(_docstrings(tree), key=lambda node: node.lineno, reverse=True):
        first, last = docstring.lineno - 1, (docstring.end_lineno or docstring.lineno) - 1
        before, after = lines[first][: docstring.col_offset], lines[last][docstring.end_col_offset :]
        lines[first : last + 1] = [before + b'""' + after]
    return b"".join(lines).decode()


def _docstrings(tree: ast.Module) -> list[ast.Constant]:
    holders = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    bodies = [node.body for node in ast.walk(tree) if isinstance(node, holders)]
    first = [body[0].value for body in bodies if body and isinstance(body[0], ast.Expr)]
    return [node for node in first if isinstance(node, ast.Constant) and isinstance(node.value, str)]
