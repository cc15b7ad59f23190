"""`espalier sign`: vouch for published records that were written without a key, or by somebody whose key counts no more."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from evaluator.commands.options import Json, Root, signing_key
from evaluator.errors import UsageError
from evaluator.grid import load_grid
from evaluator.records import SigningKey, Store
from evaluator.records.signatures import Verdict, published_files
from evaluator.repository import Repository
from evaluator.terminal import err, out, print_json, safe
from evaluator.verification import Finding, unsound


def sign(
    files: Annotated[
        list[Path] | None, typer.Argument(help="published files (default: all whose signature does not count)")
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option("--key", "--sign-with", envvar="ESPALIER_SIGNING_KEY", help="the private key, or that of ssh-agent"),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="also those whose signature counts: where a new key takes over")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only say what would be signed")] = False,
    as_json: Json = False,
    root: Root = None,
) -> None:
    """Sign published records as they are. Look at them first (`git diff results`): whoever signs vouches for every line."""
    repository = Repository.find(root)
    grid = load_grid(repository.grid)
    chosen = _chosen(repository, files)
    if key is None:
        raise UsageError("no signing key was given", fix="--key KEY, or set ESPALIER_SIGNING_KEY")
    signing = signing_key(repository, key)
    signed: list[Verdict] = []
    refused: list[Finding] = []
    with Store(repository.published).writing():
        for verdict in signing.signers.verify_all(chosen):
            if verdict.state == "ok" and not everything:
                continue
            if problems := unsound(verdict.file, repository, grid):
                refused.append(problems[0])
                continue
            if not dry_run:
                signing.sign(verdict.file)
            signed.append(verdict)
    for where, what, _ in refused:
        err.print(f"[bold red]not signed[/]: {safe(where)}: {safe(what)}")
    _report(repository, signing, signed, as_json=as_json, dry_run=dry_run)
    if refused:
        raise typer.Exit(1)


def _chosen(repository: Repository, files: Sequence[Path] | None) -> list[Path]:
    """Published files by their names, as seen from here; all of them when none is named."""
    known = published_files(repository.published)
    if not files:
        return known
    chosen = [file.absolute() for file in files]
    resolved = {file.resolve(): file for file in known}
    for file in chosen:
        if file.resolve() not in resolved:
            raise UsageError("this is no published file", where=file, fix=f"one of those in {repository.published}")
    return [resolved[file.resolve()] for file in chosen]


def _report(repository: Repository, key: SigningKey, signed: Sequence[Verdict], *, as_json: bool, dry_run: bool) -> None:
    names = [(verdict.file.relative_to(repository.root).as_posix(), verdict.state) for verdict in signed]
    if as_json:
        files = [{"file": name, "was": state} for name, state in names]
        print_json({"dry_run": dry_run, "by": key.name, "signed": files})
        return
    for name, state in names:
        verb = "would sign" if dry_run else "signed"
        out.print(f"{verb} {safe(name)} as {safe(key.name)} (it was {'signed' if state == 'ok' else state})")
    if not names:
        out.print("nothing to sign")
