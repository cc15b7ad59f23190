"""A board: what it lets a method do, charts and a table before and after retraining; and its page, unless it is the only one
of its benchmark, on whose page it then stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from evaluator.grid import Grid
from evaluator.grid.cells import Division
from evaluator.metadata import Submission
from leaderboard import words
from leaderboard.charts import tradeoff
from leaderboard.costs import pruning_seconds
from leaderboard.drawings import compare
from leaderboard.entries import Axis, Phase
from leaderboard.facets import Choice, Traits, all_traits, choice
from leaderboard.formats import TIMES
from leaderboard.load import LOCAL, PUBLISHED, Board
from leaderboard.pages.site import (
    Chart,
    Content,
    Page,
    Part,
    Site,
    Standings,
    board_name,
    board_of,
    board_title,
    first_of,
    title_of,
)
from leaderboard.rows import Row
from leaderboard.series import CROWD, Look
from leaderboard.sources import source
from leaderboard.standings import Standing
from leaderboard.statistics import Interval, interval
from leaderboard.words import TrackWords


@dataclass(frozen=True)
class Summary:
    """A column of summary figures; ``span``: the factors between which it is taken."""

    kind: Literal["area", "reach"]
    axis: Axis
    title: str
    hint: str
    span: str = ""


@dataclass(frozen=True)
class Panel:
    """A board at one phase; ``reasons`` says which summary figures it has not, and why."""

    phase: Phase
    title: str
    note: str
    standing: Standing
    charts: list[Chart]
    fronts: dict[Axis, list[str]]
    volume: Interval
    """Hypervolume of all methods with every figure, on the targets' own axis; of no seeds where they have none."""
    summaries: list[Summary]
    reasons: list[str]
    sparks: dict[str, str]
    """Slug -> its differences from the dense control over the targets, as the path of a line 48 wide and 16 high."""


@dataclass(frozen=True)
class BoardView:
    """A board in words, with its panels, what its reader may choose, and what failed or is missing.

    ``phases`` and ``axes`` are switches: value and words; there is no switch of axes where there is one chart. ``twin``:
    the way to the published board of the same kind, where this one was measured here; empty where there is none.
    """

    board: Board
    title: str
    track: TrackWords
    setup: str
    division: str
    recipe: str | None
    pruning_recipe: str | None
    names: dict[str, str]
    targets: str
    trains: bool
    local: bool
    unsandboxed: list[str]
    panels: list[Panel]
    phases: list[tuple[str, str]]
    axes: list[tuple[str, str]]
    twin: str
    option: str
    """That asks the evaluator for the board's recipe, where it is not the usual one."""
    traits: dict[str, Traits]
    choice: Choice
    failures: list[Row]
    missing: list[str]
    costs: dict[str, float]
    """Seconds that a method takes for one network at the costliest target, without retraining."""

    @property
    def slugs(self) -> list[str]:
        return [entry.slug for entry in self.panels[0].standing.methods]

    @property
    def charts(self) -> list[Chart]:
        return [chart for panel in self.panels for chart in panel.charts]

    @property
    def methods(self) -> int:
        return len(self.slugs)

    @property
    def crowded(self) -> bool:
        """Whether charts draw only the first methods strongly, and with their seeds."""
        return self.methods > CROWD

    @property
    def scratch(self) -> bool:
        return any("scratch-e" in panel.standing.variants for panel in self.panels)


@dataclass(frozen=True)
class Sources:
    """All of the site that a board shows, under the names that it has there: what is not here, it cannot show.

    ``apart``: whether it has a page of its own. ``twin``: as above.
    """

    grid: Grid
    titles: Mapping[str, str]
    looks: Mapping[str, Look]
    submissions: Mapping[str, Submission]
    standings: Standings
    apart: bool
    twin: str = ""


