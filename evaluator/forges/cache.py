"""Answers kept with their ETag: asking «has it changed since?» costs next to nothing, and on GitHub no quota."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from evaluator.canonical import digest, write_atomically

KEPT_HEADERS = ("link", "x-next-page")


@dataclass(frozen=True)
class Cached:
    """An answer to one address."""

    etag: str
    headers: dict[str, str]
    content: Any


class Cache:
    """Answers by address, the most recently used ones; also in ``folder``, for a runner that is started anew each time.

    Args:
        folder: where they outlive this process; in memory only by default. It holds what the forge said, never a token.
        size: how many are kept.
    """

    def __init__(self, folder: Path | None = None, size: int = 1000) -> None:
        self._folder, self._size = folder, size
        self._known: OrderedDict[str, Cached] = OrderedDict()
        if folder and folder.is_dir():
            files = sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime, reverse=True)
            for path in files[size:]:
                path.unlink(missing_ok=True)

    def get(self, address: str) -> Cached | None:
        found = self._known.get(address) or self._read(address)
        if found:
            self._remember(address, found)
        return found

    def put(self, address: str, headers: Mapping[str, str], content: Any) -> None:
        """Keep an answer that has an ETag."""
        if not (etag := headers.get("etag")):
            return
        cached = Cached(etag, {name: headers[name] for name in KEPT_HEADERS if name in headers}, content)
        self._remember(address, cached)
        if self._folder:
            write_atomically(self._path(self._folder, address), json.dumps({"address": address, **asdict(cached)}).encode())

    def _remember(self, address: str, cached: Cached) -> None:
        self._known[address] = cached
        self._known.move_to_end(address)
        while len(self._known) > self._size:
            self._known.popitem(last=False)

    def _read(self, address: str) -> Cached | None:
        """What an earlier process kept; a damaged file is as good as none."""
        if not self._folder:
            return None
        try:
            kept = json.loads(self._path(self._folder, address).read_bytes())
            if kept["address"] == address and isinstance(kept["etag"], str) and isinstance(kept["headers"], dict):
                return Cached(kept["etag"], kept["headers"], kept["content"])
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return None

    @staticmethod
    def _path(folder: Path, address: str) -> Path:
        return folder / f"{digest(address)}.json"
