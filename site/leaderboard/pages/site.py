"""What all pages share: everything that was gathered, and what a page and a chart are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any
from urllib.parse import quote

from evaluator.grid import Grid
from evaluator.metadata import Submission
from evaluator.records.record import DENSE
from leaderboard import words
from leaderboard.charts import Spec
from leaderboard.entries import Axis, Phase
from leaderboard.kept import NOTHING, Kept
from leaderboard.load import LOCAL, Board, BoardKey, Results
from leaderboard.pictures import key
from leaderboard.series import Look, looks
from leaderboard.standings import Standing

Standings = dict[Phase, Standing]
LOST = "404.html"
"""The page that servers show for an address without a page."""


@dataclass(frozen=True)
class Chart:
    """A chart on a page; ``label`` says in words what it shows, for those who do not see it.

    ``axis``: the factor it is drawn against, where the page has a switch for it.
    """

    id: str
    caption: str
    label: str
    spec: Spec
    axis: Axis | None = None
    drawn: bool = True
    """Whether it has a drawing without a script: one behind a switch has none, and a table beside it has its figures."""

    @cached_property
    def key(self) -> str:
        """Of its static drawing."""
        return key(self.spec)


@dataclass(frozen=True)
class Content:
    """What fills a template, and the charts in it."""

    context: dict[str, Any]
    charts: list[Chart] = field(default_factory=list)


@dataclass(frozen=True)
class Part:
    """A piece of a page that follows from its ``source`` alone: kept from build to build, and made only where it is not.

    Its template sees what it is filled with and what its page is called, and nothing else of the site.
    """

    template: str
    source: str
    fill: Callable[[], Content]


@dataclass(frozen=True)
class Page:
    """One HTML file: ``path`` relative to the site's root, with forward slashes."""

    path: str
    template: str
    title: str
    description: str
    context: dict[str, Any] = field(default_factory=dict)
    charts: list[Chart] = field(default_factory=list)
    section: str = ""
    parts: list[Part] = field(default_factory=list)
    """Its template places them as ``parts``, in this order."""
    fill: Callable[[], Content] | None = None
    """Makes context and charts when the page is written, where they would wait for that in much room."""
    anywhere: str = ""
    """The site's root as every address of its host has it, on the page that is shown where there is none."""

    @property
    def root(self) -> str:
        """Way from this page to the site's root."""
        return self.anywhere or "../" * self.path.count("/")

    def filled(self) -> Page:
        """With its context and charts."""
        if self.fill is None:
            return self
        content = self.fill()
        return replace(self, context=content.context, charts=content.charts, fill=None)

    @property
    def specifications(self) -> str:
        """Path of the file that has its charts' specifications, which a reader needs after everything else."""
        return specifications(self.path)

    @property
    def findable(self) -> bool:
        """Whether search engines and others may send readers here."""
        return self.path.endswith(".html") and self.path != LOST


@dataclass(frozen=True, eq=False)
class Site:
    """Everything gathered before the first page is written."""

    grid: Grid
    results: Results
    submissions: dict[str, Submission]
    standings: list[Standings]
    warnings: list[str]
    date: str | None
    notice: str = ""
    """On top of every page, where this is not the published site."""
    url: str = ""
    """Where the site can be read, with a slash at its end; empty where nobody has said so."""
    source: str = ""
    """Where the project's repository is, without one; empty likewise."""
    kept: Kept = NOTHING
    """What builds before have found."""

    @property
    def faults(self) -> list[str]:
        """Of the warnings, those that somebody has to mend: no new measurement will."""
        return [warning for warning in self.warnings if warning not in self.results.stale]

    def address(self, page: Page) -> str:
        """Of a page, in full."""
        return self.url + quote("" if page.path == "index.html" else page.path)

    @cached_property
    def slugs(self) -> list[str]:
        """Every method that was submitted or measured."""
        measured = {row.submission for row in self.results.rows} - {DENSE}
        return sorted(measured | set(self.submissions))

    @cached_property
    def looks(self) -> Mapping[str, Look]:
        """By where a method says that it belongs, and not by what is measured already."""
        charts: dict[str, set[tuple[str, str]]] = {slug: set() for slug in self.slugs}
        for slug, submission in self.submissions.items():
            charts[slug] |= {(track, submission.metadata.division) for track in submission.metadata.tracks}
        for standings in self.standings:
            key = board_of(standings).key
            for slug in board_of(standings).by_submission:
                charts[slug].add((key.track, key.division))
        return looks(charts)

    @cached_property
    def titles(self) -> Mapping[str, str]:
        """Slug -> title; where two submissions have the same title, the slug tells them apart."""
        titles = {slug: self.submissions[slug].metadata.title if slug in self.submissions else slug for slug in self.slugs}
        seen = Counter(titles.values())
        return {slug: title if seen[title] == 1 else f"{title} ({slug})" for slug, title in titles.items()}

    def of_benchmark(self, name: str) -> list[Standings]:
        return self._by_benchmark.get(name, [])

    @cached_property
    def _by_benchmark(self) -> dict[str, list[Standings]]:
        found: dict[str, list[Standings]] = {}
        for standings in self.standings:
            found.setdefault(board_of(standings).key.benchmark, []).append(standings)
        return found

    def page_of(self, key: BoardKey) -> str:
        """Path of the page on which a board stands: its own, or its benchmark's where that has no other."""
        return f"benchmarks/{key.benchmark}{'' if self._alone(key) else '/' + key.anchor}.html"

    def place_of(self, key: BoardKey) -> str:
        """Where links to a board lead: its page, and where it stands there unless that is all of it."""
        return f"{self.page_of(key)}#{key.anchor}" if self._alone(key) else self.page_of(key)

    def _alone(self, key: BoardKey) -> bool:
        return len(self.of_benchmark(key.benchmark)) == 1


def specifications(path: str) -> str:
    """Path of the file with those of the charts of a page."""
    return f"data/charts/{path.removesuffix('.html')}.js"


def first_of(standings: Standings) -> Standing:
    """After retraining, where there is such a score."""
    return next(iter(standings.values()))


def board_of(standings: Standings) -> Board:
    return first_of(standings).board


def board_name(site: Site, board: Board) -> str:
    """Of a board among those of all benchmarks."""
    local = ", on this machine" if board.key.origin == LOCAL else ""
    return f"{site.grid.benchmarks[board.key.benchmark].title}: {board_title(site, board).lower()}{local}"


def board_title(site: Site, board: Board) -> str:
    """Track and division, and the recipe where it is an alternative one."""
    return title_of(board, site.grid)


def title_of(board: Board, grid: Grid) -> str:
    """As ``board_title``."""
    key = board.key
    usual = grid.recipe_name(key.benchmark, board.track) == key.recipe
    other = "" if usual else f" · {grid.recipes[key.recipe].title}"
    return words.title(key.track, key.division) + other
