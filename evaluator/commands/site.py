"""`espalier site`: build the leaderboard's pages, and look at them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from evaluator.commands.options import Root
from evaluator.errors import Interrupted
from evaluator.repository import Repository
from evaluator.terminal import err, out, safe

site = typer.Typer(help="Build the static site, or look at it.", no_args_is_help=True, rich_markup_mode=None)

Output = Annotated[Path | None, typer.Option(help="the site's folder (default: public/ in the checkout)")]


@site.command()
def build(
    root: Root = None,
    output: Output = None,
    local: Annotated[bool, typer.Option(help="also show what was measured on this machine")] = True,
    notice: Annotated[str, typer.Option(help="a line on top of every page, as of a preview")] = "",
    url: Annotated[str, typer.Option(help="where it will be read: for sitemap and link previews")] = "",
    source: Annotated[str, typer.Option(help="where the project's repository is: every page links to it")] = "",
    snapshots: Annotated[
        Path | None,
        typer.Option(help="folder of snapshots that were published before: they are offered on", file_okay=False),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="end with 1 where more is left out than what is stale")] = False,
) -> None:
    """Build the whole site from the records: static pages that work offline and from a file."""
    from leaderboard.address import Places
    from leaderboard.build import build as build_site

    repository = Repository.find(root)
    folder = _folder(repository, output)
    started = time.monotonic()
    say = lambda line: err.print(f"[dim]{safe(line)}[/]")  # noqa: E731
    places = Places(url, source)
    built = build_site(repository, folder, local=local, notice=notice, places=places, snapshots=snapshots, say=say)
    for warning in built.warnings:
        err.print(f"[yellow]warning[/]: {safe(warning)}")
    seconds = time.monotonic() - started
    out.print(f"{built.pages} pages from {built.records} records in {seconds:.1f} s: {safe(str(folder / 'index.html'))}")
    if strict and built.faults:
        raise typer.Exit(1)


@site.command()
def serve(
    root: Root = None,
    output: Output = None,
    port: Annotated[int, typer.Option(help="0 takes any free one", min=0, max=65535)] = 8000,
) -> None:
    """Serve the built site on this machine, until Ctrl-C."""
    from leaderboard.serve import make_server

    folder = _folder(Repository.find(root), output)
    with make_server(folder, port) as server:
        out.print(f"http://127.0.0.1:{server.server_address[1]}/  (Ctrl-C ends it)")
        try:
            server.serve_forever()
        except Interrupted:
            out.print("stopped")


def _folder(repository: Repository, output: Path | None) -> Path:
    return (output or repository.root / "public").absolute()
