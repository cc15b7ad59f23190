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

    def work() -> None:
        try:
            while True:
                for record in run(todo.get_nowait(), setting):
                    made.put(record)
        except queue.Empty:
            made.put(None)
        except BaseException as error:
            made.put(error)

    number = max(1, min(workers, len(groups)))
    for _ in range(number):
        threading.Thread(target=work, daemon=True).start()
    while number:
        # a timeout, because waiting without one would not hear Ctrl-C
        try:
            item = made.get(timeout=0.5)
        except queue.Empty:
            continue
        if isinstance(item, BaseException):
            raise item
        if item is None:
            number -= 1
        else:
            yield item
