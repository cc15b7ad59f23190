"""Everything that is automated, on a laptop, in cron or on any CI: `nox -l` lists the sessions.

`nox -s leaderboard` measures every shipped submission on the embedded digits and builds the site; `nox -s tests` tests.
Arguments after `--` go to the command that a session runs.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.sessions = ["lint", "types", "tests"]

ROOT = Path(__file__).parent
PINNED = (ROOT / "requirements.lock", ROOT / "pyproject.toml")


def session(function: Callable[[nox.Session], None]) -> object:
    """One environment for all sessions: PyTorch is too large to install once for each."""
    return nox.session(venv_location=str(ROOT / ".nox" / "espalier"), reuse_venv=True)(function)


def install(session: nox.Session) -> None:
    """Install Espalier with everything as pinned in requirements.lock, unless that is done."""
    stamp = Path(session.virtualenv.location) / "espalier-installed"
    wanted = "".join(path.read_text(encoding="utf-8") for path in PINNED)
    if not stamp.is_file() or stamp.read_text(encoding="utf-8") != wanted:
        session.log("installing the pinned environment: about 5 GB with PyTorch, once for all sessions")
        session.install("--require-hashes", "-r", str(PINNED[0]))
        session.install("--no-deps", "-e", str(ROOT))
        stamp.write_text(wanted, encoding="utf-8")


@session
def leaderboard(session: nox.Session) -> None:
    """Measure every shipped submission on the embedded digits data and build the whole site."""
    install(session)
    session.run("espalier", "evaluate", "--tier", "smoke", *session.posargs)
    session.run("espalier", "site", "build")


@session
def tests(session: nox.Session) -> None:
    """Run the test suite."""
    install(session)
    if session.posargs:
        session.run("pytest", *session.posargs)
        return
    session.run("pytest", "-n", "2", "--dist", "loadfile", "--ignore", "tests/attacks")
    session.run("pytest", "tests/attacks")  # alone: they fill the machine


@session
def lint(session: nox.Session) -> None:
    """Check style and likely mistakes."""
    install(session)
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("espalier", "check")


@session
def types(session: nox.Session) -> None:
    """Check types, strictly."""
    install(session)
    session.run("mypy", *session.posargs)


@session
def site(session: nox.Session) -> None:
    """Build the site from the records that are there."""
    install(session)
    session.run("espalier", "site", "build", *session.posargs)


@session
def serve(session: nox.Session) -> None:
    """Serve the built site on this machine."""
    install(session)
    session.run("espalier", "site", "serve", *session.posargs)


@session
def evaluate(session: nox.Session) -> None:
    """Measure what is missing or stale."""
    install(session)
    session.run("espalier", "evaluate", *session.posargs)


@session
def bench(session: nox.Session) -> None:
    """Measure how fast Espalier itself is."""
    install(session)
    session.run("python", "-m", "benchmarks", *session.posargs)


@session
def vendor(session: nox.Session) -> None:
    """Write the scripts that the site ships anew."""
    install(session)
    session.run("python", "-m", "leaderboard.vendor", *session.posargs)


@session
def lock(session: nox.Session) -> None:
    """Pin the newest versions that pyproject.toml allows, with their hashes (needs uv)."""
    session.install("uv")
    options = ["--universal", "--python-version", "3.11", "--generate-hashes", "--all-extras", "--upgrade"]
    quiet = ["--no-emit-index-url", "--no-annotate", "--no-header", "--quiet"]
    session.run("uv", "pip", "compile", "pyproject.toml", *options, *quiet, "-o", str(PINNED[0]))
