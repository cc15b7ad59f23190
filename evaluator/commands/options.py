"""Options that several commands share, and what they select."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from evaluator.errors import SignatureError, SubmissionError, UsageError, nearest
from evaluator.grid import Grid, load_grid
from evaluator.metadata import Submission, load_submission
from evaluator.plan import Selection
from evaluator.records import AllowedSigners, SigningKey, Store
from evaluator.records.previous import published
from evaluator.records.record import DENSE, SandboxKind
from evaluator.records.signatures import NAMESPACE, SIGNERS, published_files
from evaluator.repository import Repository
from evaluator.setting import Setting
from evaluator.terminal import err, safe

LISTED = 10
"""Names that a remedy gives at most."""
Root = Annotated[Path | None, typer.Option(help="the checkout (default: the one that holds the current folder)")]
Json = Annotated[bool, typer.Option("--json", help="print JSON for programs")]
Slugs = Annotated[list[str] | None, typer.Argument(help="submissions (default: all); `dense` is the dense control")]
Tier = Annotated[str | None, typer.Option(help="only benchmarks of this tier")]
Benchmarks = Annotated[list[str] | None, typer.Option(help="only this benchmark (may be repeated)")]
RecipeName = Annotated[
    str | None, typer.Option("--recipe", help="retrained by this alternative recipe instead, where a benchmark knows it")
]
Stress = Annotated[bool, typer.Option("--stress", help="the stress targets as well, beyond those that are ranked")]
Cells = Annotated[list[str] | None, typer.Option(help="only this cell, by its id (may be repeated)")]
Walls = Annotated[
    Literal["auto", SandboxKind],
    typer.Option("--sandbox", help="bubblewrap: that or nothing; none: submissions run with your rights"),
]
Key = Annotated[
    Path | None,
    typer.Option("--sign-with", metavar="KEY", envvar="ESPALIER_SIGNING_KEY", help="sign what is published with this key"),
]


def warn_without_sandbox(setting: Setting) -> None:
    """Say what it means where submissions run without one."""
    if setting.sandbox == "none":
        err.print(
            "[bold red]WARNING[/]: there is no sandbox. Submissions run with your rights; run only code that you trust. "
            "Records will say `sandbox: none` and cannot be published. Better install bubblewrap and allow user namespaces."
        )


@dataclass(frozen=True)
class Selected:
    """A checkout, its grid, and the part of it that the options name."""

    repository: Repository
    grid: Grid
    submissions: list[Submission]
    selection: Selection


def select(
    root: Path | None,
    slugs: list[str] | None = None,
    tier: str | None = None,
    benchmarks: list[str] | None = None,
    cells: list[str] | None = None,
    recipe: str | None = None,
    stress: bool = False,
) -> Selected:
    """Resolve the options; raises UsageError for a name that does not exist."""
    repository = Repository.find(root)
    grid = load_grid(repository.grid)
    chosen = set(benchmarks or [])
    for name in chosen:
        grid.benchmark(name)
    if tier is not None:
        chosen = (chosen or set(grid.benchmarks)) & set(grid.in_tier(tier))
        if not chosen:
            raise UsageError(f"the tier {tier!r} has none of these benchmarks")
    if recipe is not None:
        chosen = _with_alternative(grid, chosen, recipe)
    submissions = _submissions(repository, slugs)
    _check_cells(grid, cells or [])
    selection = Selection(frozenset(slugs or []), frozenset(chosen), frozenset(cells or []), recipe, stress)
    return Selected(repository, grid, submissions, selection)


def published_store(repository: Repository, key: Path | None) -> Store:
    """The store of published records, to be written to: it signs if there is a key, and says so if it should and does not.

    What it replaces it notes, and keeps where the grid changed.

    Raises:
        SignatureError: the key's signatures do not count, or somebody else has changed what is published.
    """
    if key is not None:
        signing = signing_key(repository, key)
        signing.signers.require(published_files(repository.published))
        return published(repository.published, signing)
    if AllowedSigners.of(repository.published) is not None:
        err.print("[bold]not signed[/]: no site can be built of what is published now until `espalier sign` has signed it")
    return published(repository.published)


def signing_key(repository: Repository, key: Path) -> SigningKey:
    """Raises SignatureError where the key cannot sign, or nothing says that its signatures count."""
    signers = AllowedSigners.of(repository.published)
    if signers is None:
        fix = f'write it, a line for each key: NAME namespaces="{NAMESPACE}" and then what is in the file KEY.pub'
        what = "this file, which says whose signatures count, is not there"
        raise SignatureError(what, where=repository.published / SIGNERS, fix=fix)
    return SigningKey(key, signers)


def _with_alternative(grid: Grid, chosen: set[str], recipe: str) -> set[str]:
    """The benchmarks that know an alternative recipe; raises UsageError when none of the chosen ones does."""
    known = {name: entry.alternative_recipes for name, entry in grid.benchmarks.items()}
    found = {name for name in chosen or grid.benchmarks if recipe in known[name]}
    if not found:
        names = sorted({one for name in chosen or known for one in known[name]})
        elsewhere = [f"--benchmark {name}" for name in known if recipe in known[name]]
        fix = f"one of: {', '.join(names) or 'there are none'}" + (f"; or {', '.join(elsewhere)}" if elsewhere else "")
        raise UsageError(
            f"no alternative recipe {recipe!r} there" if chosen else f"no alternative recipe {recipe!r}", fix=fix
        )
    return found


def _submissions(repository: Repository, slugs: list[str] | None) -> list[Submission]:
    if not slugs:
        return _valid(repository.submissions)
    for slug in slugs:
        if slug != DENSE and not (repository.submissions / slug).is_dir():
            known = sorted(path.name for path in repository.submissions.glob("*/") if not path.name.startswith("."))
            raise UsageError(
                f"no submission {slug!r}", fix=nearest(slug, known) if known else "none yet; see `espalier new`"
            )
    return [load_submission(repository.submissions / slug) for slug in dict.fromkeys(slugs) if slug != DENSE]


def unmeasured(slug: str, measured: Collection[str], submissions: Path) -> str:
    """A remedy where there are no figures of ``slug``, but of the ``measured``."""
    if (submissions / slug).is_dir():
        return f"espalier evaluate {slug} --tier smoke"
    return nearest(slug, sorted(measured), "one of those under results/" if len(measured) > LISTED else None)


def _valid(folder: Path) -> list[Submission]:
    """Every submission that can be used; the others are named, and do not keep these from being measured."""
    found = []
    for path in sorted(folder.glob("*/")):
        try:
            found += [load_submission(path)] if not path.name.startswith(".") else []
        except SubmissionError as error:
            err.print(f"[bold]left out[/] {safe(path.name)}: {safe(error)}")
    return found


def _check_cells(grid: Grid, cells: list[str]) -> None:
    for cell in cells:
        benchmark, _, rest = cell.partition("/")
        if not rest:
            benchmark = next(iter(grid.benchmarks))  # for an example
        known = _cells_of(grid, benchmark)
        if cell not in known:
            raise UsageError(f"no cell {cell!r}", fix=nearest(cell, known, otherwise=f"a cell's id looks like {known[0]}"))


def _cells_of(grid: Grid, benchmark: str) -> list[str]:
    entry = grid.benchmark(benchmark)
    dense = [(track, division, seed) for track in entry.tracks for division in entry.divisions for seed in entry.seeds]
    ours = [cell.id for division in entry.divisions for cell in grid.cells(benchmark, division, stress=True)]
    return ours + [f"{benchmark}/{track}/{division}/1/{seed}" for track, division, seed in dense]
