"""`espalier verify`: can what is published be relied on, and does a site show nothing else?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evaluator.commands.options import Json, Root
from evaluator.errors import StoreError
from evaluator.grid import load_grid
from evaluator.repository import Repository
from evaluator.terminal import err, out, print_json, safe
from evaluator.verification import Finding, Report
from evaluator.verification import verify as verify_records

if TYPE_CHECKING:
    from leaderboard.rebuild import Comparison

MOST = 50
"""So many findings are printed; a program gets them all."""


def verify(
    site: Annotated[Path | None, typer.Option("--site", help="also check that this built site follows from them")] = None,
    local: Annotated[bool, typer.Option("--local", help="the site also shows what this machine measured")] = False,
    as_json: Json = False,
    root: Root = None,
) -> None:
    """Check published records: signatures, digests, schema, keys, counts, base models; and a site, by building it again."""
    repository = Repository.find(root)
    report = verify_records(repository, load_grid(repository.grid))
    comparison = _compare(repository, site, report, local=local) if site else None
    if as_json:
        print_json(_as_json(report, comparison))
    else:
        _show(report, comparison, site)
    if report.problems or (comparison and comparison.differences):
        raise typer.Exit(1)


def _compare(repository: Repository, site: Path, report: Report, *, local: bool) -> Comparison | None:
    """None where no site can be built of these records, which is one more problem."""
    from leaderboard.rebuild import compare

    try:
        return compare(repository, site.absolute(), local=local, say=lambda line: err.print(f"[dim]{safe(line)}[/]"))
    except StoreError as error:
        what = f"not compared: no site can be built of these records ({error.where}: {error.what})"
        report.problems.append(Finding(str(site), what))
        return None


def _show(report: Report, comparison: Comparison | None, site: Path | None) -> None:
    _print(report.notes, "note")
    _print(report.problems, "[bold red]problem[/]")
    if comparison and comparison.differences:
        _print([Finding(f"{site}/{file}", what) for file, what in comparison.differences], "[bold red]problem[/]")
        out.print(f"[bold red]{safe(site)} does not follow from the records[/]: {safe(comparison.hint)}")
    states = ", ".join(f"{number} {state}" for state, number in report.signatures.most_common())
    signed = f"signatures: {states}" if report.signatures else "nothing has to be signed"
    found = len(report.problems) + (len(comparison.differences) if comparison else 0)
    verdict = f"{found} problem{'s' if found > 1 else ''}" if found else "no problem"
    out.print(f"{report.records} records in {report.files} files; {signed}; {verdict}")
    if comparison and not comparison.differences:
        out.print(f"every file of {safe(site)} follows from the records, byte for byte")
    for address in filter(None, comparison.places if comparison else ()):
        out.print(f"its address {safe(address)} is taken from it, and is not checked")


def _print(findings: Sequence[Finding], kind: str) -> None:
    for where, what, fix in findings[:MOST]:
        out.print(f"{kind}: {safe(where)}: {safe(what)}" + (f"\n  fix: {safe(fix)}" if fix else ""))
    if len(findings) > MOST:
        out.print(f"and {len(findings) - MOST} more, which --json lists")


def _as_json(report: Report, comparison: Comparison | None) -> dict[str, object]:
    return {
        "files": report.files,
        "records": report.records,
        "signatures": dict(report.signatures),
        "problems": [finding._asdict() for finding in report.problems],
        "notes": [finding._asdict() for finding in report.notes],
        "site": comparison and _site_as_json(comparison),
    }


def _site_as_json(comparison: Comparison) -> dict[str, object]:
    return {
        "differences": [one._asdict() for one in comparison.differences],
        "hint": comparison.hint,
        "places": comparison.places._asdict(),
    }
