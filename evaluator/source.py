"""Python as text: read, and never run."""

from __future__ import annotations

import ast
import functools
import re
import warnings
from typing import NamedTuple

_COOKIE = re.compile(r"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")


def parse(text: str) -> ast.Module:
    """Its syntax tree. Raises SyntaxError, ValueError, RecursionError or MemoryError, by what Python cannot read."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(text)


class Emptied(NamedTuple):
    """A text without the words of its docstrings, and for each of its lines the number that the line had before."""

    text: str
    lines: tuple[int, ...]


def without_docstrings(text: str) -> str:
    """The text with every docstring emptied; what Python cannot read, or not as UTF-8, stays as it is."""
    return emptied(text).text


@functools.lru_cache(maxsize=1024)
def emptied(text: str) -> Emptied:
    """As :func:`without_docstrings`. Positions come from the syntax tree and the rest is copied, not written anew.

    So whatever versions of Python can read a text agree on the result.
    """
    lines = text.encode().splitlines(keepends=True)  # of bytes: by line ends alone, as Python counts lines
    numbers = list(range(1, len(lines) + 1))
    try:
        docstrings = [] if declares_encoding(text) else _docstrings(parse(text))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        docstrings = []
    for docstring in sorted(docstrings, key=lambda node: node.lineno, reverse=True):
        first, last = docstring.lineno - 1, (docstring.end_lineno or docstring.lineno) - 1
        before, after = lines[first][: docstring.col_offset], lines[last][docstring.end_col_offset :]
        lines[first : last + 1] = [before + b'""' + after]
        numbers[first : last + 1] = [first + 1]
    return Emptied(b"".join(lines).decode(), tuple(numbers))


def declares_encoding(text: str) -> tuple[int, str] | None:
    """(line, name) of an encoding other than UTF-8 by which Python would read the file; None where there is none."""
    for number, line in enumerate(text.split("\n", 2)[:2], 1):
        cookie = _COOKIE.match(line)
        if cookie and cookie[1].lower() not in ("utf-8", "utf8"):
            return number, cookie[1]
    return None


def _docstrings(tree: ast.Module) -> list[ast.Constant]:
    holders = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    bodies = [node.body for node in ast.walk(tree) if isinstance(node, holders)]
    first = [body[0].value for body in bodies if body and isinstance(body[0], ast.Expr)]
    return [node for node in first if isinstance(node, ast.Constant) and isinstance(node.value, str)]
