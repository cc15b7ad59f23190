"""Starts scorers and talks with them. No PyTorch here."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType

from pydantic import TypeAdapter

from evaluator.errors import EspalierError
from evaluator.messages import Ended, Reply, Request
from evaluator.sandbox.layout import python_path

PASSED_ON = (
    *("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH"),
    *("ESPALIER_DATA", "ESPALIER_CACHE", "XDG_DATA_HOME", "XDG_CACHE_HOME"),
)
"""What our own child processes see of the environment, by name: nothing that could be a secret."""
START = "import gc; gc.disable(); from evaluator.scorer import main; main()"
"""Of the scorers' parent; see ``evaluator.forking``."""
CODE = Path(__file__).resolve().parents[1]
MESSAGE: TypeAdapter[Reply | Ended] = TypeAdapter(Reply | Ended)


def import_path() -> str:
    """``PYTHONPATH`` of our own child processes: they run the code that we run, which need not be what is installed (a
    runner has main's of the day), and find packages that were put into a ``site-packages`` apart from the interpreter's."""
    named = {str(Path(entry).absolute()) for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep)}
    return os.pathsep.join([str(CODE), *(entry for entry in python_path() if entry in named)])


def passed_on() -> dict[str, str]:
    return {name: os.environ[name] for name in PASSED_ON if name in os.environ}


def child_environment(pycache: Path, gpu: str | None = None) -> dict[str, str]:
    """Of a scorer: one thread, and one GPU."""
    kept = passed_on() | ({"CUDA_VISIBLE_DEVICES": gpu} if gpu is not None else {})
    settings = {"PYTHONPATH": import_path(), "PYTHONPYCACHEPREFIX": str(pycache), "OMP_NUM_THREADS": "1", "PYTHONUTF8": "1"}
    return kept | settings


class ScorerDied(EspalierError):
    """The scorer ended before its work was done; not the method's fault."""


class Scorers:
    """Scores requests, one at a time, each in a process of its own; PyTorch is imported once, by their common parent.

    That parent starts with the first request and lives until the ``with`` block ends.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = dict(environment)
        self._process: subprocess.Popen[bytes] | None = None
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 (closed by __exit__)

    def __enter__(self) -> Scorers:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end()
        self._complaints.close()

    def score(self, request: Request) -> Iterator[Reply]:
        """The replies as they come. Raises ScorerDied when the process ends before its work is done."""
        process = self._start()
        ended = None
        try:
            for message in _converse(process, request):
                if isinstance(message, Ended):
                    ended = message
                    break
                yield message
        finally:
            if ended is None:  # it died, or nobody wants the rest
                self._end()
        if ended is None or ended.code:
            raise self._died(ended.code if ended else process.returncode)

    def _start(self) -> subprocess.Popen[bytes]:
        self._complaints.seek(0)
        self._complaints.truncate()
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", START],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._complaints,
                env=self._environment,
                start_new_session=True,  # Ctrl-C is the coordinator's to handle
            )
        return self._process

    def _end(self) -> None:
        """Leave neither the parent nor the process that is at work."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()

    def _died(self, code: int) -> ScorerDied:
        self._complaints.seek(0)
        lines = self._complaints.read().decode(errors="replace").strip().splitlines()
        return ScorerDied(f"the scorer ended with code {code}: {lines[-1] if lines else 'it said nothing'}")


def _converse(process: subprocess.Popen[bytes], request: Request) -> Iterator[Reply | Ended]:
    """What is said to a request, as long as anybody is there."""
    assert process.stdin is not None
    assert process.stdout is not None
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(request.model_dump_json().encode() + b"\n")
        process.stdin.flush()
    while line := process.stdout.readline():
        yield MESSAGE.validate_json(line)
    process.wait()
