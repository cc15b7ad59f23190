"""Records to boards: what may stand in one table, and nothing else beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, cast, get_args

import pandas as pd

from evaluator.grid import Grid
from evaluator.grid.cells import Division, Track
from evaluator.records import AllowedSigners, Audits, Change, Changes, Churn, Record, Store
from evaluator.records.acceptance import Acceptance, acceptances
from evaluator.records.audit import Place
from evaluator.records.previous import previous
from evaluator.records.record import DENSE
from evaluator.records.signatures import published_files
from evaluator.repository import Repository
from leaderboard.columns import COLUMNS, LOG
from leaderboard.freshness import Freshness
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

    def record(self, row: Any) -> str:
        """Path and fragment of one record."""
        return f"{self.records(row.submission)}#{row.target}-{row.variant}-{row.seed}"


@dataclass(frozen=True)
class Board:
    """All records of one key (``rows``), and those of its dense control (``dense``, one per seed).

    ``remeasuring``: they are of the version before, and how far the new one is.
    """

    key: BoardKey
    rows: pd.DataFrame
    dense: pd.DataFrame
    remeasuring: Remeasuring | None = None

    @property
    def track(self) -> Track:
        return cast(Track, self.key.track)

    @property
    def division(self) -> Division:
        return cast(Division, self.key.division)

    @cached_property
    def by_submission(self) -> dict[str, list[Any]]:
        """Slug -> its rows, in the order of the store."""
        found: dict[str, list[Any]] = {}
        for row in _tuples(self.rows):
            found.setdefault(str(row.submission), []).append(row)
        return found

    @cached_property
    def dense_rows(self) -> list[Any]:
        """The rows of the dense control."""
        return list(_tuples(self.dense))


def _tuples(frame: pd.DataFrame) -> Iterable[Any]:
    """Rows as tuples with the columns' names; None where there is no value."""
    table = frame.astype(object)
    return table.where(table.notna(), None).itertuples(index=False, name="Row")


@dataclass(frozen=True)
class Results:
    """Everything that was measured and may be shown.

    ``churn`` is by origin, benchmark, submission and place; ``signers``, who signed published records, by benchmark and
    submission, has nothing where nobody has to sign. ``changes`` and ``acceptances`` are of what is published.
    """

    frame: pd.DataFrame
    boards: list[Board]
    warnings: list[str] = field(default_factory=list)
    churn: dict[tuple[str, str, str, Place], Churn] = field(default_factory=dict)
    signers: Mapping[tuple[str, str], str | None] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    acceptances: list[Acceptance] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    """Of the warnings, those that go by themselves once everything is measured anew."""

    @property
    def newest(self) -> str | None:
        """When the newest record was made (UTC, ISO 8601); the site's date."""
        return None if self.frame.empty else str(self.frame["created"].max())


def load_results(repository: Repository, grid: Grid, *, local: bool = True) -> Results:
    """Read the published store and, unless told otherwise, this machine's own.

    Raises:
        StoreError: a file of a store, or of an audit beside it, is damaged.
        SignatureError: published records are not signed by whom the repository names.
    """
    warnings: list[str] = []
    signers = _signers(repository.published)
    origins = (PUBLISHED, LOCAL) if local else (PUBLISHED,)
    shown = {origin: _choose(repository, origin, grid, warnings) for origin in origins}
    stale = list(warnings)
    frame = pd.concat([_frame(shown[origin], origin, grid, warnings) for origin in origins], ignore_index=True)
    churn = {
        (origin, one.benchmark, one.submission, one.place): one
        for origin in origins
        for one in Audits(folder_of(repository, origin))
    }
    boards = _boards(frame, grid, shown[PUBLISHED].remeasuring)
    published = repository.published
    return Results(frame, boards, warnings, churn, signers, list(Changes(published)), acceptances(published), stale)


def _signers(published: Path) -> dict[tuple[str, str], str | None]:
    """Who signed each file of records; nobody where the repository names no signers, as a fork may not."""
    signers = AllowedSigners.of(published)
    verdicts = signers.require(published_files(published)) if signers else []
    files = [verdict for verdict in verdicts if verdict.file.parent.parent == published]
    return {(verdict.file.parent.name, verdict.file.stem): verdict.signer for verdict in files}


