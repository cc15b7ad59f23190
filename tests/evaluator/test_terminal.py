"""What the command line prints of others' text: all that can be seen of it, and nothing that cannot."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from evaluator.characters import BLANKS, hidden, seen
from evaluator.terminal import out, print_table, safe

MARKS = "\u061c\u200d\u2060\u202e\ufeff\U000e0041"
"""An Arabic letter mark, two joiners, an override of direction, a byte order mark and a tag."""


@given(st.text(st.characters(exclude_characters="\t")))
@example(f"a{MARKS}b{BLANKS}\x1b[2J")
@example("[red]x[/red] \\[bold]")
@example(":man_scientist: joins two pictures by a character that nobody sees")
def test_nothing_hidden_reaches_a_terminal(text: str) -> None:
    with out.capture() as captured:
        print_table(("what",), [(text,)], title=safe(text))
        out.print(safe(text))
    printed = captured.get()
    assert not any(map(hidden, printed))
    assert seen(text) in printed, "what can be seen stands there as it is"
