"""The changelog of results: which published figure became which other one, when and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from evaluator.records import Change
from evaluator.records.changes import Figures
from evaluator.records.record import DENSE, is_control
from leaderboard import words
from leaderboard.entries import Phase
from leaderboard.formats import asked
from leaderboard.pages.site import Page, Site

Step = tuple[str, str, str]
"""What a figure is of, as it was, and as it is."""

ARROW = "\N{RIGHTWARDS ARROW}"


@dataclass(frozen=True)
class Line:
    """One cell of which figures changed."""

    cell: str
    variant: str
    steps: list[Step]
    reasons: list[str]

    @property
    def sentence(self) -> str:
        told = ", ".join(f"{what} {old} {ARROW} {new}" for what, old, new in self.steps)
        return f"{self.cell}{f' ({self.variant})' if self.variant else ''}: {told}; {'; '.join(self.reasons)}"


@dataclass(frozen=True)
class Revision:
    """What changed of a method (or of the dense control, whose ``slug`` is None) on one board on one day, UTC."""

    slug: str | None
    title: str
    benchmark: str
    board: str
    anchor: str
    day: str
    time: str
    lines: list[Line]

    @property
    def id(self) -> str:
        """The same for ever: a later change of the day is one line more."""
        return f"urn:espalier:changed:{self.anchor}"

    @property
    def fragment(self) -> str:
        return self.anchor.replace(":", "-")

    @property
    def reasons(self) -> list[str]:
        """Why, each once."""
        return list(dict.fromkeys(reason for line in self.lines for reason in line.reasons))


def revisions(site: Site) -> list[Revision]:
    """The newest first."""
    groups: dict[tuple[str, ...], list[Change]] = {}
    for change in site.results.changes:
        key = (change.benchmark, change.track, change.division, change.recipe, change.submission, change.new.created[:10])
        groups.setdefault(key, []).append(change)
    found = [_revision(site, ":".join(key), changes) for key, changes in groups.items()]
    return sorted(found, key=lambda one: (one.time, one.anchor), reverse=True)


def _revision(site: Site, anchor: str, changes: list[Change]) -> Revision:
    first = changes[0]
    known = site.grid.benchmarks.get(first.benchmark)
    newest = max(change.new.created for change in changes)
    return Revision(
        slug=first.submission if first.submission in site.titles else None,
        title="Dense control" if first.submission == DENSE else site.titles.get(first.submission, first.submission),
        benchmark=known.title if known else first.benchmark,
        board=words.title(first.track, first.division),
        anchor=anchor,
        day=newest[:10],
        time=newest.replace("+00:00", "Z"),
        lines=[_line(change) for change in changes],
    )


def _line(change: Change) -> Line:
    target = asked(change.target if isinstance(change.target, str) else f"{change.target:g}")
    variant = words.CONTROLS[change.division][change.variant] if is_control(change.variant) else ""
    reasons = [reason.replace("->", ARROW) for reason in change.reasons]
    return Line(f"{target}, seed {change.seed}", variant, list(_steps(change)), reasons)


def _steps(change: Change) -> Iterator[Step]:
    old, new = change.old.figures, change.new.figures
    if old.status != new.status:
        yield "status", old.status.replace("_", " "), new.status.replace("_", " ")
    scores: tuple[tuple[Phase, int | None, int | None], ...] = (
        ("after", old.after, new.after),
        ("before", old.before, new.before),
    )
    for phase, was, now in scores:
        if was != now:
            yield f"top-1 {words.TRACKS[change.track].phases[phase]}", _share(was, old), _share(now, new)
    for name, what in (("kept", "parameters kept"), ("effective", "effective parameters"), ("macs_kept", "MACs kept")):
        if getattr(old, name) != getattr(new, name):
            yield what, _count(getattr(old, name)), _count(getattr(new, name))


def _share(correct: int | None, figures: Figures) -> str:
    if correct is None or not figures.images:
        return "none"
    return f"{100 * correct / figures.images:.2f} % ({_count(correct)} of {_count(figures.images)})"


def _count(value: int | None) -> str:
    return "none" if value is None else f"{value:,}".replace(",", "\u202f")


def pages(site: Site, found: Iterable[Revision]) -> Iterator[Page]:
    """One page with all of them."""
    description = "Which published figure became which other one, when, and why."
    context = {"revisions": list(found), "acceptances": site.results.acceptances}
    yield Page("changes.html", "changes.html", "Changes of results", description, context)