def folder_of(repository: Repository, origin: str) -> Path:
    """Where the records of an origin are."""
    return repository.published if origin == PUBLISHED else repository.local


def to_frame(records: Iterable[Record], origin: str) -> pd.DataFrame:
    """One typed row a record."""
    columns = (*COLUMNS, LOG)
    data: dict[str, list[object]] = {column.name: [] for column in columns}
    takers = [(column.value, data[column.name].append) for column in columns]
    for record in records:
        for value, append in takers:
            append(value(record))
    frame = pd.DataFrame({column.name: pd.Series(data[column.name], dtype=column.dtype) for column in columns})
    return frame.assign(origin=pd.Series(origin, index=frame.index, dtype="string"))


def _choose(repository: Repository, origin: str, grid: Grid, warnings: list[str]) -> Shown:
    folder = folder_of(repository, origin)
    shown = choose(Store(folder), previous(folder), Freshness(repository, grid), whole=origin == PUBLISHED)
    for (where, of, reason), number in sorted(shown.left_out.items()):
        warnings.append(f"{origin}: {number} stale record(s) of {where}/{of} left out: {reason}")
    return shown


def _frame(shown: Shown, origin: str, grid: Grid, warnings: list[str]) -> pd.DataFrame:
    old = list(shown.before.values())
    frame = to_frame([*shown.current, *old], origin)
    frame["before"] = [False] * (len(frame) - len(old)) + [True] * len(old)
    unknown = ~frame["benchmark"].isin(list(grid.benchmarks))
    for name, count in frame.loc[unknown, "benchmark"].value_counts().sort_index().items():
        warnings.append(f"{origin}: {count} record(s) left out: the grid has no benchmark {name!r}")
    open_door = (frame["sandbox"] == "none") & ~unknown
    for (benchmark, slug), group in frame[open_door].groupby(["benchmark", "submission"]):
        place = f"{benchmark}/{slug}"
        if origin == PUBLISHED:
            warnings.append(f"published: {len(group)} record(s) of {place} refused: measured without a sandbox")
        else:
            warnings.append(f"local: {len(group)} record(s) of {place} measured without a sandbox")
    refused = open_door if origin == PUBLISHED else open_door & False
    return frame[~unknown & ~refused].reset_index(drop=True)


def _boards(frame: pd.DataFrame, grid: Grid, remeasuring: Mapping[Table, Remeasuring]) -> list[Board]:
    """Published before local, then benchmarks, tracks and divisions in the order of the grid, other recipes last."""
    boards = []
    is_dense = frame["submission"] == DENSE
    dense = frame[is_dense]
    names = list(BoardKey._fields)
    for values, rows in frame[~is_dense].groupby(names, sort=True):
        key = BoardKey(*map(str, values))
        progress = remeasuring.get(Table(*key[:-1])) if key.origin == PUBLISHED else None
        boards.append(Board(key, rows, _dense_of(dense[dense["before"] == (progress is not None)], key), progress))
    names_in_order = (list(grid.benchmarks), list(get_args(Track)), list(get_args(Division)))

    def place(board: Board) -> tuple[object, ...]:
        key = board.key
        positions = [names.index(name) for names, name in zip(names_in_order, key[:3], strict=True)]
        usual = grid.recipe_name(key.benchmark, board.track) == key.recipe
        return (key.origin != PUBLISHED, *positions, not usual, key)

    return sorted(boards, key=place)


def _dense_of(dense: pd.DataFrame, key: BoardKey) -> pd.DataFrame:
    """The dense control does not depend on the division: one record serves them all, the board's own first."""
    fields = ["benchmark", "track", "recipe", "device_class", "origin"]
    match = dense[(dense[fields] == [getattr(key, name) for name in fields]).all(axis=1)]
    own = match.assign(own=match["division"] != key.division).sort_values(["own", "division"], kind="stable")
    return own.drop_duplicates("seed").sort_values("seed").drop(columns="own")
