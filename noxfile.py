"""Everything that is automated, on a laptop, in cron or on any CI: `nox -l` lists the sessions.

`nox -s leaderboard` measures every shipped submission on the embedded digits and builds the site; `nox -s tests` tests.
Arguments after `--` go to the command that a session runs.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import nox

nox.options.sessions = ["lint", "types", "tests"]

ROOT = Path(__file__).parent
PINNED = (ROOT / "requirements.lock", ROOT / "pyproject.toml")
ENVIRONMENT = ROOT / ".nox" / "espalier"
BIN = ENVIRONMENT / ("Scripts" if os.name == "nt" else "bin")


def session(function: Callable[[nox.Session], None]) -> object:
    """Sessions share one environment: PyTorch is too large to install once for each."""
    return nox.session(venv_backend="none")(function)


def install(session: nox.Session) -> None:
    """Make the environment with everything as pinned in requirements.lock, unless that is done."""
    stamp = ENVIRONMENT / "installed"
    wanted = "".join(path.read_text(encoding="utf-8") for path in PINNED)
    if not stamp.is_file() or stamp.read_text(encoding="utf-8") != wanted:
        session.log("installing the pinned environment: about 6 GB, most of it PyTorch, once for all sessions")
        if shutil.which("uv"):
            session.run("uv", "venv", "--quiet", "--clear", "--python", sys.executable, str(ENVIRONMENT), external=True)
            pip = ["uv", "pip", "install", "--quiet", "--python", str(BIN / "python")]
        else:
            session.run(sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT), external=True)
            pip = [str(BIN / "python"), "-m", "pip", "install", "--quiet"]
        session.run(*pip, "--require-hashes", "-r", str(PINNED[0]), external=True)
        session.run(*pip, "--no-deps", "-e", str(ROOT), external=True)
        stamp.write_text(wanted, encoding="utf-8")
    session.env["PATH"] = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    session.env["VIRTUAL_ENV"] = str(ENVIRONMENT)


def run(session: nox.Session, program: str, *arguments: str) -> None:
    """Run a program of the environment, installing it first."""
    install(session)
    session.run(str(BIN / program), *arguments, external=True)


@session
def leaderboard(session: nox.Session) -> None:
    """Measure every shipped submission on the embedded digits data and build the whole site."""
    run(session, "espalier", "evaluate", "--tier", "smoke", *session.posargs)
    run(session, "espalier", "site", "build")


@session
def tests(session: nox.Session) -> None:
    """Run the test suite."""
    if session.posargs:
        run(session, "pytest", *session.posargs)
        return
    # backwards: long files come early, short ones late, and no worker waits for the other at the end
    folders = sorted((str(path.parent) for path in Path("tests").glob("*/__init__.py")), reverse=True)
    folders.remove(str(Path("tests/attacks")))
    workers = (os.cpu_count() or 1) + 2  # some always wait: for a sandbox, a browser, or a kill
    run(session, "pytest", "-n", str(workers), "--dist", "loadfile", "--no-loadscope-reorder", *folders)
    run(session, "pytest", "-n", "2", "tests/attacks")  # by themselves: they fill the machine


@session
def lint(session: nox.Session) -> None:
    """Check style and likely mistakes."""
    run(session, "ruff", "check", ".")
    run(session, "ruff", "format", "--check", ".")
    run(session, "espalier", "check")


@session
def types(session: nox.Session) -> None:
    """Check types, strictly."""
    run(session, "mypy", *session.posargs)


@session
def site(session: nox.Session) -> None:
    """Build the site from the records that are there."""
    run(session, "espalier", "site", "build", *session.posargs)


@session
def serve(session: nox.Session) -> None:
    """Serve the built site on this machine."""
    run(session, "espalier", "site", "serve", *session.posargs)


@session
def evaluate(session: nox.Session) -> None:
    """Measure what is missing or stale."""
    run(session, "espalier", "evaluate", *session.posargs)


@session
def runner(session: nox.Session) -> None:
    """Evaluate open changes, report, publish what was merged; `-- --help` says how."""
    run(session, "espalier", "runner", *session.posargs)


@session
def bench(session: nox.Session) -> None:
    """Measure how fast Espalier itself is."""
    run(session, "python", "-m", "benchmarks", *session.posargs)


@session
def lighthouse(session: nox.Session) -> None:
    """Audit the built site's most read kinds of pages with Lighthouse (needs Node.js, and fetches from npm)."""
    if not shutil.which("npx"):
        session.error("npx is not there: install Node.js with npm (Debian: apt install nodejs npm)")
    run(session, "python", "-m", "tests.site.lighthouse", *session.posargs)


@session
def vendor(session: nox.Session) -> None:
    """Write the scripts that the site ships anew."""
    run(session, "python", "-m", "leaderboard.vendor", *session.posargs)


@session
def lock(session: nox.Session) -> None:
    """Pin the newest versions that pyproject.toml allows, with their hashes (needs uv)."""
    options = ["--universal", "--python-version", "3.11", "--generate-hashes", "--all-extras", "--upgrade"]
    quiet = ["--no-emit-index-url", "--no-annotate", "--no-header", "--quiet"]
    session.run("uv", "pip", "compile", "pyproject.toml", *options, *quiet, "-o", str(PINNED[0]), external=True)
