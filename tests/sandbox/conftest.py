from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from evaluator.grid import Limits
from evaluator.metadata import Submission
from evaluator.sandbox import Kind, Sandbox, open_sandbox, warm_pycache
from tests.sandbox import arena

Opener = Callable[..., Sandbox]


@pytest.fixture(scope="session")
def pycache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bytecode for the child, made once for all workers of a test run."""
    folder = tmp_path_factory.getbasetemp()
    folder = (folder.parent if folder.name.startswith("popen-") else folder) / "pycache"
    warm_pycache(folder)
    return folder


@pytest.fixture
def opened(tmp_path: Path, pycache: Path) -> Iterator[Opener]:
    """Opens sandboxes that are closed, and gone, at the end of the test."""
    with ExitStack() as stack:

        def open_one(of: Submission, kind: Kind = "bubblewrap", limits: Limits = arena.LIMITS) -> Sandbox:
            return stack.enter_context(open_sandbox(arena.spec(of, pycache, limits), tmp_path / "scratch", kind))

        yield open_one
    assert not arena.strays()
