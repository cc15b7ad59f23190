"""Records to boards: what may stand in one table, and nothing else beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple, cast, get_args

import numpy as np

from evaluator.canonical import digest
from evaluator.grid import Grid
from evaluator.grid.cells import Division, Track
from evaluator.records import AllowedSigners, Audits, Change, Changes, Churn, Store
from evaluator.records.acceptance import Acceptance, acceptances
from evaluator.records.audit import Place
from evaluator.records.previous import previous
from evaluator.records.record import DENSE
from evaluator.records.signatures import published_files
from evaluator.repository import Repository
from leaderboard.freshness import Freshness
from leaderboard.kept import NOTHING, Kept
from leaderboard.reading import read
from leaderboard.rows import Row, source_of
from leaderboard.versions import Remeasuring, Shown, Table, choose

PUBLISHED, LOCAL = "published", "local"


class BoardKey(NamedTuple):
    """Figures are comparable only within one of these."""

    benchmark: str
    track: str
    division: str
    recipe: str
    device_class: str
    origin: str

    @property
    def anchor(self) -> str:
        """Identifier within a page; the benchmark is the page."""
        return "-".join([self.track, self.division, self.recipe, self.device_class, self.origin])

    def records(self, slug: str) -> str:
        """Path of the page that shows the records of a method, or of the dense control, one by one."""
        return f"records/{slug}/{self.benchmark}-{self.anchor}.html"

    def record(self, row: Row) -> str:
        """Path and fragment of one record."""
        return f"{self.records(row.submission)}#{row.target}-{row.variant}-{row.seed}"


@dataclass(frozen=True)
class Board:
    """All records of one key, and those of its dense control (``dense_rows``, one per seed).

    ``remeasuring``: they are of the version before, and how far the new one is. ``stress``: targets beyond the ranked ones.
    """

    key: BoardKey
    records: list[Row]
    dense_rows: list[Row]
    remeasuring: Remeasuring | None = None
    stress: frozenset[str] = frozenset()

    @property
    def track(self) -> Track:
        return cast(Track, self.key.track)

    @property
    def division(self) -> Division:
        return cast(Division, self.key.division)

    @cached_property
    def by_submission(self) -> dict[str, list[Row]]:
        """Slug -> its records, in the order of the store."""
        found: dict[str, list[Row]] = {}
        for row in self.records:
            found.setdefault(row.submission, []).append(row)
        return found

    @cached_property
    def sources(self) -> dict[str, str]:
        """Slug -> what its records follow from, as one digest; asked for by everything that is kept of them."""
        return {slug: digest([source_of(row) for row in rows]) for slug, rows in self.by_submission.items()}

    @cached_property
    def dense_source(self) -> str:
        """The same of the dense control."""
        return digest([source_of(row) for row in self.dense_rows])

    def alone(self, slug: str) -> Board:
        """One method, with its controls and the dense one: what follows from these records, whatever others there are."""
        board = Board(self.key, self.by_submission.get(slug, []), self.dense_rows, stress=self.stress)
        known = {name: one for name, one in self.sources.items() if name == slug}
        board.__dict__.update(sources=known, dense_source=self.dense_source)  # found already
        return board

    @cached_property
    def unsandboxed(self) -> list[str]:
        """Slugs of the methods with a record that was made without a sandbox."""
        return [slug for slug, rows in self.by_submission.items() if any(row.sandbox == "none" for row in rows)]

    @cached_property
    def images(self) -> int | None:
        """In the test set; None where nothing was scored."""
        return next((row.images for row in self.records if row.images is not None), None)

    @cached_property
    def retraining_seconds(self) -> float:
        """The median of what retraining took the networks of methods, at the ranked targets; 0 where methods train alone."""
        own = (row for row in self.records if (row.variant, row.status) == ("method", "ok"))
        return float(np.median([row.retraining_seconds for row in own if row.target not in self.stress] or [0.0]))


@dataclass(frozen=True)
class Results:
    """Everything that was measured and may be shown.

    ``churn`` is by origin, benchmark and submission, and place; ``signers``, who signed published records, by benchmark and
    submission, has nothing where nobody has to sign. ``changes`` and ``acceptances`` are of what is published.
    """

    rows: list[Row]
    boards: list[Board]
    warnings: list[str] = field(default_factory=list)
    churn: dict[tuple[str, str, str], dict[Place, Churn]] = field(default_factory=dict)
    signers: Mapping[tuple[str, str], str | None] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    acceptances: list[Acceptance] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    """Of the warnings, those that go by themselves once everything is measured anew."""

    @property
    def newest(self) -> str | None:
        """When the newest record was made (UTC, ISO 8601); the site's date."""
        return max((row.created for row in self.rows), default=None)

    def of(self, origin: str) -> list[Row]:
        """What was measured there."""
        return [row for row in self.rows if row.origin == origin]

    @cached_property
    def of_benchmark(self) -> dict[str, list[Row]]:
        """Name -> its records, published ones first."""
        found: dict[str, list[Row]] = {}
        for row in self.rows:
            found.setdefault(row.benchmark, []).append(row)
        return found


