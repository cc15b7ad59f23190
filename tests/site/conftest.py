"""Sites made of synthetic records, and a real browser."""

from __future__ import annotations

import fcntl
import importlib.util
import os
import pickle
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from leaderboard.build import Built, build

from evaluator.repository import Repository
from tests.conftest import need
from tests.site.methods import ALL_KINDS
from tests.site.synthetic import Plan, fill, make_repository, open_everything

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

PLAN = Plan(
    benchmarks=("digits-mlp", "mnist-lenet-300-100"),
    methods=4,
    failures={("lamp", "16"): "timeout"},
    missing={("erk-magnitude", "8", 1)},
    collapsed={("uniform-magnitude", "32")},
)


@dataclass(frozen=True)
class BuiltSite:
    repository: Repository
    folder: Path
    built: Built


def built_once(factory: pytest.TempPathFactory, name: str, plan: Callable[[Path], Repository]) -> BuiltSite:
    """The site of a repository, that a run of the tests builds once: the first worker does, the others wait for it."""
    alone = "PYTEST_XDIST_WORKER" not in os.environ
    folder = factory.getbasetemp() if alone else factory.getbasetemp().parent
    kept = folder / f"{name}.pickle"
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            (root := folder / name).mkdir()
            repository = plan(root)
            kept.write_bytes(pickle.dumps(BuiltSite(repository, root / "public", build(repository, root / "public"))))
        found: BuiltSite = pickle.loads(kept.read_bytes())
    return found


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> BuiltSite:
    """Four methods on two benchmarks, with a failure, a gap and a collapse; and one of them measured locally too."""
    return built_once(tmp_path_factory, "site", _usual)


@pytest.fixture(scope="session")
def many(tmp_path_factory: pytest.TempPathFactory) -> BuiltSite:
    """Ten boards on one benchmark: two methods on every kind, one of them by another recipe too, and one measured here."""
    return built_once(tmp_path_factory, "many", _many)


def _usual(root: Path) -> Repository:
    repository = make_repository(root)
    fill(repository, PLAN)
    fill(repository, Plan(benchmarks=("digits-cnn",), methods=2, sandbox="none"), local=True, submissions=False)
    return repository


def _many(root: Path) -> Repository:
    repository = make_repository(root)
    open_everything(repository, "digits-cnn")
    fill(repository, Plan(benchmarks=("digits-cnn",), methods=2, kinds=ALL_KINDS))
    fill(repository, Plan(benchmarks=("digits-cnn",), methods=1, recipe="lenet-5-retraining"), submissions=False)
    fill(repository, Plan(benchmarks=("digits-cnn",), methods=1, sandbox="none"), local=True, submissions=False)
    return repository


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A Chromium with a profile of its own."""
    need("browser", importlib.util.find_spec("playwright") is not None, "the Python package playwright is not installed")
    need("browser", CHROMIUM.exists(), f"{CHROMIUM} is not there (Debian: apt install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver, tempfile.TemporaryDirectory() as profile:
        context = driver.chromium.launch_persistent_context(
            profile, executable_path=str(CHROMIUM), args=list(ARGUMENTS), viewport={"width": 1280, "height": 900}
        )
        yield context
        context.close()


@dataclass
class Visit:
    """An open page, and what happened on it that should not."""

    page: Any
    console: list[str]
    requests: list[str]


@pytest.fixture
def visit(browser: Any) -> Iterator[Any]:
    """Open a file in a new page; messages, dialogs and requests are noted."""
    opened = []

    def go(path: Path, *, width: int = 1280, fragment: str = "") -> Visit:
        page = browser.new_page()
        opened.append(page)
        noted = Visit(page, [], [])
        page.on("console", lambda message: noted.console.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: noted.console.append(f"error: {error}"))
        page.on("dialog", lambda dialog: (noted.console.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda request: noted.requests.append(request.url))
        page.set_viewport_size({"width": width, "height": 900})
        page.goto(path.as_uri() + fragment)
        return noted

    yield go
    for page in opened:
        page.close()
