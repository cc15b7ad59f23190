"""The first page: what this is, what has been measured, and one chart that shows it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from leaderboard.charts import tradeoff
from leaderboard.drawings import compare
from leaderboard.load import PUBLISHED
from leaderboard.pages.site import AXES, PHASES, Chart, Page, Site, Standings, board_of
from leaderboard.standings import reading_targets
from leaderboard.statistics import interval


@dataclass(frozen=True)
class State:
    """How far a benchmark is measured, in cells of methods (controls not counted)."""

    name: str
    title: str
    tier: str
    methods: int
    measured: int
    failed: int
    missing: int
    infeasible: int
    local: int
    dense: float | None

    @property
    def cells(self) -> int:
        return self.measured + self.failed + self.missing


def pages(site: Site) -> Iterator[Page]:
    """The home page."""
    states = [state(site, name) for name in site.grid.benchmarks]
    hero = _hero(site)
    chart, standing = None, None
    if hero is not None:
        standing = hero.get("after") or hero["before"]
        title = site.grid.benchmarks[standing.board.key.benchmark].title
        spec = tradeoff(compare(standing, "compression", site.looks, site.titles))
        label = f"{AXES['compression']} on {title}, {PHASES[standing.frame.phase].lower()}: one line per method."
        chart = Chart("hero", title, label, spec)
    context: dict[str, Any] = {
        "states": states,
        "measured": sum(one.measured for one in states),
        "methods": len(site.slugs),
        "hero": chart,
        "standing": standing,
        "local_only": hero is not None and board_of(hero).key.origin != PUBLISHED,
    }
    yield Page(
        "index.html", "home.html", "Espalier",
        "Neural-network pruning, measured: contributed methods rerun by others on a fixed grid.",
        context, [chart] if chart else [], "home",
    )  # fmt: skip


def state(site: Site, name: str) -> State:
    """Count the cells of one benchmark: a published record before one of this machine."""
    frame = site.results.frame
    rows = frame[(frame["benchmark"] == name) & (frame["variant"] == "method")]
    benchmark = site.grid.benchmarks[name]
    submitted = [slug for slug, one in site.submissions.items() if one.metadata.division in benchmark.divisions]
    methods = sorted(set(rows["submission"].unique()) | set(submitted))
    ordered = rows.sort_values("origin", ascending=False, kind="stable").drop_duplicates(["submission", "cell"])
    impossible, expected = _cells(site, name)
    ordered = ordered[ordered["cell"].isin(expected)]
    ok = int((ordered["status"] == "ok").sum())
    failed = len(ordered) - ok
    dense = interval(frame[(frame["benchmark"] == name) & (frame["variant"] == "dense")]["before_accuracy"])
    return State(
        name=name, title=benchmark.title, tier=site.grid.tiers[benchmark.tier].title, methods=len(methods), measured=ok,
        failed=failed, missing=_per_division(site, name, methods, expected) - ok - failed, infeasible=len(impossible),
        local=int((ordered["origin"] != PUBLISHED).sum()), dense=dense.mean if dense.n else None,
    )  # fmt: skip


def _cells(site: Site, name: str) -> tuple[set[str], dict[str, str]]:
    """Names of the cells that no method can meet; and of all others, each with its division."""
    infeasible: set[tuple[str, str]] = set()
    for standings in site.of_benchmark(name):
        board = board_of(standings)
        targets, _ = reading_targets(board, site.grid)
        infeasible |= {(board.key.division, target.label) for target in targets if not target.feasible}
    impossible: set[str] = set()
    expected: dict[str, str] = {}
    for division in site.grid.benchmarks[name].divisions:
        for cell in site.grid.cells(name, division):
            label = cell.target if isinstance(cell.target, str) else f"{cell.target:g}"
            if (division, label) in infeasible:
                impossible.add(cell.id)
            else:
                expected[cell.id] = division
    return impossible, expected


def _per_division(site: Site, name: str, methods: list[str], expected: dict[str, str]) -> int:
    """Cells that the methods of a benchmark should have, each in its own division."""
    divisions = list(expected.values())
    only = site.grid.benchmarks[name].divisions[0]
    chosen = [site.submissions[slug].metadata.division if slug in site.submissions else only for slug in methods]
    return sum(divisions.count(division) for division in chosen)


def _hero(site: Site) -> Standings | None:
    """The most telling board: published before local, a later tier before an earlier one, then the most records."""
    tiers = list(site.grid.tiers)

    def telling(standings: Standings) -> tuple[bool, int, int]:
        board = board_of(standings)
        tier = site.grid.benchmarks[board.key.benchmark].tier
        return (board.key.origin == PUBLISHED, tiers.index(tier), len(board.rows))

    return max(site.standings, key=telling, default=None)
