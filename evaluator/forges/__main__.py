"""`python -m evaluator.forges`: try a local forge by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evaluator.errors import EspalierError
from evaluator.forges import people
from evaluator.forges.forge import Change
from evaluator.forges.local import LocalForge
from evaluator.terminal import err, out, print_table, safe

app = typer.Typer(help="Try a local forge: a bare repository with changes.", no_args_is_help=True, add_completion=False,
                  pretty_exceptions_enable=False, rich_markup_mode=None)  # fmt: skip

Bare = Annotated[Path, typer.Argument(help="the folder of the bare repository")]
Number = Annotated[int, typer.Argument(help="the change")]
Commit = Annotated[str, typer.Argument(help="a commit or branch of the checkout")]
Checkout = Annotated[Path, typer.Option("--from", help="the checkout")]
By = Annotated[str, typer.Option("--by", help="who does it")]


@app.command()
def create(
    bare: Bare,
    commit: Commit = "HEAD",
    checkout: Checkout = Path(),
    maintainer: Annotated[list[str] | None, typer.Option("--maintainer", help="whose approvals count")] = None,
) -> None:
    """Make a forge whose main is a commit of a checkout."""
    people.create(bare, checkout, commit, maintainers=maintainer)
    out.print(f"a forge, {safe(bare)}; its main is {safe(commit)} of {safe(checkout.absolute())}")


@app.command(name="open")
def open_(
    bare: Bare,
    title: Annotated[str, typer.Option("--title")],
    author: Annotated[str, typer.Option("--author")],
    commit: Commit = "HEAD",
    checkout: Checkout = Path(),
) -> None:
    """Propose a commit."""
    _tell(people.open_change(LocalForge(bare), checkout, commit, title=title, author=author))


@app.command()
def push(bare: Bare, number: Number, commit: Commit = "HEAD", checkout: Checkout = Path()) -> None:
    """Propose another commit instead."""
    _tell(people.push(LocalForge(bare), checkout, number, commit))


@app.command()
def approve(bare: Bare, number: Number, by: By, commit: Annotated[str | None, typer.Option("--commit")] = None) -> None:
    """Let what is proposed now be evaluated, where a maintainer says so."""
    forge = LocalForge(bare)
    change = people.approve(forge, number, by, commit)
    _tell(change)
    if by not in {approval.by for approval in forge.approvals(change)}:
        err.print(f"[bold]this does not count[/]: {safe(by)} is no maintainer of this forge")
        err.print(f"  fix: git -C {safe(forge.path)} config --add espalier.maintainer NAME, for whom you trust with it")
        raise typer.Exit(1)


@app.command()
def merge(
    bare: Bare,
    number: Number,
    by: By = "maintainer",
    how: Annotated[people.How, typer.Option(help="by a merge commit, as one commit, or commit by commit")] = "merge",
) -> None:
    """Merge a change."""
    _tell(people.merge(LocalForge(bare), number, by, how))


@app.command()
def close(bare: Bare, number: Number) -> None:
    """Turn a change down."""
    _tell(people.close(LocalForge(bare), number))


@app.command()
def show(bare: Bare) -> None:
    """List open changes with their status, and print our comments."""
    forge = LocalForge(bare)
    changes = forge.open_changes()
    shown = [(change, forge.status(change)) for change in changes]
    print_table(
        ("change", "head", "title", "author", "status"),
        [(c.number, c.head[:12], c.title, c.author, f"{s.state}: {s.description}" if s else "") for c, s in shown],
    )
    for change in changes:
        if (comment := forge.comment(change)) is not None:
            out.print(f"\nchange {change.number}\n{safe(comment)}")


def _tell(change: Change) -> None:
    out.print(f"change {change.number}: {change.state}, {change.head}")


def main() -> None:
    """An error of ours is told without a traceback."""
    try:
        app()
    except EspalierError as error:
        err.print(f"[bold red]error[/]: {safe(error)}")
        raise SystemExit(error.exit_code) from None


if __name__ == "__main__":
    main()
