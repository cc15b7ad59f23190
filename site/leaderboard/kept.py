"""What is kept from build to build: texts, by the digest of everything that they were made from.

Nothing here is a source: the whole folder can be deleted at any moment, and what is damaged is made again. What has not been
used for longest goes when there is no more room.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path

import evaluator
from evaluator.canonical import digest, digest_bytes

ROOM = 2_000_000_000
"""Bytes that everything kept may take."""


class Kept:
    """A folder of texts; None: nothing is kept."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def read(self, name: str) -> str | None:
        """None where there is none by that name, or it is not as it was written."""
        if self._folder is None:
            return None
        path = self._folder / name
        try:
            head, _, content = path.read_bytes().partition(b"\n")
            os.utime(path)
        except OSError:
            return None
        return content.decode() if digest_bytes(content) == head.decode(errors="replace") else None

    def write(self, name: str, text: str) -> None:
        """Whole or not at all; without waiting for the disk, since it can be made again."""
        if self._folder is None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        part = self._folder / f"{name}.{os.getpid()}.part"
        content = text.encode()
        part.write_bytes(digest_bytes(content).encode() + b"\n" + content)
        part.replace(self._folder / name)

    def text(self, name: str, make: Callable[[], str]) -> str:
        """As it was kept by that name, or else as it is made now, and kept."""
        text = self.read(name)
        if text is None:
            self.write(name, text := make())
        return text

    def sweep(self, room: int = ROOM) -> None:
        """Remove what was not used for longest, until the rest has room."""
        taken = 0
        for state, path in sorted(self._files(), key=lambda one: -one[0].st_mtime_ns):
            taken += state.st_size
            if taken > room:
                Path(path).unlink(missing_ok=True)

    def _files(self) -> Iterator[tuple[os.stat_result, str]]:
        for entry in os.scandir(self._folder) if self._folder and self._folder.is_dir() else ():
            with suppress(FileNotFoundError):  # another build has removed it meanwhile, or given it its name
                yield entry.stat(), entry.path


NOTHING = Kept(None)
LIBRARIES = ("altair", "jinja2", "markupsafe", "numpy", "pydantic", "pygments", "scipy", "vl-convert-python")
"""That have a share in what is kept."""


@cache
def code() -> str:
    """SHA-256 of all code on which what is kept may depend: nothing is taken over from another version."""
    folders = [Path(evaluator.__file__).parent, Path(__file__).parent]
    sources = {
        f"{folder.name}/{path.relative_to(folder)}": digest_bytes(path.read_bytes())
        for folder in folders
        for path in sorted(folder.rglob("*.py"))
    }
    return digest([sources, platform.python_version(), {name: version(name) for name in LIBRARIES}])
