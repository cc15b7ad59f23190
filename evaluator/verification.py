"""Whether what is published can be relied on: signatures, records against themselves and the grid, and base models.

A problem is something that must not be published. A note is something to know: what the site leaves out, or nobody reads.
No PyTorch here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from evaluator.base_files import base_digest, base_path, kept_elsewhere
from evaluator.errors import BaseModelError, StoreError, Unpinned
from evaluator.expectation import expected_inputs, of_variant
from evaluator.grid import Grid
from evaluator.history import broken
from evaluator.records import AllowedSigners, Audits, Changes, Churn, Record, stale_reasons
from evaluator.records.acceptance import acceptances
from evaluator.records.record import DENSE, is_control
from evaluator.records.signatures import SIGNERS, SUFFIX, State, published_files, signature_of
from evaluator.records.soundness import contradictions, unlike_grid, unpublishable
from evaluator.records.store import read_file
from evaluator.repository import Repository

Kind = Literal["records", "audit", "previous", "changes", "accepted"]
KINDS: tuple[Kind, ...] = get_args(Kind)


class Finding(NamedTuple):
    """What was found, where (a file of the checkout, perhaps with a line), and what to do about it."""

    where: str
    what: str
    fix: str | None = None


@dataclass
class Report:
    """What was looked at, and what was found."""

    files: int = 0
    records: int = 0
    signatures: Counter[State] = field(default_factory=Counter)
    """Files by how their signature was judged; empty where nobody has to sign."""
    problems: list[Finding] = field(default_factory=list)
    notes: list[Finding] = field(default_factory=list)


def verify(repository: Repository, grid: Grid) -> Report:
    """Check everything that is published in a checkout.

    Raises:
        SignatureError: records must be signed here, and there is no ssh-keygen to tell.
    """
    published = repository.published
    files = published_files(published)
    report = Report(files=len(files))
    _verify_signatures(repository, files, report)
    of_kind = {kind: [path for path in files if _kind(path, published) == kind] for kind in KINDS}
    records = [record for path in of_kind["records"] for record in _verify_records(path, repository, grid, report)]
    report.records = len(records)
    report.problems += _different_counts(records)
    old = [record for path in of_kind["previous"] for record in _verify_previous(path, repository, grid, report)]
    named = {score.predictions for record in (*records, *old) for score in (record.before, record.after) if score}
    for path in of_kind["audit"]:
        _verify_audit(path, repository, named, report)
    report.notes += _unneeded(of_kind["previous"], records, repository, grid)
    for path in of_kind["changes"]:
        _verify_changes(path, repository, records, report)
    for path in of_kind["accepted"]:
        _verify_acceptances(path, repository, report)
    report.notes += _strays(repository, files)
    report.problems += _damaged_bases(repository, grid)
    return report


def unsound(path: Path, repository: Repository, grid: Grid) -> list[Finding]:
    """The problems of one published file, whoever signed it."""
    report = Report()
    match _kind(path, repository.published):
        case "audit":
            _verify_audit(path, repository, set(), report)
        case "previous":
            _verify_previous(path, repository, grid, report)
        case "changes":
            _verify_changes(path, repository, (), report)
        case "accepted":
            _verify_acceptances(path, repository, report)
        case "records":
            _verify_records(path, repository, grid, report)
    return report.problems


def _kind(path: Path, published: Path) -> Kind:
    match path.relative_to(published).parts:
        case [_]:
            return "accepted"
        case ["changes", _, _]:
            return "changes"
        case ["previous", _, _]:
            return "previous"
        case [_, _, _]:
            return "audit"
        case _:
            return "records"


def _place(path: Path, repository: Repository, line: int | None = None) -> str:
    return path.relative_to(repository.root).as_posix() + (f":{line}" if line else "")


def _verify_signatures(repository: Repository, files: Sequence[Path], report: Report) -> None:
    signers = AllowedSigners.of(repository.published)
    if signers is None:
        place = _place(repository.published / SIGNERS, repository)
        report.notes.append(Finding(place, "this file, which says whose signatures count, is not there: nothing is signed"))
        return
    for verdict in signers.verify_all(files):
        report.signatures[verdict.state] += 1
        if verdict.state != "ok":
            report.problems.append(Finding(_place(verdict.file, repository), verdict.reason, verdict.error.fix))


def _read(path: Path, repository: Repository, report: Report) -> list[Record]:
    """The records of a file; none where it cannot be read, which is a problem."""
    try:
        return read_file(path)
    except (StoreError, OSError) as error:
        report.problems.append(_as_finding(error, path, repository))
        return []


def _verify_records(path: Path, repository: Repository, grid: Grid, report: Report) -> list[Record]:
    """Returns the records that could be read, for what can be seen only of all together."""
    records = _read(path, repository, report)
    problems: dict[str, list[int]] = {}
    notes: dict[str, list[int]] = {}
    for line, record in enumerate(records, 1):
        stale = _stale(record, grid)
        for reason in (*stale, *_refused(record, grid)):
            notes.setdefault(f"stale, and left out of the site: {reason}", []).append(line)
        for problem in _problems(record, None if stale else grid, grid.benchmarks.keys()):
            problems.setdefault(problem, []).append(line)
        if record.benchmark in grid.benchmarks:
            for problem in unpublishable(record, grid):
                problems.setdefault(problem, []).append(line)
    for problem, lines in _strangers(records).items():
        problems.setdefault(problem, []).extend(lines)
    fix = "restore the file from git, or delete these lines: the cells are then measured again"
    report.problems += _grouped(problems, path, repository, fix)
    report.notes += _grouped(notes, path, repository, "`espalier plan --published` says what to measure")
    return records


def _problems(record: Record, grid: Grid | None, known: Iterable[str]) -> Iterator[str]:
    """Of a record as such; against the grid only where it rests on the grid of today."""
    yield from contradictions(record)
    if grid is not None and record.benchmark in known:
        yield from unlike_grid(record, grid)


def _stale(record: Record, grid: Grid) -> list[str]:
    """Why the site leaves a record out, as far as that does not hang on the submission's code."""
    if record.benchmark not in grid.benchmarks:
        return [f"the grid has no benchmark {record.benchmark!r}"]
    entry = grid.benchmarks[record.benchmark]
    if record.recipe not in (grid.recipe_name(record.benchmark, record.track), *entry.alternative_recipes):
        return [f"the benchmark knows no recipe {record.recipe!r} for this track"]
    try:
        expected = expected_inputs(grid, None, record.cell, record.recipe)
    except Unpinned as error:
        return [error.what]
    expected = of_variant(grid, record.cell, expected, record.variant)
    if record.submission != DENSE:
        expected = expected.model_copy(update={"submission": record.inputs.submission})
    return stale_reasons(record.inputs, expected, control=is_control(record.variant))


