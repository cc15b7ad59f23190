"""Ways to run many groups of cells. Each engine yields the same records, in whatever order they get done."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from evaluator.engines import cluster, local
from evaluator.errors import UsageError
from evaluator.group import Group
from evaluator.records import Record
from evaluator.setting import Setting

Engine = Callable[[Sequence[Group], Setting, int], Iterator[Record]]
"""engine(groups, setting, workers)."""


def open_engine(name: str, scheduler: str | None = None) -> Engine:
    """``local``: this machine; ``dask``: a cluster, see :func:`evaluator.engines.cluster.run_all`.

    Raises:
        UsageError: a scheduler is named, but it is not Dask that asks for one.
    """
    if name == "dask":
        return partial(cluster.run_all, scheduler=scheduler or cluster.LOCAL)
    if scheduler is not None:
        raise UsageError("--scheduler belongs to --engine dask", fix="add --engine dask, or leave it out")
    return local.run_all
