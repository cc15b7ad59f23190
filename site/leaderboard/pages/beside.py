"""Reported figures beside measured ones, where both exist for the same data set and network: shown, never compared."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from leaderboard import words
from leaderboard.charts import tradeoff
from leaderboard.corpus import Corpus
from leaderboard.drawings import compare
from leaderboard.entries import Entry, Point
from leaderboard.pages.site import Chart, Site, Standings, board_of
from leaderboard.reported import Claim, beside
from leaderboard.standings import Standing


class Near(NamedTuple):
    """What was measured at the smallest target that asks for at least as much as was reported."""

    slug: str
    point: Point


@dataclass(frozen=True)
class Beside:
    """One benchmark: what was reported on its data set and network, and what was measured nearest to it.

    ``silent`` counts papers of the corpus that used the pair and of whose accuracies the corpus has none.
    """

    name: str
    title: str
    lines: list[tuple[Claim, Near | None]]
    silent: int
    standing: Standing | None
    chart: Chart | None


def views(site: Site, corpus: Corpus) -> list[Beside]:
    """Every benchmark on whose data set and network somebody reported something."""
    found = (view(site, corpus, name) for name in site.grid.benchmarks)
    return [one for one in found if one.lines or one.silent]


def view(site: Site, corpus: Corpus, name: str) -> Beside:
    title = site.grid.benchmarks[name].title
    wanted = _plain(title)
    reports = [one for pair, own in corpus.pairs.items() if _plain(" / ".join(pair)) == wanted for one in own]
    told = [one for one in reports if math.isfinite(one.top1) and one.factors]
    claims = [
        Claim(one.paper.label, f"{one.paper.title}{f' ({one.method})' if one.method else ''}", one.top1, one.compression,
              one.speedup)
        for one in told
    ]  # fmt: skip
    claims += _of_metadata(site, wanted)
    standing = _standing(site, name)
    lines = [(claim, _near(standing, claim)) for claim in sorted(claims, key=lambda one: (_size(one), one.source, one.top1))]
    silent = len({one.paper.name for one in reports} - {one.paper.name for one in told})
    return Beside(name, title, lines, silent, standing, _chart(site, standing, name, [claim for claim, _ in lines]))


def _of_metadata(site: Site, wanted: str) -> list[Claim]:
    """What contributors say that papers reported of their methods; accuracies only."""
    return [
        Claim(site.titles[slug], one.source, one.value, one.compression or math.nan, one.speedup or math.nan, slug)
        for slug, submission in sorted(site.submissions.items())
        for one in submission.metadata.reported
        if one.metric == "top-1" and _plain(f"{one.dataset} / {one.architecture}") == wanted
        and (one.compression or one.speedup)
    ]  # fmt: skip


def _plain(title: str) -> str:
    """A pair without case and punctuation: MobileNet-v2 is MobileNetV2. "(JPEG)" stays: other images are another pair."""
    return "".join(c for c in title.lower() if c.isalnum() or c == "/")


def _size(claim: Claim) -> tuple[float, float]:
    return tuple(factor if math.isfinite(factor) else math.inf for factor in (claim.compression, claim.speedup))  # type: ignore[return-value]


def _standing(site: Site, name: str) -> Standing | None:
    """The board with most records whose targets are factors; the score after retraining where there is one."""

    def size(standings: Standings) -> int:
        return len(board_of(standings).records)

    curves = [one for one in site.of_benchmark(name) if next(iter(one.values())).frame.primary is not None]
    return next(iter(max(curves, key=size).values())) if curves else None


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
            return Near(best[0].slug, best[1]) if best else None
    return None


def _chart(site: Site, standing: Standing | None, name: str, claims: list[Claim]) -> Chart | None:
    axis = standing.frame.primary if standing is not None else None
    if standing is None or axis is None or not any(math.isfinite(claim.factor(axis)) for claim in claims):
        return None
    key = standing.board.key
    caption = f"{words.caption(axis, key.division)}: measured, and reported in grey"
    spec = tradeoff(beside(compare(standing, axis, site.looks, site.titles), claims, axis))
    label = f"{caption}, on {site.grid.benchmarks[name].title}. The table has the reported figures."
    return Chart(f"beside-{name}", caption, label, spec)
