"""Work beside other work: in a copy of this process, which has everything that was gathered, on another core."""

from __future__ import annotations

import multiprocessing
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import TypeVar

from leaderboard.errors import SiteError

T = TypeVar("T")


@contextmanager
def aside(work: Callable[[], T], *, worthwhile: bool = True) -> Iterator[Callable[[], T]]:
    """Begin ``work``, and give what waits for its outcome; where it is not worthwhile or cannot be, it is done then, here.

    What ``work`` changes in memory stays with it; an exception of its own is raised where its outcome is waited for.
    """
    if not worthwhile or sys.platform != "linux" or (os.cpu_count() or 1) == 1:
        yield work
        return
    here, there = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=_do, args=(work, there), daemon=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # no other thread is at work now, though pyarrow has some
        process.start()
    there.close()

    def outcome() -> T:
        try:
            done, found = here.recv()
        except EOFError:
            process.join()
            raise SiteError(f"a process of the build ended with {process.exitcode}", fix="is there memory left?") from None
        if not done:
            raise found
        return found  # type: ignore[no-any-return]

    try:
        yield outcome
    finally:
        process.kill()
        process.join()
        here.close()


def _do(work: Callable[[], T], there: Connection) -> None:
    try:
        there.send((True, work()))
    except Exception as error:  # for whoever waits
        there.send((False, error))
