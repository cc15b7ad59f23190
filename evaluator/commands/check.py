"""`espalier check`: every problem of the submissions at once, without running them."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from evaluator.check import Report, check_submissions
from evaluator.check.problems import visible
from evaluator.commands.options import Json, Root
from evaluator.errors import UsageError
from evaluator.repository import Repository
from evaluator.terminal import out

PARTS = ("metadata.yaml", "method.py")
"""By which a folder is told to be one."""


def check(
    submissions: Annotated[
        list[str] | None, typer.Argument(metavar="[SLUG|PATH]...", help="slugs or folders (default: every submission)")
    ] = None,
    as_json: Json = False,
    schema: Annotated[bool, typer.Option("--schema", help="print the JSON Schema of metadata.yaml, for editors")] = False,
    root: Root = None,
) -> None:
    """Check submissions without running them: metadata, code, files. Exit code 1 when there are errors."""
    if schema:
        typer.echo(json.dumps(metadata_schema(), indent=2))
        return
    folders = find_folders(submissions or [], root)
    report = check_submissions(folders)
    if as_json:
        typer.echo(json.dumps(report.to_json(), indent=2))
    else:
        show(report)
    if not report.ok:
        raise typer.Exit(1)


def metadata_schema() -> dict[str, Any]:
    """The JSON Schema of ``metadata.yaml``."""
    from evaluator.metadata import Metadata

    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Metadata.model_json_schema()}


def find_folders(names: Sequence[str], root: Path | None) -> list[Path]:
    """The submissions that are meant: slugs of the checkout or paths; all of the checkout when none is named.

    Raises:
        UsageError: there is no such submission, or no checkout where a slug could be.
    """
    if not names:
        return _all(Repository.find(root).submissions)
    return list(dict.fromkeys(_find(name, root) for name in names))


def _find(name: str, root: Path | None) -> Path:
    path = Path(name)
    try:
        submissions: Path | None = Repository.find(root).submissions
    except UsageError:
        if path.name == name and not path.exists():
            raise
        submissions = None
    if submissions and name and path.name == name and (submissions / name).is_dir():
        return _shortened(submissions / name)
    if path.is_dir():
        if path.resolve().parent != (submissions or path).resolve() and not any((path / part).exists() for part in PARTS):
            fix = "give the slug or the folder of one, or nothing for all of them"
            raise UsageError(f"'{visible(name)}' is no submission: neither {' nor '.join(PARTS)} is in it", fix=fix)
        return path
    if path.is_file():
        return path.parent
    known = [folder.name for folder in _all(submissions)] if submissions else []
    near = difflib.get_close_matches(name, known, n=1)
    fix = f"did you mean {near[0]}?" if near else "give a slug under submissions/ or the path of a folder"
    raise UsageError(f"there is no submission '{visible(name)}'", fix=fix)


def _all(submissions: Path) -> list[Path]:
    if not submissions.is_dir():
        return []
    folders = [path for path in submissions.iterdir() if path.is_dir() and not path.name.startswith(".")]
    return [_shortened(folder) for folder in sorted(folders)]


def _shortened(path: Path) -> Path:
    """``path`` as seen from the current folder, where it lies below it."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) and path != here else path


def show(report: Report) -> None:
    """Print a report for people: coloured on a terminal, plain lines elsewhere."""
    for path, problems in groupby(report.problems, key=lambda problem: problem.path):
        out.print(Text(visible(path.as_posix()), style="bold"))
        for problem in problems:
            style = "red" if problem.severity == "error" else "yellow"
            place = f"line {problem.line}: " if problem.line else ""
            out.print(
                Text("  ").append(problem.severity, style).append(f" {place}{visible(problem.message)} [{problem.code}]")
            )
            out.print(Text(f"    fix: {visible(problem.fix)}", style="dim"))
    errors = sum(problem.severity == "error" for problem in report.problems)
    warnings = len(report.problems) - errors
    checked = _number(report.submissions, "submission")
    found = f"{_number(errors, 'error')}, {_number(warnings, 'warning')}" if report.problems else "no problems"
    out.print(Text(f"{checked} checked: {found}", style="green" if report.ok else "red"))


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
