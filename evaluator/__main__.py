"""The command line: one module for each verb, thin over plain functions."""

from __future__ import annotations

import os
import signal
import sys

import typer

from evaluator import __version__
from evaluator.commands.audit import audit
from evaluator.commands.bases import bases
from evaluator.commands.check import check
from evaluator.commands.evaluate import evaluate
from evaluator.commands.gc import gc
from evaluator.commands.grid import grid
from evaluator.commands.new import new
from evaluator.commands.plan import plan
from evaluator.commands.promote import promote
from evaluator.commands.runner import runner
from evaluator.commands.sentinels import sentinels
from evaluator.commands.show import show
from evaluator.commands.sign import sign
from evaluator.commands.site import site
from evaluator.commands.smoke import smoke
from evaluator.commands.verify import verify
from evaluator.errors import EspalierError, Interrupted
from evaluator.terminal import err, safe

app = typer.Typer(
    name="espalier",
    help="The standardized leaderboard of neural-network pruning.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for verb in (new, check, smoke, plan, evaluate, show, audit, promote, sign, verify, sentinels, gc, grid, bases, runner):
    app.command()(verb)
app.add_typer(site, name="site")


@app.callback(invoke_without_command=True)
def _version(version: bool = typer.Option(False, "--version", help="print the version")) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


def main() -> None:
    """Run the command line; an error of ours is told without a traceback, and Ctrl-C or SIGTERM is no error."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        app()
    except SystemExit as end:
        if not isinstance(end.code, int):
            raise
        _leave(end.code)
    except Interrupted as error:
        err.print(safe(error))
        _leave(error.exit_code)
    except EspalierError as error:
        err.print(f"[bold red]error[/]: {safe(error)}")
        _leave(error.exit_code)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in {"evaluator", "leaderboard"}:
            raise
        fix = "`nox -s lint` installs what requirements.lock pins; without nox, python -m pip install -e . in the checkout"
        err.print(f"[bold red]error[/]: the Python package {safe(package)} is not installed\n  fix: {safe(fix)}")
        _leave(1)
    except BrokenPipeError:
        _leave(0)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        err.print(f"[bold red]error[/]: {safe(place)}{safe(error.strerror or error)}")
        _leave(1)


def _interrupt(*_: object) -> None:
    raise Interrupted("stopped")


def _leave(code: int) -> None:
    """End at once: threads may be waiting for processes, which die with this one, and to take memory down piece by piece
    takes half a second after a large site."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