def _refused(record: Record, grid: Grid) -> list[str]:
    """Versions of PyTorch that the site leaves out, though the record rests on the grid of today."""
    if record.benchmark not in grid.benchmarks:
        return []
    return grid.tiers[grid.benchmarks[record.benchmark].tier].refusals(record.torches)


def _strangers(records: Sequence[Record]) -> dict[str, list[int]]:
    """Controls of other masks than the method's, which stand beside its record all the same."""
    methods = {(r.recipe, r.cell): r.prune_key for r in records if r.variant == "method"}
    lines = [
        line
        for line, r in enumerate(records, 1)
        if is_control(r.variant) and methods.get((r.recipe, r.cell), r.prune_key) != r.prune_key
    ]
    return {"this control is of other masks than the method's beside it": lines} if lines else {}


def _different_counts(records: Iterable[Record]) -> Iterator[Finding]:
    """The same predictions of the same images are right equally often."""
    seen: dict[tuple[str, str], list[int]] = {}
    for record in records:
        for when, score in (("before", record.before), ("after", record.after)):
            if score is None:
                continue
            first = seen.setdefault((record.inputs.test_data, score.predictions), score.class_correct)
            if first != score.class_correct:
                what = f"{when} training: a record with the same predictions counts other images as correct"
                yield Finding(f"{record.submission} {record.variant} {record.cell.id}", what, "measure both cells again")


