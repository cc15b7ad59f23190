"""What the command line prints: tables and progress on a terminal, plain lines elsewhere; contributed text made harmless."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Table

from evaluator.characters import seen

WIDE = 1000
"""Columns where there is no terminal: nothing is cut or wrapped for a file or a pipe."""

out = Console(highlight=False, emoji=False, soft_wrap=True, width=None if sys.stdout.isatty() else WIDE)
err = Console(stderr=True, highlight=False, emoji=False, soft_wrap=True)


def safe(text: object) -> str:
    """Text that can neither move the cursor, nor colour the terminal, nor pass for markup."""
    return escape(seen(str(text)))


def print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2) + "\n")  # ASCII only: contributed text may hold any character


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None) -> None:
    """A table; columns whose heading starts with ``>`` are aligned to the right."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(
            column.lstrip(">"), justify="right" if column.startswith(">") else "left", no_wrap=column.startswith(">")
        )
    for row in rows:
        table.add_row(*(safe(value) for value in row))
    out.print(table)


def duration(seconds: float | None) -> str:
    """Seconds in words: ``3 h 05 min``, ``4 min 10 s``, ``12 s``."""
    if seconds is None:
        return "unknown"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


class CellProgress:
    """Cells done and time left: a bar on a terminal, a plain line now and then elsewhere.

    Args:
        pause: seconds between two such lines, at least.
    """

    def __init__(
        self, total: int, workers: int, estimate: float | None, *, noun: str = "measured", pause: float = 10
    ) -> None:
        self.total, self.done = total, 0
        self._noun, self._pause = noun, pause
        self._estimate = estimate / workers if estimate is not None else None
        self._started = self._said = time.monotonic()
        self._bar = Progress(
            SpinnerColumn(),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[left]}"),
            console=err,
            transient=True,
        )
        self._task = self._bar.add_task("", total=total, left="")

    def __enter__(self) -> CellProgress:
        if err.is_terminal:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def advance(self, what: str, number: int = 1) -> None:
        self.done += number
        left = f"about {duration(self.left)} left"
        if err.is_terminal:
            self._bar.update(self._task, advance=number, left=f"{left} · {safe(what)}")
        elif time.monotonic() - self._said >= self._pause or self.done == self.total:
            self._said = time.monotonic()
            err.print(f"{self.done}/{self.total} {self._noun}, {left} ({safe(what)})")

    @property
    def left(self) -> float | None:
        """Seconds to go: from the estimate at first, then from the pace so far."""
        elapsed = time.monotonic() - self._started
        if self.done < 5 and self._estimate is not None:
            return max(self._estimate - elapsed, 0)
        return elapsed / self.done * (self.total - self.done) if self.done else self._estimate
