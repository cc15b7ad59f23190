"""The first page: what this is, what has been measured, and one chart that shows it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from leaderboard import words
from leaderboard.charts import tradeoff
from leaderboard.chooser import FILE, menus
from leaderboard.comparison import identifier
from leaderboard.drawings import compare
from leaderboard.evidence import most_telling
from leaderboard.facets import NEEDS
from leaderboard.findings import findings
from leaderboard.load import PUBLISHED
from leaderboard.pages.news import items
from leaderboard.pages.progress import states
from leaderboard.pages.site import Chart, Page, Site, board_of, board_title, first_of
from leaderboard.standings import Standing

SHOWN = 3
"""Findings on this page, the most telling ones."""
NEWEST = 4
"""Entries of the news on this page."""
LIMITS = {60: "1 UNIT-minute", 600: "10 UNIT-minutes", 3600: "1 UNIT-hour", 36_000: "10 UNIT-hours"}
"""Seconds that one network may take in the chooser, in the words of a device: UNIT stands for core or GPU."""


def pages(site: Site) -> Iterator[Page]:
    """The home page."""
    counted = list(states(site).values())
    boards = most_telling(site)
    hero = boards[0] if boards else None
    standing = first_of(hero) if hero is not None else None
    chart = _chart(site, standing, "hero", small=False) if standing is not None else None
    others = [
        (first_of(one), _chart(site, first_of(one), f"small-{board_of(one).key.benchmark}", small=True))
        for one in boards[1:]
    ]
    context: dict[str, Any] = {
        "states": counted,
        "measured": sum(one.measured for one in counted),
        "methods": len(site.slugs),
        "hero": chart,
        "others": [(one, board_title(site, one.board), picture) for one, picture in others],
        "new": items(site)[:NEWEST],
        "standing": standing,
        "board_title": board_title(site, board_of(hero)) if hero is not None else "",
        "findings": findings(site)[:SHOWN],
        "menus": menus(site),
        "menu_file": FILE,
        "first_menu": identifier(standing) if standing is not None else "",
        "asked": NEEDS,
        "limits": LIMITS,
        "local_only": hero is not None and board_of(hero).key.origin != PUBLISHED,
    }
    yield Page(
        "index.html", "home.html", "Espalier",
        "Neural-network pruning, measured: contributed methods rerun by others on a fixed grid.",
        context, [*([chart] if chart else []), *(picture for _, picture in others)], "home",
    )  # fmt: skip


def _chart(site: Site, standing: Standing, name: str, *, small: bool) -> Chart:
    """Where it is small, without names at the ends of lines."""
    key, axis = standing.board.key, standing.axes[0]
    caption = words.caption(axis, key.division)
    phase = words.TRACKS[key.track].phases[standing.frame.phase]
    title = site.grid.benchmarks[key.benchmark].title
    drawing = compare(standing, axis, site.looks, site.titles)
    spec = tradeoff(replace(drawing, named={}) if small else drawing)
    return Chart(name, f"{caption}, {phase}", f"{caption} on {title}, {phase}: one line per method.", spec)
