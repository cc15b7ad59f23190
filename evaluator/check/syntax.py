"""What a node of a syntax tree is."""

from __future__ import annotations

import ast


def last_name(node: ast.expr) -> str | None:
    """``c`` of ``a.b.c``, and of ``c`` alone."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else None


def is_number(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, int | float)
