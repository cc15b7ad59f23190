"""What a method achieved on one board: a part of its page, which follows from its own records and the dense control's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from evaluator.grid import Grid
from evaluator.records import Churn
from evaluator.records.audit import Place
from evaluator.records.record import CONTROLS
from leaderboard import facts, reported, statistics, words
from leaderboard.charts import tradeoff
from leaderboard.drawings import single
from leaderboard.entries import Axis, Phase, Point, Target
from leaderboard.facts import Fact
from leaderboard.load import LOCAL, Board, BoardKey
from leaderboard.pages import beside, forgetting
from leaderboard.pages.details import Group, Latency, Layer, groups, latency, layers
from leaderboard.pages.forgetting import Table
from leaderboard.pages.site import Chart, Content, Part, Site, Standings, board_of, first_of, title_of
from leaderboard.reported import Claim
from leaderboard.rows import Row
from leaderboard.series import Look
from leaderboard.sources import source
from leaderboard.standings import Standing
from leaderboard.statistics import Interval
from leaderboard.words import TrackWords

TEMPLATE = "result.html"


@dataclass(frozen=True)
class Sources:
    """All that a result follows from: what is not here, it cannot show.

    ``standings`` have this method alone, without ranks; ``variants`` are the controls that stand beside any on the board.
    """

    slug: str
    title: str
    look: Look
    grid: Grid
    standings: Standings
    variants: list[str]
    claims: list[Claim]
    churn: Mapping[Place, Churn]
    signer: str | None

    @property
    def board(self) -> Board:
        return board_of(self.standings)

    @property
    def first(self) -> Standing:
        return first_of(self.standings)

    @property
    def benchmark(self) -> str:
        return self.grid.benchmarks[self.board.key.benchmark].title


@dataclass(frozen=True)
class Line:
    """One target: both phases, differences to the controls, and cost; ``stress``: beyond those that are ranked."""

    target: Target
    points: dict[Phase, Point]
    differences: dict[str, Interval]
    pruning_seconds: Interval
    pruning_epochs: Interval
    pruning_memory_mb: Interval
    retraining_seconds: Interval
    trainability: Interval
    stress: bool


@dataclass(frozen=True)
class Result:
    """All of a method on one board."""

    slug: str
    method: str
    look: Look
    key: BoardKey
    title: str
    benchmark: str
    track: TrackWords
    names: dict[str, str]
    variants: list[str]
    command: str
    trains: bool
    signer: str | None
    phases: list[Phase]
    axes: list[tuple[str, str]]
    """A switch of its charts, the targets' own axis first; empty where there is one."""
    lines: list[Line]
    charts: list[Chart]
    layers: list[Layer]
    groups: list[Group]
    latency: Latency | None
    targets: list[Target]
    forgetting: list[Table]
    records: list[Row]
    shared: list[Fact]

    @property
    def told(self) -> bool:
        """Whether reported figures stand in its charts."""
        return any(row["m"].startswith(reported.NAME) for one in self.charts for row in one.spec["datasets"]["means"])

    @property
    def measured(self) -> set[str]:
        """Targets that have records, failed ones too."""
        return {row.target for row in self.records}


def part(site: Site, standings: Standings, slug: str) -> Part:
    """For the page of a method that has records on the board."""
    key = board_of(standings).key
    sources = Sources(
        slug=slug,
        title=site.titles[slug],
        look=site.looks[slug],
        grid=site.grid,
        standings={phase: one.alone(slug) for phase, one in standings.items()},
        variants=first_of(standings).variants,
        claims=beside.claims(site, slug, key.benchmark),
        churn=site.results.churn.get((key.origin, key.benchmark, slug), {}),
        signer=None if key.origin == LOCAL else site.results.signers.get((key.benchmark, slug)),
    )
    return Part(TEMPLATE, source(sources), lambda: _content(sources))


def _content(sources: Sources) -> Content:
    found = result(sources)
    return Content({"result": found}, found.charts)


def result(sources: Sources) -> Result:
    """Everything that the template shows."""
    board, first, grid = sources.board, sources.first, sources.grid
    own = [row for row in board.records if row.variant == "method"]
    targets, measured = first.frame.targets, {row.target for row in own}
    lines = [_line(sources, own, position) for position in range(len(targets) + len(first.frame.stress))]
    lines = [line for line in lines if not line.stress or line.target.label in measured]
    usual = grid.recipe_name(board.key.benchmark, board.track) == board.key.recipe
    return Result(
        slug=sources.slug,
        method=sources.title,
        look=sources.look,
        key=board.key,
        title=title_of(board, grid),
        benchmark=sources.benchmark,
        track=words.TRACKS[board.key.track],
        names=words.CONTROLS[board.key.division],
        variants=sources.variants,
        command="" if usual else f" --recipe {board.key.recipe}",
        trains=words.trains(board.key.track),
        signer=sources.signer,
        phases=list(sources.standings),
        axes=[(axis, axis) for axis in first.axes if axis] if len(first.axes) > 1 else [],
        lines=lines,
        charts=[_chart(sources, one, axis) for one in sources.standings.values() for axis in one.axes],
        layers=layers(own, targets),
        groups=groups(own, targets),
        latency=latency(own, board.dense_rows, targets),
        targets=targets,
        forgetting=forgetting.tables(sources.churn, grid, board, sources.slug),
        records=board.records,
        shared=facts.shared(board.records),
    )


def _line(sources: Sources, own: list[Row], position: int) -> Line:
    entries = {phase: entry for phase, one in sources.standings.items() if (entry := one.entry(sources.slug)) is not None}
    frame = sources.first.frame
    target = (frame.targets + frame.stress)[position]
    at = [row for row in own if row.target == target.label]
    return Line(
        target=target,
        points={phase: (entry.points + entry.stress)[position] for phase, entry in entries.items()},
        differences=_differences(sources.first, sources.slug, position),
        pruning_seconds=_over(at, "pruning_seconds"),
        pruning_epochs=_over(at, "pruning_epochs"),
        pruning_memory_mb=_over(at, "pruning_memory_mb"),
        retraining_seconds=_over(at, "retraining_seconds"),
        trainability=_over(at, "trainability"),
        stress=target in frame.stress,
    )


def _over(rows: list[Row], column: str) -> Interval:
    return statistics.interval([value for row in rows if (value := getattr(row, column)) is not None])


def _differences(standing: Standing, slug: str, position: int) -> dict[str, Interval]:
    """Method minus control, paired by seed."""
    entry = standing.entry(slug)
    if entry is None:
        return {}
    mine = standing.accuracies(entry, position)
    controls = {control.variant: standing.accuracies(control, position) for control in standing.controls.get(slug, [])}
    return {name: statistics.paired(mine, controls[name]) for name in CONTROLS if name in controls}


def _chart(sources: Sources, standing: Standing, axis: Axis | None) -> Chart:
    key = standing.board.key
    phase = words.TRACKS[key.track].phases[standing.frame.phase]
    drawing = single(standing, sources.slug, axis, sources.look, sources.title)
    if axis is not None and standing.frame.phase == "after":
        drawing = reported.beside(drawing, sources.claims, axis)
    spec = tradeoff(drawing)
    caption = words.caption(axis, key.division)
    label = f"{caption} on {sources.benchmark}, {phase}: {sources.title} and its controls."
    name = f"{key.benchmark}-{standing.id}-{axis or 'pattern'}"
    return Chart(name, f"{caption}, {phase}", label, spec, axis if len(standing.axes) > 1 else None,
                 drawn=axis == standing.axes[0])  # fmt: skip
