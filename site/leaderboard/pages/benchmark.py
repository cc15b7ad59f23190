"""A page per benchmark: what is common to its boards, and what each says at a glance; a single one stands there whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from evaluator.grid.schema import Benchmark
from leaderboard import words
from leaderboard.charts import tradeoff
from leaderboard.drawings import compare
from leaderboard.load import LOCAL, Board
from leaderboard.pages import board
from leaderboard.pages.progress import State, Tally, states
from leaderboard.pages.site import Chart, Content, Page, Site, Standings, board_of, board_title, first_of
from leaderboard.standings import Standing
from leaderboard.statistics import Interval

NAMED = 5
"""So many methods of a tied group have their names on a card."""


@dataclass(frozen=True)
class Card:
    """One board among others: who leads, how much is measured, and where all of it is.

    ``best`` share rank 1, in the order of the table; ``value`` is the ``figure`` of the first.
    ``absent``: methods that may stand there and do not.
    """

    board: Board
    title: str
    href: str
    targets: str
    local: bool
    unsandboxed: list[str]
    chart: Chart
    standing: Standing
    best: list[str]
    figure: str
    value: Interval
    absent: list[str]
    tally: Tally

    @property
    def named(self) -> list[str]:
        return self.best if len(self.best) <= NAMED + 1 else self.best[:NAMED]


def pages(site: Site) -> Iterator[Page]:
    """One page for every benchmark of the grid, measured or not."""
    for name, benchmark in site.grid.benchmarks.items():
        found = site.of_benchmark(name)
        description = f"Pruning methods on {benchmark.title}: accuracy against compression and speedup, measured."
        yield Page(
            f"benchmarks/{name}.html", "benchmark.html", benchmark.title, description, section="home",
            parts=[board.part(site, found[0], apart=False)] if len(found) == 1 else [],
            fill=partial(_content, site, name, benchmark),
        )  # fmt: skip


def _content(site: Site, name: str, benchmark: Benchmark) -> Content:
    found = site.of_benchmark(name)
    cards = [_card(site, standings) for standings in found] if len(found) > 1 else []
    context: dict[str, Any] = {
        "name": name,
        "benchmark": benchmark,
        "tier": site.grid.tiers[benchmark.tier],
        "dataset": site.grid.datasets[benchmark.dataset],
        "architecture": site.grid.architectures[benchmark.architecture],
        "dense_recipe": site.grid.recipes[benchmark.dense_recipe] if benchmark.dense_recipe else None,
        "retraining_recipe": site.grid.recipes[benchmark.retraining_recipe],
        "tracks": [words.TRACKS[track].title.lower() for track in benchmark.tracks],
        "digest": site.grid.benchmark_digest(name),
        "cards": cards,
        "waiting": _waits(states(site)[name]),
    }
    return Content(context, [card.chart for card in cards])


def _waits(progress: State) -> bool:
    """Whether nothing can be measured yet."""
    return progress.measured + progress.failed + progress.missing == 0 and progress.waiting > 0


def _card(site: Site, standings: Standings) -> Card:
    of, first = board_of(standings), first_of(standings)
    key, axis, absent = of.key, first.frame.primary, _absent(site, first)
    best = [entry.slug for entry in first.methods if first.ranking().get(entry.slug, (0, 0))[0] == 1]
    return Card(
        board=of,
        title=board_title(site, of),
        href=site.page_of(key),
        targets=board.asked(site.grid, key.benchmark, of.division),
        local=key.origin == LOCAL,
        unsandboxed=of.unsandboxed,
        chart=_chart(site, first),
        standing=first,
        best=best,
        figure="Mean drop" if axis is None else f"NAUC, {axis}",
        value=first.figures[best[0]].interval if best else first.figures[first.methods[0].slug].interval,
        absent=absent,
        tally=_tally(first, len(absent)),
    )


def _chart(site: Site, standing: Standing) -> Chart:
    """Methods alone, on the board's own axis, without names at the ends of lines."""
    key, axis = standing.board.key, standing.axes[0]
    caption, phase = words.caption(axis, key.division), words.TRACKS[key.track].phases[standing.frame.phase]
    drawing = replace(compare(standing, axis, site.looks, site.titles), controls=[], named={})
    label = f"{caption}, {phase}: {len(standing.methods)} methods."
    return Chart(f"card-{key.anchor}", f"{caption}, {phase}", label, tradeoff(drawing))


def _absent(site: Site, standing: Standing) -> list[str]:
    """Nobody is expected to be measured on each machine, and by another recipe than the usual one."""
    key = standing.board.key
    if key.origin == LOCAL or site.grid.recipe_name(key.benchmark, standing.board.track) != key.recipe:
        return []
    kinds = {slug: one.metadata for slug, one in site.submissions.items()}
    able = [slug for slug, kind in kinds.items() if kind.division == key.division and key.track in kind.tracks]
    return [slug for slug in able if standing.entry(slug) is None]


def _tally(standing: Standing, absent: int) -> Tally:
    """Cells of the methods that stand on a board, and of those that may."""
    feasible = [point for entry in standing.methods for point in entry.points if point.target.feasible]
    each = len(standing.frame.feasible) * len(standing.frame.seeds)
    return Tally(
        measured=sum(point.accuracy.n for point in feasible),
        failed=sum(len(point.failed) for point in feasible),
        missing=sum(point.missing for point in feasible) + absent * each,
    )
