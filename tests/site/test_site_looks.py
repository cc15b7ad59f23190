"""Colour and shape of methods: the same on every page, and whoever else is there."""

from __future__ import annotations

from itertools import combinations

from leaderboard.series import COLOURS, SHAPES, Look, in_turn, looks

PINNED = {"lamp": Look(8, "saltire"), "thinet": Look(4, "cross"), "movement": Look(0, "triangle-left")}


def test_looks_do_not_repeat_before_they_have_to():
    slugs = [f"m{i}" for i in range(COLOURS * len(SHAPES))]
    assert len(set(looks(dict.fromkeys(slugs, ("one chart",))).values())) == len(slugs)
    assert len(set(in_turn(slugs).values())) == len(slugs)


def test_a_slug_alone_decides_a_look():
    """Pinned: nobody's colour and shape changes with the next version, nor because of who else is there, unless two of one
    chart would be alike; then one of them changes its shape alone, and nobody else anything."""
    known = {"thinet": "one", "lamp": "two", "movement": "three"}
    pinned = looks({slug: [chart] for slug, chart in known.items()})
    assert pinned == PINNED
    for i in range(300):
        grown = looks({**dict.fromkeys(known, ("one chart",)), f"method-{i}": ["one chart"]})
        changed = [slug for slug in known if grown[slug] != pinned[slug]]
        assert len(changed) <= 1
        assert all(grown[slug].token == pinned[slug].token for slug in changed)
        assert len(set(grown.values())) == len(grown)


def test_only_who_shares_a_chart_yields():
    """Of two that would be alike, where they stand on different boards both look as they would alone."""
    alone = {slug: looks({slug: []})[slug] for slug in (f"m{i}" for i in range(60))}
    one, other = next((a, b) for a, b in combinations(alone, 2) if alone[a] == alone[b])
    assert looks({one: ["a"], other: ["b"]}) == {one: alone[one], other: alone[other]}
    together = looks({one: ["a", "b"], other: ["b"]})
    assert sorted(together[slug] == alone[slug] for slug in (one, other)) == [False, True]
    assert together[one].token == together[other].token
