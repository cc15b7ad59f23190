"""Downloads: every record and every summary figure, as CSV, JSON and Parquet."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leaderboard.columns import COLUMNS, Column
from leaderboard.entries import Axis, Entry, Phase
from leaderboard.kept import NOTHING, Kept
from leaderboard.lines import as_csv, as_json
from leaderboard.load import LOCAL, PUBLISHED, Results
from leaderboard.rows import Packed, Row, height, to_frame
from leaderboard.standings import Standing

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

FORMATS = ("csv", "json", "parquet")
LOCAL_PREFIX = "local-"
"""How files begin that hold what a machine measured for itself."""
PART = 20_000
"""Records that a group of rows in Parquet has at least."""
ARROW = {"string": "large_string", "float64": "float64", "int64": "int64", "Int64": "int64", "boolean": "bool_"}
"""Type of a column -> its type in Parquet."""
MEMBERS = {"string": "string", "float64": "float64", "int64": "int64"}
"""The same, of what lists hold."""
MANY = 100_000
"""Of so many records the lines are kept; of more, they would take the room of everything else."""
SUMMARY_COLUMNS: tuple[tuple[str, str], ...] = (
    ("benchmark, track, division, recipe, device_class", "the board; figures are comparable only within one"),
    ("phase", "before or after retraining"),
    ("submission, variant", "the method, or a control beside it"),
    ("nauc_compression, nauc_compression_half",
     "mean over seeds, half-width of its 95 % t interval; empty if a cell lacks, for patterns, and for a single target"),
    ("nauc_speedup, nauc_speedup_half", "the same against speedup: theoretical, or materialised if structured"),
    ("rank_compression_low, …_high, rank_speedup_low, …_high", "range of ranks; methods only"),
    ("c_at_0.5, c_at_1, c_at_2, s_at_0.5, s_at_1, s_at_2",
     "largest compression or speedup within so many points of the dense control, geometric mean over seeds"),
    ("…_beyond", "true where a seed never fell below: then the figure is a lower bound"),
    ("mean_drop, mean_drop_half", "mean over the targets of accuracy minus the dense control's, paired by seed, points"),
    ("rank_drop_low, …_high", "range of ranks by mean drop, where the targets are patterns, or there is one only"),
    ("epochs_low, epochs_high", "fewest and most epochs that the method trained for at a target"),
    ("seeds", "fewest seeds behind a figure of the row"),
)  # fmt: skip


@dataclass(frozen=True)
class Download:
    """One table in three formats; ``files`` are names below `data/`."""

    title: str
    rows: int
    stem: str

    @property
    def local(self) -> bool:
        return self.stem.startswith(LOCAL_PREFIX)

    @property
    def files(self) -> list[str]:
        return [f"{self.stem}.{suffix}" for suffix in FORMATS]


def write(
    results: Results, standings: Iterable[dict[Phase, Standing]], folder: Path, kept: Kept = NOTHING
) -> Iterator[Download]:
    """Write the tables: published ones first; those of this machine apart. The same tables give the same bytes."""
    import pandas as pd  # only here, where another process may be at work on it

    folder.mkdir(parents=True, exist_ok=True)
    summary = pd.DataFrame([row for phases in standings for one in phases.values() for row in summary_rows(one)])
    for origin, prefix, words in ((PUBLISHED, "", "published"), (LOCAL, LOCAL_PREFIX, "measured on this machine")):
        if not (rows := results.of(origin)):
            continue
        yield _write_records(rows, folder, Download(f"Records, {words}", len(rows), f"{prefix}records"), kept)
        mine = summary[summary["origin"] == origin].drop(columns="origin") if not summary.empty else summary
        if not mine.empty:
            yield _write_summary(mine, folder, Download(f"Summary figures, {words}", len(mine), f"{prefix}summary"))


def summary_rows(standing: Standing) -> Iterator[dict[str, Any]]:
    """One row per method and control of a standing."""
    for entry in standing.methods:
        yield _summary(standing, entry)
        for control in standing.controls.get(entry.slug, []):
            yield _summary(standing, control)


def _summary(standing: Standing, entry: Entry) -> dict[str, Any]:
    row: dict[str, Any] = {**standing.board.key._asdict(), "phase": standing.frame.phase, "submission": entry.slug,
                           "variant": entry.variant}  # fmt: skip
    axes: tuple[Axis, ...] = ("compression", "speedup")
    for axis in axes:
        interval = entry.area[axis].interval
        row[f"nauc_{axis}"], row[f"nauc_{axis}_half"] = interval.mean, interval.half
        ranks = standing.ranks[axis].get(entry.slug) if entry.variant == "method" else None
        row[f"rank_{axis}_low"], row[f"rank_{axis}_high"] = ranks or (math.nan, math.nan)
        for drop, reach in entry.reach[axis].items():
            name = f"{axis[0]}_at_{drop:g}"
            row[name], row[f"{name}_beyond"] = reach.factor, reach.beyond
    dropped = standing.drop_ranks.get(entry.slug) if entry.variant == "method" else None
    row["rank_drop_low"], row["rank_drop_high"] = dropped or (math.nan, math.nan)
    row["epochs_low"], row["epochs_high"] = entry.epochs or (math.nan, math.nan)
    row["mean_drop"], row["mean_drop_half"] = entry.mean_drop.interval.mean, entry.mean_drop.interval.half
    row["seeds"] = entry.seeds[0]
    return row


def _write_records(rows: Sequence[Row], folder: Path, download: Download, kept: Kept) -> Download:
    """A file of records at a time, since all of them as a table would take more memory than everything else."""
    stem, names = folder / download.stem, [column.name for column in COLUMNS]
    as_objects = partial(as_json, names=names)
    with (
        stem.with_suffix(".csv").open("w", encoding="utf-8", newline="") as csv_file,
        _json(stem) as write_json,
        _parquet(stem) as write_parquet,
    ):
        csv_file.write(",".join(names) + "\n")
        for file, own in groupby(rows, lambda row: row.file):
            places, packed = [row.at for row in own], file.load()[: len(COLUMNS)]
            texts = kept if len(rows) <= MANY and places == list(range(height(packed))) else NOTHING
            csv_file.write(texts.text(f"{file.source}.csv", partial(_chosen, as_csv, packed, places, "")))
            write_json(texts.text(f"{file.source}.json", partial(_chosen, as_objects, packed, places, ",\n")))
            write_parquet(packed, places)
    return download


def _chosen(way: Callable[[Packed], list[str]], packed: Packed, places: Sequence[int], between: str) -> str:
    lines = way(packed)
    return between.join(lines[place] for place in places)


def csv_text(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A small table."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([names, *rows])
    return text.getvalue()


@contextmanager
def _parquet(stem: Path) -> Iterator[Callable[[Packed, Sequence[int]], None]]:
    """Writes rows of a file of records, which are at some places in it; several files make a group."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    # by what pandas notes of its types it reads whole numbers as whole, where some are missing too
    noted = pa.Schema.from_pandas(to_frame([], COLUMNS), preserve_index=False).metadata
    schema = pa.schema([(column.name, _arrow_type(column)) for column in COLUMNS], noted)
    held: list[list[Any]] = [[] for _ in COLUMNS]
    with pq.ParquetWriter(stem.with_suffix(".parquet"), schema) as file:

        def flush() -> None:
            arrays = [pa.array(column, kind) for column, kind in zip(held, schema.types, strict=True)]
            file.write_table(pa.table(arrays, schema=schema))
            for column in held:
                column.clear()

        def write(packed: Packed, places: Sequence[int]) -> None:
            for column, (values, at) in zip(held, packed, strict=True):
                column += [values[place] if at is None else values[at[place]] for place in places]
            if len(held[0]) >= PART:
                flush()

        yield write
        if held[0]:
            flush()


def _arrow_type(column: Column) -> pa.DataType:
    import pyarrow as pa

    return pa.list_(getattr(pa, MEMBERS[column.listed])()) if column.listed else getattr(pa, ARROW[column.dtype])()


def _write_summary(frame: pd.DataFrame, folder: Path, download: Download) -> Download:
    stem = folder / download.stem
    frame.to_csv(stem.with_suffix(".csv"), index=False, lineterminator="\n")
    frame.to_parquet(stem.with_suffix(".parquet"), index=False)
    with _json(stem) as write:
        for row in frame.astype(object).where(frame.notna(), None).to_dict("records"):
            write(json.dumps(row, ensure_ascii=False, allow_nan=False))
    return download


@contextmanager
def _json(stem: Path) -> Iterator[Callable[[str], None]]:
    """Writes a row, which is JSON already, a line."""
    between = "[\n"
    with stem.with_suffix(".json").open("w", encoding="utf-8") as file:

        def write(row: str) -> None:
            nonlocal between
            file.write(between + row)
            between = ",\n"

        yield write
        file.write("\n]\n")
