"""`espalier runner`: from an open change to the published page, without a hand."""

from __future__ import annotations

import json
import logging
import logging.handlers
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from evaluator.commands.options import Benchmarks, Root, Tier
from evaluator.errors import Interrupted, UsageError
from evaluator.forges import Cache, DryRun, open_forge
from evaluator.forges.limits import Timing
from evaluator.held import take
from evaluator.repository import Repository
from evaluator.runner.attempts import FAILURES
from evaluator.runner.git import Clone
from evaluator.runner.lease import Lease
from evaluator.runner.runner import Runner
from evaluator.runner.targets import Branch, Command, Folder, Target
from evaluator.runner.workspace import Workspaces
from evaluator.terminal import err, safe

LOG_BYTES, LOG_FILES = 5_000_000, 4
PLAIN = set(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


def runner(
    forge: Annotated[str, typer.Option(help="the project's address, or a bare repository", envvar="ESPALIER_FORGE")],
    home: Annotated[Path | None, typer.Option(help="what the runner keeps (default: .espalier/runner)")] = None,
    once: Annotated[bool, typer.Option("--once", help="one pass, for cron or a timer")] = False,
    interval: Annotated[int, typer.Option(help="seconds between two passes", min=5)] = 300,
    poll: Annotated[float, typer.Option(help="seconds between two looks while cells are measured", min=1)] = 30,
    lease: Annotated[
        float, typer.Option(help="seconds after which another runner takes over from a dead one", min=30)
    ] = 900,
    git: Annotated[str | None, typer.Option(help="where git finds the project (default: by the forge's address)")] = None,
    tier: Tier = None,
    benchmark: Benchmarks = None,
    workers: Annotated[int | None, typer.Option(help="groups of cells at a time", min=1)] = None,
    key: Annotated[Path | None, typer.Option(help="signs what is published: a private key for ssh-keygen")] = None,
    folder: Annotated[Path | None, typer.Option(help="publish the site as this folder (a link to releases)")] = None,
    branch: Annotated[str | None, typer.Option(help="publish the site as this branch")] = None,
    program: Annotated[str | None, typer.Option(help="publish the site by this program: PROGRAM FOLDER COMMIT")] = None,
    url: Annotated[str, typer.Option(help="where the published site will be read: for its sitemap and link previews")] = "",
    source: Annotated[str, typer.Option(help="where the project's repository can be read: every page links to it")] = "",
    previews: Annotated[str | None, typer.Option(help="address under which HOME/previews can be read")] = None,
    budget: Annotated[float, typer.Option(help="GPU-hours a night for whatever is missing or stale on main", min=0)] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="print every write instead of making it")] = False,
    root: Root = None,
) -> None:
    """Evaluate open changes once a maintainer approved them, report, and publish what was merged."""
    place = (home or Repository.find(root).state / "runner").resolve()
    address = git or _git_url(forge)
    with _alone(place), _logging(place):
        patience = min(Timing.patience, lease / 3)  # nobody may take over while we wait to be let in
        opened = open_forge(forge, cache=Cache(place / "answers"), timing=Timing(patience=patience))
        clone = Clone(place / "clone.git", address)
        target = _target(clone, place, folder, branch, program)
        selection = [f"--tier={tier}"] * bool(tier) + [f"--benchmark={name}" for name in benchmark or []]
        work = Runner(
            DryRun(opened, lambda line: err.print(safe(line))) if dry_run else opened,
            Workspaces(clone, place / "work"),
            Lease(clone, f"{socket.gethostname()}:{place}", seconds=lease),
            place,
            selection=tuple(selection),
            workers=workers,
            key=key.resolve() if key else None,
            target=target,
            url=url,
            source=source,
            previews=previews,
            poll=poll,
            budget=3600 * budget,
            dry=dry_run,
        )
        try:
            if once:
                work.once()
                if work.failed:
                    raise typer.Exit(1)
            else:
                _forever(work, interval)
        finally:
            opened.close()


def _forever(work: Runner, interval: int) -> None:
    """Pass after pass; a pass that fails is told and tried again."""
    while True:
        try:
            work.once()
        except Interrupted:
            raise
        except FAILURES as error:
            logging.getLogger("espalier.runner").error(str(error))
        time.sleep(interval)


def _git_url(forge: str) -> str:
    if "://" not in forge:
        return str(Path(forge).resolve())
    return f"{forge.partition('+')[2] if '+' in forge.partition('://')[0] else forge}".removesuffix(".git") + ".git"


def _target(clone: Clone, home: Path, folder: Path | None, branch: str | None, program: str | None) -> Target | None:
    named = [option for option in (folder, branch, program) if option is not None]
    if len(named) > 1:
        raise UsageError("the site can be published in one way only", fix="one of --folder, --branch, --program")
    if folder is not None:
        return Folder(Path(folder).absolute())
    if branch is not None:
        return Branch(clone, branch)
    return Command(program, Folder(home / "site")) if program is not None else None


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """One process for each home; the lock goes with the process."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("a") as file:
        if not take(file):
            err.print(f"a runner is at work here: {safe(home)}; let it, or give this one another --home")
            raise typer.Exit
        yield


class _Lines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        extra = {name: value for name, value in vars(record).items() if name not in PLAIN}
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))
        return json.dumps({"time": stamp, "level": record.levelname.lower(), "what": record.getMessage(), **extra})


@contextmanager
def _logging(home: Path) -> Iterator[None]:
    """To HOME/runner.log, which is rotated, and in words to the terminal."""
    logs = {logging.getLogger("espalier.runner"): logging.INFO, logging.getLogger("evaluator.forges"): logging.WARNING}
    file = logging.handlers.RotatingFileHandler(home / "runner.log", maxBytes=LOG_BYTES, backupCount=LOG_FILES)
    file.setFormatter(_Lines())
    told = logging.StreamHandler()
    told.setFormatter(_Told())
    for log, level in logs.items():
        log.setLevel(level)
        log.handlers = [file, told]
    try:
        yield
    finally:
        file.close()
        for log in logs:
            log.handlers = []


class _Told(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        about = ", ".join(
            f"{name} {value}" for name, value in vars(record).items() if name not in PLAIN and value is not None
        )
        return safe(record.getMessage() + (f" ({about})" if about else ""))
