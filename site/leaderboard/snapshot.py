"""The published data of one day in one file, which names the day and what it holds.

Its files are stored as they are: Parquet is compressed already, and another machine's compression would give other bytes.
"""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Snapshot:
    """What was published up to a day: its number of records, and the SHA-256 of them as CSV."""

    date: str
    digest: str
    records: int

    @property
    def file(self) -> str:
        return f"espalier-{self.date}-{self.digest[:12]}.zip"


def write(snapshot: Snapshot, folder: Path, names: Sequence[str]) -> None:
    """Put files of ``folder`` into the snapshot beside them; the same files give the same bytes."""
    year, month, day = map(int, snapshot.date.split("-"))
    with zipfile.ZipFile(folder / snapshot.file, "w", zipfile.ZIP_STORED) as archive:
        for name in names:
            entry = zipfile.ZipInfo(f"{Path(snapshot.file).stem}/{name}", (year, month, day, 0, 0, 0))
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            with (folder / name).open("rb") as source, archive.open(entry, "w") as target:
                shutil.copyfileobj(source, target)
