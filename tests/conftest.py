"""Shared by all tests: what this machine must have, and a data cache of our own."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Generator

import pytest

from evaluator.sandbox import available

os.environ["OMP_NUM_THREADS"] = "1"  # before PyTorch is imported: tests run side by side, and networks are small

REQUIRED = frozenset(filter(None, os.environ.get("ESPALIER_REQUIRE", "").split(",")))
"""Parts of a machine that must be there: tests that need them then fail instead of being skipped."""


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Without looking for garbage: thousands of tests are made, and all stay."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def need(part: str, present: bool, why: str) -> None:
    """Skip the test, saying why, when ``part`` is not present; fail it when ``ESPALIER_REQUIRE`` names ``part``."""
    if present:
        return
    if part in REQUIRED:
        pytest.fail(f"{part} is required (ESPALIER_REQUIRE), but {why}")
    pytest.skip(why)


@pytest.fixture(scope="session")
def bubblewrap() -> None:
    """The real sandbox."""
    reason = "bubblewrap is not installed" if shutil.which("bwrap") is None else "bubblewrap cannot make namespaces here"
    need("sandbox", available() == "bubblewrap", reason)


@pytest.fixture(scope="session")
def ssh_keygen() -> None:
    """OpenSSH, which signs records and checks signatures."""
    need("ssh", shutil.which("ssh-keygen") is not None, "ssh-keygen is not installed (Debian: apt install openssh-client)")
