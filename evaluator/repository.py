"""Where things are in a checkout of Espalier."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from evaluator.errors import UsageError


@dataclass(frozen=True)
class Repository:
    """A checkout: the folders that hold submissions, grid, results and base models, and the local state beside them."""

    root: Path

    @classmethod
    def find(cls, start: Path | None = None) -> Repository:
        """The checkout that holds ``start`` (default: the current folder), or the one ``ESPALIER_ROOT`` names.

        Raises:
            UsageError: no folder from ``start`` upwards is a checkout.
        """
        named = os.environ.get("ESPALIER_ROOT")
        start = Path(named) if named and start is None else (start or Path.cwd())
        start = start.resolve()
        for folder in (start, *start.parents):
            if (folder / "evaluator" / "grid" / "grid.yaml").is_file():
                return cls(folder)
        raise UsageError(
            "this is not a checkout of Espalier (no evaluator/grid/grid.yaml here or above)",
            where=start,
            fix="change into the checkout, or name it with --root DIR or ESPALIER_ROOT",
        )

    @property
    def grid(self) -> Path:
        return self.root / "evaluator" / "grid"

    @property
    def submissions(self) -> Path:
        return self.root / "submissions"

    @property
    def published(self) -> Path:
        """Published records, in git."""
        return self.root / "results"

    @property
    def bases(self) -> Path:
        return self.root / "bases"

    @property
    def templates(self) -> Path:
        return self.root / "templates"

    @property
    def state(self) -> Path:
        """What this machine keeps for itself, outside git: local records, artifacts, logs, caches."""
        return self.root / ".espalier"

    @property
    def cache(self) -> Path:
        """What can be made again: what files of records say, and charts, by the digest of what they were made from."""
        return self.state / "cache"

    @property
    def local(self) -> Path:
        """Records made on this machine; they overlay the published ones and never mix with them in a table."""
        return self.state / "results"

    @property
    def artifacts(self) -> Path:
        """Content-addressed files: masks, weights, predictions."""
        return self.state / "artifacts"
