"""The coordinator's side of one child: start it, talk to it, listen to it, end it with all that is below it."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from evaluator.sandbox.layout import Launch
from evaluator.sandbox.watchdog import children, descendants

HEADER_BYTES = 1 << 16
LOG_BYTES = 1 << 16
CHUNK = 1 << 18
READS = 16


class Message(NamedTuple):
    head: Mapping[str, Any]
    content: bytes


class Process:
    """A running child. It ends when the thread that started it ends, at the latest."""

    def __init__(self, launch: Launch, output_bytes: int) -> None:
        self._limit = output_bytes
        self._buffer = bytearray()
        self._head: Mapping[str, Any] | None = None
        self._log = bytearray()
        self._ended = False
        tasks, self._tasks = os.pipe()
        self._events, events = os.pipe()
        self._printed, printed = os.pipe()
        try:
            self._popen = subprocess.Popen(
                [*launch.command, str(tasks), str(events)],
                env=launch.environment,
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=printed,
                pass_fds=(tasks, events),
                start_new_session=True,
                cwd="/",
            )
        except OSError:
            self._close()
            raise
        finally:
            for descriptor in (tasks, events, printed):
                os.close(descriptor)
        self._wrapped = launch.wrapped
        _go_first(self._popen.pid)
        os.set_blocking(self._events, False)
        os.set_blocking(self._printed, False)

    @property
    def pid(self) -> int:
        """The child itself, not the wrapper it was started through."""
        if self._wrapped and (below := children(self._popen.pid)):
            return below[0]
        return self._popen.pid

    def send(self, value: Mapping[str, Any]) -> bool:
        """False when there is nobody to listen any more."""
        line = json.dumps(value).encode() + b"\n"
        try:
            while line:
                line = line[os.write(self._tasks, line) :]
        except BrokenPipeError:
            return False
        return True

    def receive(self, seconds: float) -> Message | None:
        """The next message, if it is complete within ``seconds``.

        Raises:
            EOFError: the child has ended, or talks nonsense.
        """
        readable, _, _ = select.select([self._events, self._printed], [], [], seconds)
        if self._printed in readable and not self._listen():
            time.sleep(seconds if len(readable) == 1 else 0)  # its end is no news; do not spin
        for _ in range(READS if self._events in readable else 0):
            try:
                part = os.read(self._events, CHUNK)
            except BlockingIOError:
                break
            if not part:
                raise EOFError
            self._buffer += part
        return self._parse()

    def _parse(self) -> Message | None:
        if self._head is None:
            line, newline, rest = self._buffer.partition(b"\n")
            if not newline:
                if len(line) > HEADER_BYTES:
                    raise EOFError
                return None
            self._head, self._buffer = _header(line, self._limit), rest
        size = int(self._head.get("size", 0))
        if len(self._buffer) < size:
            return None
        message = Message(self._head, bytes(self._buffer[:size]))
        self._head, self._buffer = None, self._buffer[size:]
        return message

    def _listen(self) -> bool:
        try:
            part = os.read(self._printed, CHUNK)
        except BlockingIOError:
            return True
        self._log += part
        del self._log[:-LOG_BYTES]
        return bool(part)

    def take_log(self) -> bytes:
        """The end of what was printed since the last call."""
        while select.select([self._printed], [], [], 0)[0] and self._listen():
            pass
        log, self._log = bytes(self._log), bytearray()
        return log

    def end_processes(self) -> None:
        """Kill the child and everything below it, and wait until all are gone; what was printed can still be read."""
        if self._ended:
            return
        self._ended = True
        if self._wrapped:
            if self._popen.poll() is None:
                _kill(self.pid)  # the first process of a name space takes all others with it
        else:
            for pid in descendants(self._popen.pid):
                _kill(pid)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._popen.pid, signal.SIGKILL)
        try:
            self._popen.wait(10)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()

    def end(self) -> None:
        """As :meth:`end_processes`, and close the pipes."""
        self.end_processes()
        self._close()

    def _close(self) -> None:
        for descriptor in (self._tasks, self._events, self._printed):
            os.close(descriptor)


def _header(line: bytes | bytearray, limit: int) -> Mapping[str, Any]:
    try:
        head: Mapping[str, Any] = json.loads(line)
        size = head.get("size", 0) if isinstance(head, dict) else None
        if isinstance(size, int) and 0 <= size <= limit:
            return head
    except (ValueError, TypeError, RecursionError):
        pass
    raise EOFError


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _go_first(pid: int) -> None:
    """Should memory run out on this machine, the kernel is to take this process and those below it, not us."""
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/oom_score_adj").write_text("900")
