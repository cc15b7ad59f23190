"""Reported figures beside measured ones, where both exist for the same data set and network: shown, never compared.

Next to that, and said so: the same network on the same pictures in another form ("CIFAR-10 (JPEG)" beside CIFAR-10).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from evaluator.metadata import Reported
from leaderboard import words
from leaderboard.charts import tradeoff
from leaderboard.corpus import Corpus
from leaderboard.drawings import compare
from leaderboard.entries import Axis, Entry, Point
from leaderboard.load import LOCAL
from leaderboard.pages.site import Chart, Site, first_of
from leaderboard.reported import Claim, beside
from leaderboard.standings import Standing


class Near(NamedTuple):
    """What was measured at the smallest target that asks for at least as much as was reported."""

    standing: Standing
    slug: str
    point: Point


@dataclass(frozen=True)
class Match:
    """What was measured of a method on one board nearest to a figure of its paper, and what is not the same."""

    standing: Standing
    title: str
    point: Point
    differs: list[str]

    @property
    def order(self) -> tuple[int, bool]:
        """The likest first."""
        return len(self.differs), self.standing.board.key.origin == LOCAL


@dataclass(frozen=True)
class Beside:
    """One benchmark: what was reported on its data set and network, and what was measured nearest to it.

    ``pair``: data set and network of what was reported; ``differs``: what is not the same, in sentences. ``silent`` counts
    papers of the corpus that used the pair and of whose accuracies the corpus has none.
    """

    name: str
    title: str
    pair: str
    lines: list[tuple[Claim, Near | None]]
    silent: int
    standing: Standing | None
    chart: Chart | None
    differs: list[str]


def views(site: Site, corpus: Corpus) -> list[Beside]:
    """Every benchmark on whose data set and network somebody reported something."""
    found = (view(site, corpus, name) for name in site.grid.benchmarks)
    return [one for one in found if one.lines or one.silent]


def relatives(site: Site, corpus: Corpus) -> list[Beside]:
    """Measured benchmarks with the pictures of a data set on which somebody reported, but in another form."""
    titles = {name: one.title for name, one in site.grid.benchmarks.items()}
    found = [view(site, corpus, name, bare(title)) for name, title in titles.items() if bare(title) != title]
    return [one for one in found if one.lines and one.standing is not None]


def bare(title: str) -> str:
    """Without what its data set has in brackets: the form of its pictures."""
    dataset, _, network = title.partition(" / ")
    return f"{re.sub(r' *[(][^()]*[)]', '', dataset)} / {network}"


def view(site: Site, corpus: Corpus, name: str, pair: str = "") -> Beside:
    """``pair``: on which figures were reported, where it is not that of the benchmark."""
    title = site.grid.benchmarks[name].title
    wanted = _plain(pair or title)
    reports = [one for pair, own in corpus.pairs.items() if _plain(" / ".join(pair)) == wanted for one in own]
    told = [one for one in reports if math.isfinite(one.top1) and one.factors]
    found = [
        Claim(one.paper.label, f"{one.paper.title}{f' ({one.method})' if one.method else ''}", one.top1, one.compression,
              one.speedup, dense=one.dense)
        for one in told
    ]  # fmt: skip
    found += [claim for slug in sorted(site.submissions) for claim in _of_metadata(site, slug, wanted)]
    boards = _boards(site, name)
    standing = max(boards.values(), key=_size_of, default=None)
    lines = [
        (claim, _near(boards.get(_axis(claim)), claim))
        for claim in sorted(found, key=lambda one: (_factors(one), one.source, one.top1))
    ]
    silent = len({one.paper.name for one in reports} - {one.paper.name for one in told})
    chart = _chart(site, standing, name, [claim for claim, _ in lines])
    differs = differences(standing, title, pair or title, [claim.dense for claim in found]) if standing else []
    return Beside(name, title, pair or title, lines, silent, standing, chart, differs)


def differences(standing: Standing, title: str, pair: str, dense: list[float]) -> list[str]:
    """What is not the same: pictures, retraining, and how good the network was before anything was removed."""
    found = []
    if _plain(title) != _plain(pair):
        found.append(f"Reported on {pair.partition(' / ')[0]}, measured on {title.partition(' / ')[0]}: other pictures.")
    if standing.frame.phase == "before":
        found.append("Measured as pruned, nothing retrained; papers usually report after retraining.")
    if standing.board.key.division == "unstructured":
        found.append("Compression is of all parameters here; reports often count prunable weights alone.")
    here = standing.dense[standing.frame.phase]
    known = [value for value in dense if math.isfinite(value)]
    there = f"where reported {_span(known)}" if known else "where reported it is not said"
    few = f" ({len(known)} of {len(dense)} figures say it)" if 0 < len(known) < len(dense) else ""
    if here.n:
        found.append(f"The dense network has {here.mean:.2f} % here, {there}{few}.")
    return found


def _span(values: list[float]) -> str:
    low, high = f"{min(values):.2f}", f"{max(values):.2f}"
    return f"{low} %" if low == high else f"{low} to {high} %"


def claims(site: Site, slug: str, name: str) -> list[Claim]:
    """What was reported of a method on the very data set and network of a benchmark."""
    return _of_metadata(site, slug, _plain(site.grid.benchmarks[name].title))


def _of_metadata(site: Site, slug: str, wanted: str) -> list[Claim]:
    """What a contributor says that papers reported of the method on a pair; accuracies only."""
    reported = site.submissions[slug].metadata.reported if slug in site.submissions else []
    return [
        Claim(site.titles[slug], one.source, one.value, one.compression or math.nan, one.speedup or math.nan, slug)
        for one in reported
        if one.metric == "top-1" and _plain(f"{one.dataset} / {one.architecture}") == wanted
        and (one.compression or one.speedup)
    ]  # fmt: skip


def _plain(title: str) -> str:
    """A pair without case and punctuation: MobileNet-v2 is MobileNetV2. "(JPEG)" stays: other images are another pair."""
    return "".join(c for c in title.lower() if c.isalnum() or c == "/")


def _factors(claim: Claim) -> tuple[float, float]:
    return tuple(factor if math.isfinite(factor) else math.inf for factor in (claim.compression, claim.speedup))  # type: ignore[return-value]


def _axis(claim: Claim) -> Axis:
    """By which a claim is put beside something measured."""
    return "compression" if math.isfinite(claim.compression) else "speedup"


def _boards(site: Site, name: str) -> dict[Axis, Standing]:
    """Axis of the targets -> the board with most records; the score after retraining where there is one."""
    found: dict[Axis, Standing] = {}
    for standings in site.of_benchmark(name):
        first = first_of(standings)
        axis = first.frame.primary
        if axis is not None and (axis not in found or _size_of(first) > _size_of(found[axis])):
            found[axis] = first
    return found


def _size_of(standing: Standing) -> int:
    return len(standing.board.records)


def _near(standing: Standing | None, claim: Claim) -> Near | None:
    """Of the claim's own method where it is on the board, else the best mean of all methods there."""
    if standing is None or standing.frame.primary is None or not standing.methods:
        return None
    factor = claim.factor(standing.frame.primary)
    own = standing.entry(claim.slug) if claim.slug else None
    entries = [own] if own is not None else standing.methods
    for position, target in enumerate(standing.frame.targets):
        if target.feasible and math.isfinite(factor) and target.factor >= factor * 0.999:
            scored = [(entry, entry.points[position]) for entry in entries if entry.points[position].accuracy.n]
            best: tuple[Entry, Point] | None = max(scored, key=lambda pair: pair[1].accuracy.mean, default=None)
            return Near(standing, best[0].slug, best[1]) if best else None
    return None


