"""What a docstring says is no part of the code; everything else is."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluator.source import without_docstrings

SUBMISSIONS = sorted((Path(__file__).parents[2] / "submissions").glob("*/method.py"))

TEMPLATE = '''{module}
import torch; X = "text"


class Höhe(dict):
    {outer}
    size: int = 3
    """{attribute}"""

    @staticmethod
    def name() -> str: {line}

    async def prune(self):
        ({inner}
         "goes on in a second text"); text = "ä"  # {comment}

        def helper(): return {value}
'''
PLAIN = {"module": '"m"', "outer": '"o"', "attribute": "a", "line": '"l"', "inner": '"i"', "comment": "c", "value": '"v"'}
DOCSTRINGS = ("module", "outer", "line", "inner")

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
quoted = words.map(repr) | words.map(lambda text: f'r"""{text.translate({34: " ", 92: " ", 0: " ", 13: " "})}"""')


@given(st.fixed_dictionaries(dict.fromkeys(DOCSTRINGS, quoted)))
def test_the_words_of_docstrings_make_no_difference(docstrings: dict[str, str]) -> None:
    written = without_docstrings(TEMPLATE.format(**PLAIN | docstrings))
    assert written == without_docstrings(TEMPLATE.format(**PLAIN))
    assert written == TEMPLATE.format(**PLAIN | dict.fromkeys(DOCSTRINGS, '""')).replace(
        '""\n         "goes on in a second text"', '""'
    )


@pytest.mark.parametrize("place", sorted(set(PLAIN) - set(DOCSTRINGS)))
@given(st.text("abc", min_size=2, max_size=9))
def test_everything_else_does(place: str, other: str) -> None:
    """Texts that are values or follow an attribute, and comments: the code was touched, whatever it is good for."""
    changed = TEMPLATE.format(**PLAIN | {place: repr(other) if place == "value" else other})
    assert without_docstrings(changed) != without_docstrings(TEMPLATE.format(**PLAIN))


@pytest.mark.parametrize("path", SUBMISSIONS, ids=lambda path: path.parent.name)
def test_the_code_of_a_submission_stays_the_same(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body[0] = ast.Expr(ast.Constant(""))
    assert ast.dump(ast.parse(without_docstrings(path.read_text(encoding="utf-8")))) == ast.dump(tree)


UNREADABLE = ('"""No end', "def f(:\n", "a\0b", '"""A"""\0', "(" * 3000, "\ufeff'''x'''\nclass")
OTHER_TEXTS = ("# coding: utf-7\n'x'\n", "#!python\n# vim: set fileencoding=raw_unicode_escape :\n'x'\n")
"""To Python, which would read something else than we do."""


@pytest.mark.parametrize("text", ["", "x = 'no docstring'\n", "def f():\n\tpass\n", *UNREADABLE, *OTHER_TEXTS], ids=repr)
def test_what_has_none_or_cannot_be_read_stays_as_it_is(text: str) -> None:
    assert without_docstrings(text) == text


def test_a_text_is_a_docstring_at_the_first_place_only() -> None:
    assert without_docstrings('"""a"""\n"""b"""\n') == '""\n"""b"""\n'
    assert without_docstrings('x = 1\n"""b"""\n') == 'x = 1\n"""b"""\n'
    assert without_docstrings('b"""a"""\n') == 'b"""a"""\n'
    assert without_docstrings('f"""a"""\n') == 'f"""a"""\n'
    assert without_docstrings("def f():\r\n  '''a\r\n\x0cb'''; x = 1\r\n") == 'def f():\r\n  ""; x = 1\r\n'