def _verify_audit(path: Path, repository: Repository, named: set[str], report: Report) -> None:
    try:
        figures = Audits(repository.published).read(path.parts[-3], path.stem).values()
    except (StoreError, OSError) as error:
        report.problems.append(_as_finding(error, path, repository))
        return
    lines = [line for line, figure in enumerate(figures, 1) if not _rests_on(figure, named)]
    reasons = {"not shown: it rests on predictions that no record names": lines} if lines else {}
    report.notes += _grouped(reasons, path, repository, "`espalier audit --write` where the predictions are")


def _verify_previous(path: Path, repository: Repository, grid: Grid, report: Report) -> list[Record]:
    """Records of the version before: they rest on another grid, and may not contradict themselves."""
    records = _read(path, repository, report)
    problems: dict[str, list[int]] = {}
    for line, record in enumerate(records, 1):
        for problem in (
            *contradictions(record),
            *(unpublishable(record, grid) if record.benchmark in grid.benchmarks else ()),
        ):
            problems.setdefault(problem, []).append(line)
    report.problems += _grouped(problems, path, repository, "restore the file from git")
    return records


def _unneeded(files: Sequence[Path], records: Iterable[Record], repository: Repository, grid: Grid) -> Iterator[Finding]:
    """Files of the version before, of benchmarks where nothing waits to be measured anew."""
    waiting = {record.benchmark for record in records if _stale(record, grid)}
    for path in files:
        if path.parent.name not in waiting:
            what = "the new version is complete, and these records of the one before are shown no more"
            yield Finding(_place(path, repository), what, "delete the file and its signature")


def _verify_changes(path: Path, repository: Repository, records: Iterable[Record], report: Report) -> None:
    try:
        changes = Changes(repository.published).read(path.parent.name, path.stem)
    except (StoreError, OSError) as error:
        report.problems.append(_as_finding(error, path, repository))
        return
    known = {r.identity: r for r in records if (r.benchmark, r.submission) == (path.parent.name, path.stem)}
    problems: dict[str, list[int]] = {}
    for line, problem in broken(changes, known):
        problems.setdefault(problem, []).append(line)
    fix = "restore this file and that of the records from git; or publish these cells again, which mends the last line"
    report.problems += _grouped(problems, path, repository, fix)


def _verify_acceptances(path: Path, repository: Repository, report: Report) -> None:
    try:
        acceptances(repository.published)
    except (StoreError, OSError) as error:
        report.problems.append(_as_finding(error, path, repository))


def _rests_on(figure: Churn, named: set[str]) -> bool:
    return named >= {*figure.pruned.values(), *figure.dense.values()}


def _strays(repository: Repository, files: Sequence[Path]) -> Iterator[Finding]:
    """What lies among the published files and is none of them."""
    known = {*files, *map(signature_of, files), repository.published / SIGNERS}
    for path in sorted(repository.published.rglob("*")):
        if path in known or path.is_dir() or path.name.startswith("."):
            continue
        what = "a signature of nothing" if path.name.endswith(SUFFIX) else "nothing reads this file"
        yield Finding(_place(path, repository), what, "delete it")


def _damaged_bases(repository: Repository, grid: Grid) -> Iterator[Finding]:
    """Base models that are not those which the grid names; those too large for git may be elsewhere."""
    for benchmark, seeds in grid.bases.items():
        for seed in seeds if benchmark in grid.benchmarks else ():
            path = base_path(repository, benchmark, seed)
            if kept_elsewhere(grid, benchmark, seed) and not path.is_file():
                continue
            try:
                base_digest(repository, grid, benchmark, seed)
            except BaseModelError as error:
                yield _as_finding(error, path, repository)


def _grouped(reasons: dict[str, list[int]], path: Path, repository: Repository, fix: str) -> Iterator[Finding]:
    """One finding for all lines of a file of which the same is to be said."""
    for what, lines in reasons.items():
        more = f" ({len(lines)} records)" if len(lines) > 1 else ""
        yield Finding(_place(path, repository, lines[0]), what + more, fix)


def _as_finding(error: StoreError | BaseModelError | OSError, path: Path, repository: Repository) -> Finding:
    if isinstance(error, OSError):
        return Finding(_place(path, repository), error.strerror or str(error), "restore the file from git")
    where = (error.where or str(path)).removeprefix(f"{repository.root}/")
    return Finding(where, error.what, error.fix)