def matches(site: Site, slug: str) -> list[tuple[Reported, Match | None]]:
    """Each figure of a method's metadata, and what was measured of the method at the smallest target that asks for as much.

    On the same data set and network before the same pictures in another form, and after retraining before without.
    """
    reported = site.submissions[slug].metadata.reported if slug in site.submissions else []
    return [(one, min(_candidates(site, slug, one), key=lambda match: match.order, default=None)) for one in reported]


def runs(reported: Iterable[tuple[Reported, Match | None]]) -> list[int]:
    """How many figures in a row come from one source, at the first of them; 0 at the others."""
    lengths = [len(list(group)) for _, group in groupby(reported, key=lambda pair: pair[0].source)]
    return [number for length in lengths for number in (length, *[0] * (length - 1))]


def _candidates(site: Site, slug: str, one: Reported) -> Iterator[Match]:
    pair = f"{one.dataset} / {one.architecture}"
    claim = Claim("", "", one.value, one.compression or math.nan, one.speedup or math.nan, slug)
    for standings in site.standings if one.metric != "top-5" else []:
        standing = first_of(standings)
        title = site.grid.benchmarks[standing.board.key.benchmark].title
        if _plain(pair) not in (_plain(title), _plain(bare(title))) or standing.entry(slug) is None:
            continue
        near = _near(standing, claim)
        if near is not None:
            yield Match(standing, title, near.point, differences(standing, title, pair, []))


def _chart(site: Site, standing: Standing | None, name: str, claims: list[Claim]) -> Chart | None:
    axis = standing.frame.primary if standing is not None else None
    if (
        standing is None
        or axis is None
        or standing.frame.phase == "before"
        or not any(math.isfinite(claim.factor(axis)) for claim in claims)
    ):
        return None
    key = standing.board.key
    caption = f"{words.caption(axis, key.division)}: measured, and reported in grey"
    spec = tradeoff(beside(compare(standing, axis, site.looks, site.titles), claims, axis))
    label = f"{caption}, on {site.grid.benchmarks[name].title}. The table has the reported figures."
    return Chart(f"beside-{name}", caption, label, spec)