def load_results(repository: Repository, grid: Grid, *, local: bool = True, kept: Kept = NOTHING) -> Results:
    """Read the published store and, unless told otherwise, this machine's own.

    Args:
        kept: what files say is taken from there, if they are as they were.

    Raises:
        StoreError: a file of a store, or of an audit beside it, is damaged.
        SignatureError: published records are not signed by whom the repository names.
    """
    warnings: list[str] = []
    signers = _signers(repository.published)
    origins = (PUBLISHED, LOCAL) if local else (PUBLISHED,)
    shown = {origin: _choose(repository, origin, grid, warnings, kept) for origin in origins}
    stale = list(warnings)
    rows = [row for origin in origins for row in _rows(shown[origin], origin, grid, warnings)]
    churn: dict[tuple[str, str, str], dict[Place, Churn]] = {}
    for origin in origins:
        for one in Audits(folder_of(repository, origin)):
            churn.setdefault((origin, one.benchmark, one.submission), {})[one.place] = one
    boards = _boards(rows, grid, shown[PUBLISHED].remeasuring)
    published = repository.published
    return Results(rows, boards, warnings, churn, signers, list(Changes(published)), acceptances(published), stale)


def _signers(published: Path) -> dict[tuple[str, str], str | None]:
    """Who signed each file of records; nobody where the repository names no signers, as a fork may not."""
    signers = AllowedSigners.of(published)
    verdicts = signers.require(published_files(published)) if signers else []
    files = [verdict for verdict in verdicts if verdict.file.parent.parent == published]
    return {(verdict.file.parent.name, verdict.file.stem): verdict.signer for verdict in files}


def folder_of(repository: Repository, origin: str) -> Path:
    """Where the records of an origin are."""
    return repository.published if origin == PUBLISHED else repository.local


def _choose(repository: Repository, origin: str, grid: Grid, warnings: list[str], kept: Kept) -> Shown:
    folder = folder_of(repository, origin)
    present, before = (read(store, origin, kept) for store in (Store(folder), previous(folder)))
    shown = choose(present, before, Freshness(repository, grid), whole=origin == PUBLISHED)
    for (where, of, reason), number in sorted(shown.left_out.items()):
        warnings.append(f"{origin}: {number} stale record(s) of {where}/{of} left out: {reason}")
    return shown


def _rows(shown: Shown, origin: str, grid: Grid, warnings: list[str]) -> list[Row]:
    rows = [*shown.current, *(row._replace(before=True) for row in shown.before.values())]
    unknown = Counter(row.benchmark for row in rows if row.benchmark not in grid.benchmarks)
    for name, count in sorted(unknown.items()):
        warnings.append(f"{origin}: {count} record(s) left out: the grid has no benchmark {name!r}")
    known = [row for row in rows if row.benchmark not in unknown]
    open_door = Counter(f"{row.benchmark}/{row.submission}" for row in known if row.sandbox == "none")
    for place, count in sorted(open_door.items()):
        if origin == PUBLISHED:
            warnings.append(f"published: {count} record(s) of {place} refused: measured without a sandbox")
        else:
            warnings.append(f"local: {count} record(s) of {place} measured without a sandbox")
    return [row for row in known if origin != PUBLISHED or row.sandbox != "none"]


def _boards(rows: list[Row], grid: Grid, remeasuring: Mapping[Table, Remeasuring]) -> list[Board]:
    """Published before local, then benchmarks, tracks and divisions in the order of the grid, other recipes last."""
    found: dict[BoardKey, list[Row]] = {}
    dense: dict[BoardKey, list[Row]] = {}
    fields = attrgetter(*BoardKey._fields)
    for row in rows:
        key = BoardKey._make(fields(row))
        if row.submission == DENSE:
            dense.setdefault(key._replace(division=""), []).append(row)
        else:
            found.setdefault(key, []).append(row)
    boards = []
    for key, own in found.items():
        progress = remeasuring.get(Table(*key[:-1])) if key.origin == PUBLISHED else None
        shared = [row for row in dense.get(key._replace(division=""), []) if row.before == (progress is not None)]
        stress = frozenset(f"{target:g}" for target in grid.stress_of(key.benchmark, cast(Division, key.division)))
        boards.append(Board(key, own, _dense_of(shared, key.division), progress, stress))
    names_in_order = (list(grid.benchmarks), list(get_args(Track)), list(get_args(Division)))

    def place(board: Board) -> tuple[object, ...]:
        key = board.key
        positions = [names.index(name) for names, name in zip(names_in_order, key[:3], strict=True)]
        usual = grid.recipe_name(key.benchmark, board.track) == key.recipe
        return (key.origin != PUBLISHED, *positions, not usual, key)

    return sorted(boards, key=place)


def _dense_of(rows: list[Row], division: str) -> list[Row]:
    """The dense control does not depend on the division: one record serves them all, the board's own first."""
    by_seed: dict[int, Row] = {}
    for row in sorted(rows, key=lambda row: (row.division != division, row.division)):
        by_seed.setdefault(row.seed, row)
    return [by_seed[seed] for seed in sorted(by_seed)]
