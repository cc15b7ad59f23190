"""Masks, weights and predictions by what they are: files named by their SHA-256, outside git."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from evaluator.canonical import digest_bytes, digest_file, write_atomically
from evaluator.grid.schema import SHA256


class Artifacts:
    """A content-addressed folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, sha256: str) -> Path:
        return self.folder / sha256[:2] / sha256

    def files(self) -> Iterator[tuple[str, Path]]:
        """Every file with its SHA-256, whole or not."""
        for path in self.folder.glob("[0-9a-f][0-9a-f]/*"):
            if SHA256.fullmatch(path.name) and path == self.path(path.name):
                yield path.name, path

    def holds(self, sha256: str) -> bool:
        """Whether the file is there and whole."""
        path = self.path(sha256)
        return path.is_file() and digest_file(path) == sha256

    def read(self, sha256: str) -> bytes | None:
        """The content; None when the file is missing or is not what its name says."""
        path = self.path(sha256)
        content = path.read_bytes() if path.is_file() else None
        return content if content is not None and digest_bytes(content) == sha256 else None

    def add(self, content: bytes) -> str:
        """Store ``content``; returns its SHA-256."""
        sha256 = digest_bytes(content)
        if not self.holds(sha256):
            write_atomically(self.path(sha256), content)
        return sha256
