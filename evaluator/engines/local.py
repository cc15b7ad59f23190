"""One machine: as many groups at a time as there are workers, each with its own sandbox and scorer processes."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence

from evaluator.group import Group, run
from evaluator.records import Record
from evaluator.setting import Setting


def run_all(groups: Sequence[Group], setting: Setting, workers: int) -> Iterator[Record]:
    """Records of all groups as they are made, in no particular order.

    The threads only wait for processes. They are daemons, and every process dies with its parent, so that leaving the
    loop at any moment (Ctrl-C, an error) leaves nothing behind.
    """
    todo: queue.SimpleQueue[Group] = queue.SimpleQueue()
    for group in groups:
        todo.put(group)
    made: queue.SimpleQueue[Record | BaseException | None] = queue.SimpleQueue()
    number = max(1, min(workers, len(groups)))
    for worker in range(number):
        threading.Thread(target=_work, args=(todo, made, setting.of_worker(worker)), daemon=True).start()
    while number:
        item = _wait(made)
        if isinstance(item, BaseException):
            raise item
        if item is None:
            number -= 1
        else:
            yield item


def _work(todo: queue.SimpleQueue[Group], made: queue.SimpleQueue[Record | BaseException | None], setting: Setting) -> None:
    """Run groups until there are none left (None), or an error of ours (carried to the caller's thread)."""
    try:
        with setting.scorers() as scorers:
            while True:
                for record in run(todo.get_nowait(), setting, scorers):
                    made.put(record)
    except queue.Empty:
        made.put(None)
    except BaseException as error:
        made.put(error)


def _wait(made: queue.SimpleQueue[Record | BaseException | None]) -> Record | BaseException | None:
    """The next item; waiting without a timeout would not hear Ctrl-C."""
    while True:
        try:
            return made.get(timeout=0.5)
        except queue.Empty:
            continue
