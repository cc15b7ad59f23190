"""Everything to take away: tables in three formats, evaluation tables, the literature, citations, and all in one file."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

from evaluator.canonical import digest_file
from leaderboard import citation, evaluation_tables, exports, snapshot
from leaderboard.columns import COLUMNS
from leaderboard.corpus import CORPUS
from leaderboard.load import PUBLISHED
from leaderboard.pages.site import Site
from leaderboard.snapshot import Earlier, Snapshot


@dataclass(frozen=True)
class Downloads:
    """What the data page offers; ``snapshot`` and the citations are there where something is published, ``earlier`` where
    something was."""

    tables: list[exports.Download]
    snapshot: Snapshot | None = None
    bibtex: str = ""
    cff: str = ""
    earlier: list[Earlier] = field(default_factory=list)


def write(site: Site, folder: Path, snapshots: Path | None = None) -> Downloads:
    """Write all files into ``folder``; their names stay, but for the snapshot's. ``snapshots``: those published before."""
    offered = list(exports.write(site.results, site.standings, folder, site.kept))
    shutil.copytree(CORPUS, folder / "literature")
    published = site.results.of(PUBLISHED)
    if not published:
        return Downloads(offered, earlier=snapshot.carry_over(snapshots, folder))
    taken = Snapshot(max(row.created for row in published)[:10], digest_file(folder / "records.csv"), len(published))
    texts = {
        evaluation_tables.FILE: evaluation_tables.text(site),
        "columns.csv": exports.csv_text(("column", "meaning"), ((one.name, one.meaning) for one in COLUMNS)),
        **dict(zip(citation.FILES, (citation.bibtex(site, taken), citation.cff(site, taken)), strict=True)),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
    snapshot.write(taken, folder, [*(f"{one.stem}.parquet" for one in offered if not one.local), *texts])
    bibtex, cff = (texts[name] for name in citation.FILES)
    return Downloads(offered, taken, bibtex, cff, snapshot.carry_over(snapshots, folder))
