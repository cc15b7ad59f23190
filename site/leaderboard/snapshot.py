"""The published data of one day in one file, which names the day and what it holds.

Its files are stored as they are: Parquet is compressed already, and another machine's compression would give other bytes.
"""

from __future__ import annotations

import re
import shutil
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evaluator.canonical import digest_file

_NAME = re.compile(r"espalier-(\d{4}-\d\d-\d\d)-[0-9a-f]{12}\.zip")


@dataclass(frozen=True)
class Snapshot:
    """What was published up to a day: its number of records, and the SHA-256 of them as CSV."""

    date: str
    digest: str
    records: int

    @property
    def file(self) -> str:
        return f"espalier-{self.date}-{self.digest[:12]}.zip"


@dataclass(frozen=True)
class Earlier:
    """A snapshot that was published before, as it was: whoever cited it still finds it.

    ``digest``: the SHA-256 of the file.
    """

    file: str
    date: str
    size: int
    digest: str


def carry_over(source: Path | None, folder: Path) -> list[Earlier]:
    """Copy the snapshots in ``source`` that are not in ``folder`` yet; the newest first."""
    found = []
    for path in sorted(source.iterdir(), reverse=True) if source is not None and source.is_dir() else ():
        name = _NAME.fullmatch(path.name)
        if name and path.is_file() and not path.is_symlink() and not (folder / path.name).exists():
            shutil.copyfile(path, folder / path.name)
            found.append(Earlier(path.name, name[1], path.stat().st_size, digest_file(path)))
    return found


def write(snapshot: Snapshot, folder: Path, names: Sequence[str]) -> None:
    """Put files of ``folder`` into the snapshot beside them; the same files give the same bytes."""
    year, month, day = map(int, snapshot.date.split("-"))
    with zipfile.ZipFile(folder / snapshot.file, "w", zipfile.ZIP_STORED) as archive:
        for name in names:
            entry = zipfile.ZipInfo(f"{Path(snapshot.file).stem}/{name}", (year, month, day, 0, 0, 0))
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            with (folder / name).open("rb") as source, archive.open(entry, "w") as target:
                shutil.copyfileobj(source, target)
