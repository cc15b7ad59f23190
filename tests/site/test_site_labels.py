"""Where names stand at the ends of lines; that they do in a browser is seen in `test_site_view`."""

from __future__ import annotations

import pytest
from leaderboard import labels
from leaderboard.labels import apart


def test_names_at_the_ends_keep_apart():
    """As near to their lines as can be, in the same order; those without a neighbour stay where they are."""
    moved = apart([0.5, 0.52, 0.9, 0.0, 0.51], room=0.1)
    assert moved == pytest.approx([0.41, 0.61, 0.9, 0.0, 0.51])
    assert apart([0.99, 1.0], room=0.1) == pytest.approx([0.9, 1.0])
    assert apart([0.5] * 5, room=0.5) == pytest.approx([0.0, 0.25, 0.5, 0.75, 1.0])
    assert apart([]) == []


@pytest.mark.parametrize(("ends", "beside"), [
    ({"a": 32, "b": 28}, {"a", "b"}),
    ({"a": 32, "b": 4}, {"a"}),
    ({"a": 32, "b": 4, "c": 5}, {"a", "b", "c"}),
    ({"a": 2, "b": 4}, {"a", "b"}),
])  # fmt: skip
def test_one_line_may_end_early_with_its_name_and_no_more(ends, beside):
    rows = [{"m": series, "x": x} for series, end in ends.items() for x in (1.5, end)]
    named = dict.fromkeys(ends, "name")
    placed = labels.with_ends(rows, named, 32, labels.nearness(rows, named, 1, 32))
    assert {row["m"] for row in placed if row.get("lx") == 32} == beside
    assert all(row["lx"] in (32, row["x"]) for row in placed if "last" in row)