def pages(site: Site) -> Iterator[Page]:
    """A page for every board that has another beside it on its benchmark."""
    for standings in site.standings:
        of, methods = board_of(standings), len(first_of(standings).methods)
        beside = [board_of(one) for one in site.of_benchmark(of.key.benchmark)]
        if len(beside) == 1:
            continue
        benchmark, title = site.grid.benchmarks[of.key.benchmark], board_title(site, of)
        context = {
            "key": of.key,
            "benchmark": benchmark,
            "tier": site.grid.tiers[benchmark.tier],
            "beside": [(board, board_title(site, board)) for board in beside],
        }
        description = f"{title} pruning on {benchmark.title}: {methods} methods, measured and ranked by the same rules."
        yield Page(
            site.page_of(of.key), "board.html", board_name(site, of), description, context, section="home",
            parts=[part(site, standings, apart=True)],
        )  # fmt: skip


def part(site: Site, standings: Standings, *, apart: bool) -> Part:
    """The whole board, on a page of its own or on its benchmark's."""
    slugs = board_of(standings).by_submission
    known = {slug: site.submissions[slug] for slug in slugs if slug in site.submissions}
    titles = {slug: site.titles[slug] for slug in slugs}
    looks = {slug: site.looks[slug] for slug in slugs}
    sources = Sources(site.grid, titles, looks, known, standings, apart, _twin(site, board_of(standings)))
    return Part("board-whole.html", source(sources), lambda: _content(sources))


def _twin(site: Site, own: Board) -> str:
    """Where a board of this machine has its published twin."""
    keys = [board_of(one).key for one in site.of_benchmark(own.key.benchmark)] if own.key.origin == LOCAL else []
    kind = (own.key.track, own.key.division, own.key.recipe, PUBLISHED)
    return next((site.place_of(key) for key in keys if (key.track, key.division, key.recipe, key.origin) == kind), "")


def _content(sources: Sources) -> Content:
    shown = view(sources)
    return Content({"view": shown, "site": sources}, shown.charts)


def view(site: Sources) -> BoardView:
    """Everything that the template shows."""
    board, first = board_of(site.standings), first_of(site.standings)
    key, traits = board.key, all_traits(site.submissions, [entry.slug for entry in first.methods])
    training = site.grid.method_recipe(key.benchmark, board.track)
    division: Division = board.division
    return BoardView(
        board=board,
        title=title_of(board, site.grid),
        track=words.TRACKS[key.track],
        setup=words.setup(key.track),
        division=words.DIVISIONS[key.division],
        recipe=site.grid.recipes[key.recipe].title if key.recipe in site.grid.recipes else None,
        pruning_recipe=training.title if training else None,
        names=words.CONTROLS[key.division],
        targets=asked(site.grid, key.benchmark, division),
        trains=words.trains(key.track),
        local=key.origin == LOCAL,
        unsandboxed=board.unsandboxed,
        panels=[_panel(site, phase, standing) for phase, standing in site.standings.items()],
        phases=[(phase, words.TRACKS[key.track].phases[phase]) for phase in site.standings],
        axes=[("both", "both"), *((axis, axis) for axis in first.axes if axis)] if len(first.axes) > 1 else [],
        twin=site.twin,
        option="" if site.grid.recipe_name(key.benchmark, board.track) == key.recipe else f" --recipe {key.recipe}",
        traits=traits,
        choice=choice(traits),
        failures=[row for rows in board.by_submission.values() for row in rows if row.status != "ok"],
        missing=_missing(site, first),
        costs={entry.slug: pruning_seconds(board, entry.slug) for entry in first.methods},
    )


def asked(grid: Grid, name: str, division: Division) -> str:
    """Such as "speedup 1.5, 2, 3"."""
    values = [value if isinstance(value, str) else f"{value:g}" for value in grid.targets_of(name, division)]
    return f"{grid.targets[division].axis} {', '.join(values)}"


def _panel(site: Sources, phase: Phase, standing: Standing) -> Panel:
    track = words.TRACKS[standing.board.key.track]
    return Panel(
        phase=phase,
        title=track.phases[phase],
        note=track.notes.get(phase, ""),
        standing=standing,
        charts=[_chart(site, standing, axis) for axis in standing.axes],
        fronts={axis: standing.front(axis) for axis in standing.axes if axis and len(standing.methods) > 1},
        volume=_volume(standing),
        summaries=_summaries(standing),
        reasons=_reasons(standing),
        sparks=_sparks(standing),
    )


