"""The whole build: gather everything, render into a temporary folder, verify, swap.

The old site stays as it is until the new one is complete and verified; the same records give the same bytes.
"""

from __future__ import annotations

import datetime
import gc
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from evaluator.errors import SubmissionError
from evaluator.grid import load_grid
from evaluator.held import held_folder
from evaluator.metadata import Submission, load_submission
from evaluator.records.record import DENSE
from evaluator.repository import Repository
from leaderboard import chooser, comparison, discovery, downloads, previews, search
from leaderboard.address import NOWHERE, Places, normal, project
from leaderboard.aside import aside
from leaderboard.charts import layouts_kept
from leaderboard.downloads import Downloads
from leaderboard.errors import SiteError
from leaderboard.kept import NOTHING, Kept
from leaderboard.load import load_results
from leaderboard.pages import (
    benchmark,
    board,
    compare,
    data,
    findings,
    home,
    literature,
    method,
    methods,
    news,
    prose,
    records,
    taxonomy,
)
from leaderboard.pages import search as search_page
from leaderboard.pages.site import Page, Site
from leaderboard.standings import make_standings
from leaderboard.verify import problems
from leaderboard.writing import Written, write, write_pages

STATIC = Path(__file__).resolve().parents[1] / "static"
MARKER = "build.json"
Say = Callable[[str], None]
FEW = 2_000
"""Up to so many records, another process for the downloads costs more than it saves."""


@dataclass(frozen=True)
class Built:
    """What a build made."""

    folder: Path
    pages: int
    records: int
    warnings: list[str]
    faults: list[str]


def build(
    repository: Repository,
    output: Path,
    *,
    local: bool = True,
    notice: str = "",
    places: Places = NOWHERE,
    snapshots: Path | None = None,
    kept: Path | None = None,
    say: Say = lambda _: None,
) -> Built:
    """Build the site of ``repository`` into ``output``, replacing the site there.

    Args:
        local: also show what was measured on this machine.
        notice: stands on top of every page.
        places: where the site will be read: only with it has it a sitemap, pictures for link previews, and a page for lost
            readers whose links hold at any depth; without it no page says where the site is. And where the project's
            repository is, to which every page then links.
        snapshots: folder of those that were published before, which stay available.
        kept: folder for what is kept from build to build (default: among the local state).
        say: called with a line at every step.

    Raises:
        SiteError: ``output`` is something else than a site, one of ``places`` no address, or the site breaks its own rules.
        StoreError: a file of records is damaged, or not signed where it has to be.
        GridError: the grid is invalid.
    """
    _refuse_foreign(output)
    say("reading records")
    keeper = Kept(kept or repository.cache / "site")
    with (
        _staging(output) as folder,
        layouts_kept(keeper),
        _gathered(repository, local=local, notice=notice, places=places, kept=keeper) as site,
    ):
        say(f"{len(site.results.rows)} records, {len(site.slugs)} methods; writing downloads")
        worthwhile = len(site.results.rows) > FEW
        with aside(lambda: _write_data(site, folder, snapshots), worthwhile=worthwhile) as offered:
            pages = all_pages(site, offered)
            say(f"writing {_shown(pages)} pages")
            written = _write_pages(folder, site, pages, keeper)
        found = _finish(folder, site, pages, written, say)
        if found:
            more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
            raise SiteError(f"the new site was not put in place: {found[0]}{more}", where=output, fix="report this as a bug")
    keeper.sweep()
    return Built(output, _shown(pages), len(site.results.rows), site.warnings, site.faults)


def _shown(pages: list[Page]) -> int:
    """How many are for readers."""
    return sum(page.path.endswith(".html") for page in pages)


def _write_pages(folder: Path, site: Site, pages: list[Page], kept: Kept) -> dict[str, Written]:
    """The page of the downloads last: it waits for them."""
    front = previews.choose(site, home := pages[0], home.charts)
    parts = ([page for page in pages if (page.path == data.PATH) == late] for late in (False, True))
    early, late = (write_pages(folder, site, part, front, kept) for part in parts)
    return early | late


def _write_data(site: Site, folder: Path, snapshots: Path | None) -> Downloads:
    """What is to be taken away, and what scripts ask for."""
    for name, text in (chooser.file(site), *comparison.files(site)):
        write(folder / name, text)
    return downloads.write(site, folder / "data", snapshots)


