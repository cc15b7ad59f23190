"""One submission on one benchmark: a warm child, one task after another, restarted whenever a task brings it down."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from evaluator.checkpoint_files import NAME, Checkpoint
from evaluator.errors import SandboxError
from evaluator.records import Status
from evaluator.sandbox import bubblewrap, none
from evaluator.sandbox.given import give
from evaluator.sandbox.layout import Launch, private_paths
from evaluator.sandbox.logs import as_written, clean_log, clean_reason
from evaluator.sandbox.process import Message, Process
from evaluator.sandbox.spec import CLAIMS, Kind, Outcome, Spec, Task
from evaluator.sandbox.watchdog import Watchdog

BACK_ENDS: dict[Kind, Callable[[Spec, Path], Launch]] = {"bubblewrap": bubblewrap.launch, "none": none.launch}
START_SECONDS = 180.0
TICK_SECONDS = 0.02
Keep = Callable[[Checkpoint], None]


class End(NamedTuple):
    status: Status
    reason: str | None
    content: bytes = b""
    usable: bool = False
    """Whether the child can take another task."""
    epochs: int = 0


def available() -> Kind:
    """The strongest kind of sandbox that works here."""
    return "bubblewrap" if bubblewrap.works() else "none"


def require() -> None:
    """Raises SandboxError where contributed code would run with the rights of whoever starts it."""
    if available() == "none":
        what = "bubblewrap does not work here, and without it contributed code would run with your rights"
        raise SandboxError(what, where=shutil.which("bwrap") or "bwrap", fix="install bubblewrap and allow user namespaces")


@contextmanager
def open_sandbox(spec: Spec, scratch: Path, kind: Kind) -> Iterator[Sandbox]:
    """A warm sandbox, with its private files below ``scratch``; dead and gone when the context ends.

    Use it in the thread that opens it: the child dies with that thread.

    Raises:
        SandboxError: it cannot be started.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    sandbox = Sandbox(spec, scratch, kind)
    try:
        sandbox.start()
        yield sandbox
    finally:
        sandbox.close()


class Sandbox:
    """Runs tasks of one submission; see :func:`open_sandbox`."""

    def __init__(self, spec: Spec, scratch: Path, kind: Kind) -> None:
        self._spec = spec
        self._scratch = scratch
        self._kind = kind
        self._process: Process | None = None
        self._home: Path | None = None

    def run(self, task: Task, on_checkpoint: Keep | None = None, spent: float = 0.0) -> Outcome:
        """Prune one cell. A failure of the method is an outcome.

        Args:
            on_checkpoint: called with each checkpoint of the task, soon after it was saved; the watchdog waits for it.
            spent: seconds that an interrupted run took for the checkpoints from which this one goes on.

        Raises:
            SandboxError: the sandbox cannot be started again after an earlier task brought it down, or the disk is full.
        """
        process = self.start()
        assert self._home is not None
        give(task, self._spec, self._home)
        process.take_log()
        watchdog = Watchdog(process.pid, self._spec.limits, maps_much=self._spec.device != "cpu")
        started = time.monotonic() - spent
        end = _within_budget(self._follow(process, watchdog, task, started, on_checkpoint), task)
        seconds = time.monotonic() - started
        if not end.usable:
            process.end_processes()
        code = self._spec.submission.code
        log = as_written(clean_log(process.take_log(), self._private()), code)
        if not end.usable:
            self.close()
        return Outcome(
            status=end.status,
            reason=None if end.reason is None else as_written(clean_reason(end.reason, self._private()), code),
            log=log,
            seconds=seconds,
            memory_mb=watchdog.peak_mb,
            epochs=end.epochs,
            artifact=self._keep(task, end.content) if end.status == "ok" else None,
        )

    def _follow(self, process: Process, watchdog: Watchdog, task: Task, started: float, on_checkpoint: Keep | None) -> End:
        dead = End("method_error", "the method brought its sandbox down")
        if not process.send(asdict(task)):
            return dead
        while True:
            try:
                message = process.receive(TICK_SECONDS)
            except EOFError:
                return dead
            if message is not None and not _is_checkpoint(message):
                return _judge(message)
            if message is not None and on_checkpoint is not None:
                on_checkpoint(Checkpoint(message.head["name"], message.content, time.monotonic() - started))
            if violation := watchdog.violation(time.monotonic() - started):
                return End(*violation)

    def _keep(self, task: Task, content: bytes) -> Path:
        descriptor, name = tempfile.mkstemp(prefix=f"{task.number}-", suffix=".safetensors", dir=self._scratch)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        return Path(name)

    def _private(self) -> list[str]:
        return [*([str(self._home)] if self._home else []), *private_paths()]

    def start(self) -> Process:
        """The warm child, started if there is none."""
        if self._process is not None:
            return self._process
        self._home = Path(tempfile.mkdtemp(prefix="sandbox-", dir=self._scratch))
        try:
            launch = BACK_ENDS[self._kind](self._spec, self._home)
            process = self._process = Process(launch, (self._spec.limits.output_mb << 20) + 1)
        except OSError as error:
            raise SandboxError(f"{self._kind} cannot be started: {error}") from None
        process.send(launch.configuration)
        self._await_ready(process)
        return process

    def _await_ready(self, process: Process) -> None:
        deadline = time.monotonic() + START_SECONDS
        try:
            while time.monotonic() < deadline:
                if process.receive(TICK_SECONDS) is not None:
                    return
        except EOFError:
            pass
        process.end_processes()
        log = clean_log(process.take_log(), self._private())
        raise SandboxError(
            f"the child in {self._kind} did not get ready: {log.splitlines()[-1] if log else 'it said nothing'}",
            fix="see whether `bwrap` runs for this user, and `espalier evaluate --sandbox none` for methods that you trust",
        )

    def close(self) -> None:
        if self._process is not None:
            self._process.end()
            self._process = None
        if self._home is not None:
            shutil.rmtree(self._home, ignore_errors=True)
            self._home = None


def _is_checkpoint(message: Message) -> bool:
    name = message.head.get("name")
    return message.head.get("event") == "checkpoint" and isinstance(name, str) and bool(NAME.fullmatch(name))


def _within_budget(end: End, task: Task) -> End:
    """``end``, or the failure that it is where more was trained than the task allows."""
    most = task.training.epochs if task.training else 0
    if end.status != "ok" or end.epochs <= most:
        return end
    return end._replace(status="method_error", reason=f"the method trained {end.epochs} epochs, but may train {most}")


def _judge(message: Message) -> End:
    head = message.head
    status = head.get("status")
    if head.get("event") != "done" or status not in CLAIMS:
        return End("method_error", "the sandbox sent a garbled answer")
    reason = None if status == "ok" else str(head.get("reason"))
    epochs = head.get("epochs")
    trained = epochs if isinstance(epochs, int) else 0
    return End(status, reason, message.content, usable=head.get("clean") is True, epochs=trained)