def _volume(standing: Standing) -> Interval:
    axis = standing.frame.primary
    complete = [entry for entry in standing.methods if entry.mean_drop.gap is None]
    return standing.hypervolume(axis, complete) if axis is not None else interval(())


def _sparks(standing: Standing) -> dict[str, str]:
    """Over the whole board one scale, of the root of the loss: small losses are told apart beside large ones."""
    width = len(standing.frame.targets) - 1
    losses = {
        entry.slug: [(i, max(0.0, -p.drop.mean)) for i, p in enumerate(entry.points) if p.drop.n]
        for entry in standing.methods
    }
    largest = max((loss for own in losses.values() for _, loss in own), default=0.0)
    if not largest or width < 1:
        return {}
    place = {slug: [f"{48 * i / width:.4g} {1 + 14 * (loss / largest) ** 0.5:.3g}" for i, loss in own]
             for slug, own in losses.items()}  # fmt: skip
    return {slug: f"M{'L'.join(places)}" for slug, places in place.items() if len(places) > 1}


def _chart(site: Sources, standing: Standing, axis: Axis | None) -> Chart:
    count = len(standing.methods)
    key = standing.board.key
    spec = tradeoff(compare(standing, axis, site.looks, site.titles))
    caption, phase = words.caption(axis, key.division), words.TRACKS[key.track].phases[standing.frame.phase]
    label = f"{caption}, {phase}: {count} methods. The table below holds the same figures."
    return Chart(f"{standing.id}-{axis or 'pattern'}", caption, label, spec, axis)


def _summaries(standing: Standing) -> list[Summary]:
    """Columns of the figures that are defined on the board, its own axis first; none where the targets have none."""
    materialised = standing.board.key.division == "structured"
    speedup = "materialised speedup" if materialised else "theoretical speedup"
    axes = [axis for axis in standing.axes if axis is not None]
    full = {"compression": "compression", "speedup": speedup}

    def called(axis: Axis) -> str:
        return full[axis] + (", as asked for," if axis == standing.frame.primary else "")

    areas = []
    for axis in axes:
        if (span := standing.frame.span(axis)) is not None:
            over = f"area under accuracy against log2 of {called(axis)} from {span[0]:g} to {span[1]:g}"
            hint = f"{over}, from chance (0) to the dense control (1)"
            areas.append(Summary("area", axis, f"NAUC, {axis}", hint, f"{span[0]:g} to {span[1]:g}{TIMES}"))
    within = "within one point of the dense control; below it, as @½ and @2, within half a point and within two"
    reaches = [Summary("reach", axis, f"{axis[0].upper()}@1", f"largest {called(axis)} {within}") for axis in axes]
    return areas + reaches


def _reasons(standing: Standing) -> list[str]:
    """In words: which summary figures the whole board lacks, and why one ends where it does."""
    frame = standing.frame
    if frame.primary is None:
        return [words.NO_AXIS if standing.board.key.division == words.PATTERNED else words.NO_CURVE]
    reasons = []
    largest = max((target.factor for target in frame.feasible), default=1.0)
    for axis in standing.axes:
        span = frame.span(axis) if axis is not None else None
        if axis is None or axis == frame.primary:
            continue
        if span is not None:
            reasons.append(
                f"NAUC against {axis} ends at {span[1]:g}{TIMES}, a quarter of the largest target: {axis} is not asked for "
                "but comes out, and further on some methods have no point."
            )
        else:
            reasons.append(
                f"NAUC against {axis} runs from 1 to a quarter of the largest target; that is {largest / 4:g} here, "
                "so there is none."
            )
    return reasons


def _missing(site: Sources, standing: Standing) -> list[str]:
    """In words, per method: which cells were not measured."""
    lines = []
    for entry in standing.methods:
        gaps = [f"{point.target.label} ({point.missing})" for point in entry.points if point.missing]
        if gaps:
            lines.append(f"{site.titles[entry.slug]}: {', '.join(gaps)}")
    return lines
