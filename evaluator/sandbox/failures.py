"""From an exception of a method to a status, a reason of one line, and a traceback that shows the method alone.

One that does not end raises nothing: a signal asks it where it is, shortly before its time is over.
"""

from __future__ import annotations

import errno
import os
import signal
import traceback
from types import FrameType
from typing import Any

from evaluator.errors import EspalierError, InvalidOutcome
from evaluator.memory import ran_out
from evaluator.records import Status

OF_A_GPU = ("cuda", "cudnn")
THREADS = ("can't start new thread", "resource temporarily unavailable")
ASK = signal.SIGUSR1
ASK_SECONDS = 1.0
"""How long before the limit a task is asked where it is; of a short limit, a tenth."""


def judge(error: BaseException, limits: dict[str, Any]) -> tuple[Status, str]:
    """Status and reason of a method that raised ``error``."""
    line = last_line(error)
    lower = line.lower()
    code = error.errno if isinstance(error, OSError) else None
    if isinstance(error, InvalidOutcome):
        return "invalid_output", line
    if ran_out(error, line):
        there = "the GPU has left" if any(word in lower for word in OF_A_GPU) else f"the limit of {limits['memory_mb']} MB"
        return "out_of_memory", f"more than {there} of memory ({line})"
    if code == errno.EAGAIN or any(words in lower for words in THREADS):
        return "method_error", f"too many processes or threads; the limit is {limits['processes']} ({line})"
    if code in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
        return "method_error", f"wrote too much; the limit on the output is {limits['output_mb']} MB ({line})"
    if isinstance(error, SystemExit):
        return "method_error", f"the method ended the program ({line})"
    return "method_error", line


def last_line(error: BaseException) -> str:
    """As Python shows it, on one line; never raises, whatever ``error`` does when it is printed."""
    if isinstance(error, EspalierError):
        return " ".join(f"{error.what} (fix: {error.fix})".split()) if error.fix else error.what
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {error.msg} (line {error.lineno})"
    try:
        text = "".join(traceback.format_exception_only(error))
    except Exception:
        text = f"{type(error).__name__} (which fails when it is printed)"
    return " ".join(text.split()) or type(error).__name__


def own_traceback(error: BaseException, path: str) -> str:
    """The frames in the method's file, then the error."""
    frames = _own(traceback.extract_tb(error.__traceback__), path)
    head = ["Traceback (of the method alone):\n", *frames] if frames else []
    return "".join([*head, last_line(error), "\n"])


def _own(stack: traceback.StackSummary, path: str) -> list[str]:
    frames = [("method.py", f.lineno or 0, f.name, f.line) for f in stack if f.filename == path]
    return traceback.StackSummary.from_list(frames).format()


def when_to_ask(wall_seconds: float) -> float:
    """After how many seconds a task is asked where it is."""
    return wall_seconds - min(ASK_SECONDS, wall_seconds / 10)


def answer_where(path: str, stderr: int) -> None:
    """Of a task's process: from now on ``ASK`` is answered on ``stderr``, between two steps of Python."""

    def answer(_: int, frame: FrameType | None) -> None:
        if frames := _own(traceback.extract_stack(frame), path):
            text = "".join(["Where the method was shortly before its time was over:\n", *frames])
            os.write(stderr, text.encode(errors="replace"))

    signal.signal(ASK, answer)
    signal.siginterrupt(ASK, False)  # a method that comes to its end all the same is not to notice
