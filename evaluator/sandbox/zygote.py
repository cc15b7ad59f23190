"""The child that serves: imports PyTorch once, forks for each task, cleans up after it, and says how it went.

It never imports a method itself. A task's process has none of its descriptors, cannot stop it (it is PID 1 of the name
space) and cannot look into it, so that what one task does is gone before the next begins.
"""

from __future__ import annotations

import contextlib
import functools
import json
import math
import os
import select
import signal
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

import torch

from evaluator.data.images import Images
from evaluator.forking import get_ready
from evaluator.grid import Dataset
from evaluator.sandbox import confine, failures, scratch
from evaluator.sandbox.collect import Collector, Report, collect_artifact
from evaluator.sandbox.spec import CLAIMS
from evaluator.sandbox.task import ARTIFACT, Data, perform

REPORT_BYTES = 1 << 14
MOST_EPOCHS = 1_000_000
"""That a report may claim: a number that JSON can carry."""
TICK_MS = 20


def serve(config: dict[str, Any], lines: Iterable[str], events: int) -> None:
    """Answer each line of ``lines`` (a task) on ``events``: a line of JSON, then as many bytes as it says.

    Checkpoints of the task go the same way before the answer.
    """
    tasks = lines.fileno()  # type: ignore[attr-defined]
    confine.settle(config)
    data = _load(config)
    get_ready()
    signal.signal(failures.ASK, signal.SIG_IGN)  # until a task can answer
    _send(events, {"event": "ready", "torch": torch.__version__})
    for line in lines:
        report = _supervise(config, json.loads(line), data, (tasks, events))
        content = b""
        if report.status == "ok":
            found, content = collect_artifact(Path(config["output"]) / ARTIFACT, config["limits"]["output_mb"])
            report = report if found.status == "ok" else found
        clean = scratch.clear([config["output"], *config["scratch"]])
        _send(events, {"event": "done", **report._asdict(), "size": len(content), "clean": clean}, content)
        if not clean:
            break


def _load(config: dict[str, Any]) -> Data:
    dataset = Dataset.model_validate(config["dataset"])
    cpu = torch.device("cpu")  # a device is touched after the fork only
    return Data(*(Images.load(Path(config[part]), dataset, cpu) for part in ("train", "validation")))


def _send(events: int, message: dict[str, Any], content: bytes = b"") -> None:
    view = memoryview(json.dumps(message).encode() + b"\n" + content)
    while view:
        view = view[os.write(events, view) :]


def _supervise(config: dict[str, Any], task: dict[str, Any], data: Data, private: tuple[int, int]) -> Report:
    """Fork, wait, and leave no process behind."""
    receive, send = os.pipe()
    pid = os.fork()
    if pid == 0:
        for descriptor in (receive, *private):
            os.close(descriptor)
        _run_and_exit(config, task, data, send)
    os.close(send)
    tasks, events = private
    collector = Collector(config["output"], config["limits"]["output_mb"], functools.partial(_send, events))
    try:
        said, code, problem = _wait(config, pid, (receive, tasks), collector)
    finally:
        os.close(receive)
        scratch.end_all_others()
    if problem is not None:
        return Report("method_error", problem)
    return _believe(said, code)


def _run_and_exit(config: dict[str, Any], task: dict[str, Any], data: Data, send: int) -> NoReturn:
    leave, stderr = os._exit, os.dup(2)
    try:
        report = _run(config, task, data, stderr)
        os.write(send, json.dumps(report._asdict()).encode()[:REPORT_BYTES])
        leave(0)
    finally:
        leave(1)  # whatever an exception of the method does when it is looked at


def _run(config: dict[str, Any], task: dict[str, Any], data: Data, stderr: int) -> Report:
    try:
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # what a stopped task printed is in its log
        confine.settle_task(config)
        failures.answer_where(config["method"], stderr)
        report = Report("ok", epochs=perform(config, task, data))
    except BaseException as error:
        report = Report(*failures.judge(error, config["limits"]))
        _flush()
        os.write(stderr, failures.own_traceback(error, config["method"]).encode(errors="replace"))
    _flush()
    return report


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()


def _wait(
    config: dict[str, Any], pid: int, descriptors: tuple[int, int], collector: Collector
) -> tuple[bytes, int, str | None]:
    """(what the task's process reported, its exit code, negative for a signal, and why it was stopped if it was)."""
    said = b""
    receive, tasks = descriptors
    poll = select.poll()
    poll.register(receive, select.POLLIN)
    poll.register(tasks, 0)  # only for its end: the coordinator is gone
    due = time.monotonic() + failures.when_to_ask(config["limits"]["wall_seconds"])
    while True:
        for descriptor, event in poll.poll(TICK_MS):
            if descriptor == tasks and event & (select.POLLHUP | select.POLLERR):
                os.kill(pid, signal.SIGKILL)
                scratch.end_all_others()
                os._exit(0)
            if descriptor == receive:
                part = os.read(receive, REPORT_BYTES)
                said += part
                if not part or len(said) > REPORT_BYTES:
                    poll.unregister(receive)
                    time.sleep(0.001)
        ended, code = _reap(pid)
        if ended:
            return said, code, None
        if time.monotonic() > due:
            os.kill(pid, failures.ASK)
            due = math.inf
        if problem := scratch.crowded([config["output"], *config["scratch"]]) or collector.look():
            return said, 0, problem


def _reap(pid: int) -> tuple[bool, int]:
    """Collect whoever has ended; whether ``pid`` is among them, and how."""
    while True:
        ended, status = os.waitpid(-1, os.WNOHANG)
        if ended == 0:
            return False, 0
        if ended == pid:
            return True, os.waitstatus_to_exitcode(status)


def _believe(said: bytes, code: int) -> Report:
    try:
        report = json.loads(said)
        status, reason, epochs = report["status"], report["reason"], int(report.get("epochs", 0))
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return Report("method_error", _ending(code))
    if status not in CLAIMS or not 0 <= epochs <= MOST_EPOCHS:
        return Report("method_error", "the method's process sent a garbled report")
    return Report(status, None if status == "ok" else str(reason)[:500], epochs)


def _ending(code: int) -> str:
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
        return f"the method's process was ended by signal {name}"
    return f"the method ended its process (exit status {code}) before prune() returned"
