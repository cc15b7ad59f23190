"""Contributed code as highlighted, escaped HTML; colours are classes of the style sheet."""

from __future__ import annotations

from markupsafe import Markup
from pygments import highlight as _highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer


def highlight(code: str) -> Markup:
    """Python source as HTML spans; Pygments escapes the text."""
    return Markup(_highlight(code, PythonLexer(), HtmlFormatter(nowrap=True, classprefix="h-")))  # noqa: S704
