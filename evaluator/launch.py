"""Starts a scorer and talks with it. No PyTorch here."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType

from evaluator.errors import EspalierError
from evaluator.messages import Reply, Request

PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH")


def child_environment(pycache: Path, gpu: str | None = None) -> dict[str, str]:
    """What our own child processes see of the environment: nothing that could be a secret, one thread each, and one GPU."""
    kept = {name: value for name, value in os.environ.items() if name in PASSED_ON or name.startswith("ESPALIER_")}
    kept |= {"CUDA_VISIBLE_DEVICES": gpu} if gpu is not None else {}
    return kept | {"PYTHONPYCACHEPREFIX": str(pycache), "OMP_NUM_THREADS": "1", "PYTHONUTF8": "1"}


class ScorerDied(EspalierError):
    """The scorer ended before its work was done; not the method's fault."""


class Scorer:
    """A scorer process at work on one request; iterate over its replies inside a ``with`` block."""

    def __init__(self, request: Request, environment: Mapping[str, str]) -> None:
        self.request = request
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 (closed by __exit__)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "evaluator.scorer"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            env=dict(environment),
            start_new_session=True,  # Ctrl-C is the coordinator's to handle
        )

    def __enter__(self) -> Scorer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.kill()
        self._process.communicate()
        self._complaints.close()

    def __iter__(self) -> Iterator[Reply]:
        """Raises ScorerDied when the process ends before its work is done."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(self.request.model_dump_json().encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._died() from None
        while line := self._process.stdout.readline():
            yield Reply.model_validate_json(line)
        if self._process.wait() != 0:
            raise self._died()

    def _died(self) -> ScorerDied:
        code = self._process.wait()
        self._complaints.seek(0)
        lines = self._complaints.read().decode(errors="replace").strip().splitlines()
        return ScorerDied(f"the scorer ended with code {code}: {lines[-1] if lines else 'it said nothing'}")
