from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from evaluator.grid import Limits
from evaluator.metadata import Submission
from evaluator.sandbox import Kind, Sandbox, open_sandbox, warm_pycache
from tests.miniature import BYTECODE
from tests.sandbox import arena

Opener = Callable[..., Sandbox]


@pytest.fixture(scope="session")
def pycache() -> Path:
    """Bytecode for the child, kept from one test run to the next."""
    return warm_pycache(BYTECODE)


@pytest.fixture
def opened(tmp_path: Path, pycache: Path) -> Iterator[Opener]:
    """Opens sandboxes that are closed, and gone, at the end of the test."""
    with ExitStack() as stack:

        def open_one(of: Submission, kind: Kind = "bubblewrap", limits: Limits = arena.LIMITS) -> Sandbox:
            return stack.enter_context(open_sandbox(arena.spec(of, pycache, limits), tmp_path / "scratch", kind))

        yield open_one
    assert not arena.strays()
