"""What the literature reported: papers and results to look through, the best of every year, and measured figures beside."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from leaderboard.charts import tradeoff
from leaderboard.corpus import Corpus, Pair, Paper, Report, load_corpus, papers_of
from leaderboard.entries import Axis
from leaderboard.pages import beside
from leaderboard.pages.site import Chart, Page, Site
from leaderboard.reported import by_factor, by_year, yearly
from leaderboard.series import Look, in_turn

SHOWN = 4
"""Pairs with most results whose reported trade-offs are drawn."""
MANY = 5
"""Counts from so many on stand together."""


@dataclass(frozen=True)
class PairView:
    """A pair of data set and network with its charts; ``keys``: look, name and label of every line in them."""

    pair: Pair
    id: str
    reports: list[Report]
    charts: list[Chart]
    papers: int
    keys: list[tuple[Look, str, str]]
    dense: tuple[float, float]
    """Least and most accurate dense network that is reported."""

    @property
    def title(self) -> str:
        return " / ".join(self.pair)


@dataclass(frozen=True)
class YearView:
    """The best reported result of every year on one pair."""

    pair: Pair
    chart: Chart
    best: list[Report]

    @property
    def title(self) -> str:
        return " / ".join(self.pair)


class Group(NamedTuple):
    """Results that have something in common; their papers newest first."""

    name: str
    papers: list[Paper]
    results: int
    tradeoffs: int


@dataclass(frozen=True)
class Share:
    """How many papers have a count; ``share`` of all, percent."""

    label: str
    papers: int
    share: float


def pages(site: Site) -> Iterator[Page]:
    """The overview, and a page each of papers, results and pairs."""
    corpus = load_corpus()
    shown = [pair_view(pair, reports) for pair, reports in most_results(corpus)]
    years = [year_view(pair, reports) for pair, reports in most_results(corpus) if len(yearly(reports)) > 2]
    benchmarks, relatives = beside.views(site, corpus), beside.relatives(site, corpus)
    shared: dict[str, Any] = {"corpus": corpus}
    context = {
        **shared,
        "facts": facts(corpus),
        "comparisons": shares(len(set(paper.compares_to)) for paper in corpus.papers),
        "breadths": shares(len({one.pair for one in reports}) for reports in corpus.of_paper.values()),
        "shown": shown,
        "years": years,
        "benchmarks": benchmarks,
        "relatives": relatives,
    }
    charts = [chart for view in shown for chart in view.charts] + [view.chart for view in years]
    charts += [view.chart for view in (*benchmarks, *relatives) if view.chart is not None]
    words = (
        "What papers on pruning reported: data sets, networks, comparisons and trade-offs, beside what was measured here."
    )
    yield Page("literature.html", "literature.html", "Literature", words, context, charts, "literature")
    shared.update(
        pairs=groups(corpus, " / ".join),
        datasets=groups(corpus, lambda pair: pair[0]),
        networks=groups(corpus, lambda pair: pair[1]),
    )
    for name, title in (("papers", "Papers"), ("results", "Results as reported"), ("pairs", "Data sets and networks")):
        yield Page(f"literature/{name}.html", f"literature-{name}.html", title,
                   f"{title} of the corpus of Blalock et al. (2020).", shared, [], "literature")  # fmt: skip


def facts(corpus: Corpus) -> dict[str, int]:
    """Counts over the whole corpus."""
    named = list(corpus.pairs)
    return {
        "papers": len(corpus.papers),
        "results": len(corpus.reports),
        "datasets": len({dataset for dataset, _ in named}),
        "networks": len({network for _, network in named}),
        "pairs": len(named),
        "lonely": sum(len(papers_of(reports)) == 1 for reports in corpus.pairs.values()),
        "tradeoffs": sum(one.tradeoff for one in corpus.reports),
        "spreads": sum(math.isfinite(one.spread) for one in corpus.reports),
    }


def groups(corpus: Corpus, of: Callable[[Pair], str]) -> list[Group]:
    """Results by a name that their pair has; those of most papers first."""
    found: dict[str, list[Report]] = {}
    for pair, reports in corpus.pairs.items():
        found.setdefault(of(pair), []).extend(reports)
    made = [_group(name, reports) for name, reports in found.items()]
    return sorted(made, key=lambda group: (-len(group.papers), -group.results, group.name))


def _group(name: str, reports: list[Report]) -> Group:
    papers = {one.paper.name: one.paper for one in reports}
    newest = sorted(papers.values(), key=lambda paper: (-paper.year, paper.label, paper.name))
    return Group(name, newest, len(reports), sum(one.tradeoff for one in reports))


def shares(counts: Iterable[int]) -> list[Share]:
    """How many papers have 0, 1, 2... of something."""
    found = Counter(min(count, MANY) for count in counts)
    total = sum(found.values())
    return [
        Share(f"{count} or more" if count == MANY else str(count), found[count], 100 * found[count] / total)
        for count in range(MANY + 1)
        if found[count] or count
    ]


def most_results(corpus: Corpus) -> list[tuple[Pair, list[Report]]]:
    """The pairs on which most trade-offs are reported."""
    usable = {pair: [one for one in reports if one.tradeoff and math.isfinite(one.top1)]
              for pair, reports in corpus.pairs.items()}  # fmt: skip
    ordered = sorted(usable.items(), key=lambda item: (-len(item[1]), item[0]))
    return [(pair, reports) for pair, reports in ordered if reports][:SHOWN]


def pair_view(pair: Pair, reports: list[Report]) -> PairView:
    """Both axes; methods of papers look different from each other on one pair."""
    labels = {one.series: one.label for one in reports}
    own = in_turn(labels)
    name = _identifier(pair)
    axes: tuple[Axis, ...] = ("compression", "speedup")
    charts = []
    for axis in axes:
        drawing = by_factor(reports, axis, own)
        count = len(drawing.means)
        caption = f"Top-1 against {axis}, as reported"
        label = f"{caption}, on {' / '.join(pair)}: {count} results. The page of results has the same figures."
        if count:
            charts.append(Chart(f"{name}-{axis}", caption, label, tradeoff(drawing)))
    dense = [one.dense for one in reports if math.isfinite(one.dense)]
    span = (min(dense, default=math.nan), max(dense, default=math.nan))
    keys = sorted(((own[slug], slug, label) for slug, label in labels.items()), key=lambda key: (key[2], key[1]))
    return PairView(pair, name, reports, charts, len(papers_of(reports)), keys, span)


def year_view(pair: Pair, reports: list[Report]) -> YearView:
    years = yearly(reports)
    title = " / ".join(pair)
    label = (
        f"Highest top-1 reported on {title} at a compression or speedup of 2 or more, by year. The table has the figures."
    )
    chart = Chart(f"years-{_identifier(pair)}", title, label, tradeoff(by_year(years)))
    return YearView(pair, chart, [own[0] for own in years.values()])


def _identifier(pair: Pair) -> str:
    return "-".join("".join(c if c.isalnum() else " " for c in " ".join(pair).lower()).split())
