"""Ways to run many groups of cells. Each engine yields the same records, in whatever order they get done."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from evaluator.engines import local
from evaluator.group import Group
from evaluator.records import Record
from evaluator.setting import Setting

Engine = Callable[[Sequence[Group], Setting, int], Iterator[Record]]

ENGINES: dict[str, Engine] = {"local": local.run_all}
"""Name -> engine(groups, setting, workers)."""