def _finish(folder: Path, site: Site, pages: list[Page], written: Mapping[str, Written], say: Say) -> list[str]:
    """Write what is about all pages, and look at everything: what is wrong, a line each."""
    write(folder / search.FILE, search.index([one.entry for one in written.values() if one.entry is not None]))
    for name, text in discovery.files(site, pages):
        write(folder / name, text)
    shutil.copytree(STATIC, folder / "static")
    write(folder / MARKER, _marker(site))
    say("verifying")
    return problems(folder, site.url, {path: one.leaf for path, one in written.items() if one.leaf is not None})


def gather(
    repository: Repository,
    *,
    local: bool = True,
    notice: str = "",
    places: Places = NOWHERE,
    kept: Kept = NOTHING,
) -> Site:
    """Read everything that any page needs."""
    found = normal(places.url), project(places.source)
    grid = load_grid(repository.grid)
    results = load_results(repository, grid, local=local, kept=kept)
    warnings = list(results.warnings)
    submissions = dict(_submissions(repository, warnings))
    standings = [make_standings(board, grid) for board in results.boards]
    return Site(grid, results, submissions, standings, warnings, _date(results.newest), notice, *found, kept)


def all_pages(site: Site, offered: Callable[[], Downloads]) -> list[Page]:
    """Every page, in a fixed order, the home page first."""
    found = [*chain(
        home.pages(site),
        benchmark.pages(site),
        board.pages(site),
        methods.pages(site),
        method.pages(site),
        records.pages(site),
        taxonomy.pages(site),
        compare.pages(site),
        findings.pages(site),
        literature.pages(site),
        news.pages(site),
        prose.pages(site),
        data.pages(site, offered),
    )]  # fmt: skip
    return [*found, *search_page.pages(found)]


def _submissions(repository: Repository, warnings: list[str]) -> Iterator[tuple[str, Submission]]:
    """Every valid submission; an invalid one costs its own page, not the site."""
    folder = repository.submissions
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if not path.is_dir() or path.name.startswith((".", "_")):
            continue
        try:
            submission = load_submission(path)
        except SubmissionError as error:
            warnings.append(f"left out: {error.where}: {error.what}")
            continue
        if submission.slug == DENSE:
            warnings.append(f"left out: {path}: the name {DENSE!r} is the control's")
            continue
        yield submission.slug, submission


def _date(newest: str | None) -> str | None:
    """The site's date: never the clock's, so that a rebuild gives the same bytes."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if not epoch:
        return newest
    try:
        return datetime.datetime.fromtimestamp(int(epoch), datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        raise SiteError(f"SOURCE_DATE_EPOCH is {epoch!r}", fix="set it to seconds since 1970, or unset it") from None


def _marker(site: Site) -> str:
    grid, count = site.grid, len(site.results.rows)
    facts = {"grid": grid.version, "grid_digest": grid.digest, "date": site.date, "records": count}
    return json.dumps(facts | {"url": site.url, "source": site.source}, indent=2) + "\n"


def _refuse_foreign(output: Path) -> None:
    """Never replace a folder that is not a site."""
    if output.is_symlink() or (output.exists() and not output.is_dir()):
        raise SiteError("this is not a folder", where=output, fix="name another place with --output DIR")
    if output.is_dir() and any(output.iterdir()) and not (output / MARKER).is_file():
        raise SiteError("this folder holds something else than a site", where=output,
                        fix="name an empty or a new folder with --output DIR")  # fmt: skip


@contextmanager
def _gathered(repository: Repository, **options: Any) -> Iterator[Site]:
    """What is gathered lives until the end: to look for garbage in it again and again takes a tenth of a build. Whoever
    writes pages looks when there is much."""
    was = gc.isenabled()
    gc.disable()
    try:
        site = gather(repository, **options)
        gc.freeze()
        yield site
    finally:
        gc.unfreeze()
        if was:
            gc.enable()


@contextmanager
def _staging(output: Path) -> Iterator[Path]:
    """A folder beside ``output`` that takes its place when the block ends well, and disappears when it does not."""
    with held_folder(output.parent, f".{output.name}.") as staging:
        new, old = staging / "new", staging / "old"
        new.mkdir()
        yield new
        if output.exists():
            output.rename(old)
        try:
            new.rename(output)
        except OSError:
            if old.exists():
                old.rename(output)
            raise
