"""What papers reported: the corpus of Blalock et al. (2020), 81 papers and their results, as its authors typed them.

Nothing here was measured. A figure that a paper does not give is nan; the only arithmetic is that of one row: an accuracy is
100 - error or dense + change, a compression is old / new or 1 / (1 - share removed).
"""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

CORPUS = Path(__file__).resolve().parents[1] / "literature"
UNNAMED = "???"
"""Stands in the corpus where a paper does not say which data set or network it used."""

Pair = tuple[str, str]
"""A data set and a network, as the corpus names them."""


@dataclass(frozen=True)
class Paper:
    """One paper; ``compares_to`` names the papers of the corpus with whose methods it compares its own."""

    name: str
    year: int
    author: str
    venue: str
    title: str
    arxiv: str
    compares_to: tuple[str, ...]

    @property
    def label(self) -> str:
        """Such as "Li 2017"."""
        return f"{self.author.split(',')[0]} {self.year}"


@dataclass(frozen=True)
class Report:
    """One result of a paper: accuracies in percent, ``change`` in points against its own dense network, and factors."""

    number: str
    paper: Paper
    dataset: str
    network: str
    method: str
    trials: str
    spread: float
    top1: float
    dense: float
    change: float
    compression: float
    speedup: float

    @property
    def pair(self) -> Pair:
        return (self.dataset, self.network)

    @property
    def series(self) -> str:
        """Paper and method: results that belong together."""
        return f"{self.paper.name}/{self.method}" if self.method else self.paper.name

    @property
    def label(self) -> str:
        """Such as "Liu 2019, Scratch-B"."""
        return f"{self.paper.label}, {self.method}" if self.method else self.paper.label

    @property
    def factors(self) -> tuple[float, ...]:
        """Of compression and speedup, those that are known."""
        return tuple(factor for factor in (self.compression, self.speedup) if math.isfinite(factor))

    @property
    def tradeoff(self) -> bool:
        """Whether it says how accurate a network is at which compression or speedup."""
        return math.isfinite(self.change) and bool(self.factors)


@dataclass(frozen=True)
class Corpus:
    """All papers, newest first, and all their results."""

    papers: list[Paper]
    reports: list[Report]

    @cached_property
    def pairs(self) -> dict[Pair, list[Report]]:
        """Named data set and network -> results, the pair of most papers first."""
        found: dict[Pair, list[Report]] = {}
        for report in self.reports:
            if report.dataset not in ("", UNNAMED) and report.network not in ("", UNNAMED):
                found.setdefault(report.pair, []).append(report)
        return dict(sorted(found.items(), key=lambda item: (-len(papers_of(item[1])), -len(item[1]), item[0])))

    @cached_property
    def of_paper(self) -> Mapping[str, list[Report]]:
        """Name of a paper -> its results."""
        found: dict[str, list[Report]] = {paper.name: [] for paper in self.papers}
        for report in self.reports:
            found[report.paper.name].append(report)
        return found

    @cached_property
    def compared_by(self) -> Mapping[str, int]:
        """Name of a paper -> how many others of the corpus compare with it."""
        return Counter(name for paper in self.papers for name in set(paper.compares_to))


def papers_of(reports: list[Report]) -> set[str]:
    return {report.paper.name for report in reports}


def load_corpus(folder: Path = CORPUS) -> Corpus:
    """Read `papers.csv` and `results.csv`."""
    papers = [
        Paper(
            name=row["paper"], year=int(row["date"].split("-")[0]), author=row["author"], venue=row["venue"],
            title=row["title"], arxiv=row["arxiv"], compares_to=tuple(row["compares_to"].split()),
        )
        for row in _rows(folder / "papers.csv")
    ]  # fmt: skip
    known = {paper.name: paper for paper in papers}
    return Corpus(papers, [_report(row, known[row["Paper"]]) for row in _rows(folder / "results.csv")])


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _report(row: Mapping[str, str], paper: Paper) -> Report:
    top1 = _either(_number(row["Top1"]), 100 - _number(row["Err1"]))
    dense = _either(_number(row["OrigTop1"]), 100 - _number(row["OrigErr1"]))
    change = _either(_number(row["dTop1"]), top1 - dense)
    return Report(
        number=row["Name"], paper=paper, dataset=row["Dataset"], network=row["Model"], method=row["Method"],
        trials=row["NumTrials"], spread=_number(row["stdTop1"]), top1=_either(top1, dense + change), dense=dense,
        change=change, compression=_factor(row, "old/new Nparam", "OrigMParams", "MParams", "savedParams", "keptParams"),
        speedup=_factor(row, "old/new FLOPS", "OrigGFLOPS", "GFLOPS", "savedFLOPS", "keptFLOPS"),
    )  # fmt: skip


def _factor(row: Mapping[str, str], ratio: str, old: str, new: str, saved: str, kept: str) -> float:
    """From what a row gives, the plainest first; nan where it gives nothing, or a factor below one."""
    found = (
        _number(row[ratio]),
        _divided(_number(row[old]), _number(row[new])),
        _divided(100, 100 - _number(row[saved])),
        _divided(100, _number(row[kept])),
    )
    return next((factor for factor in found if math.isfinite(factor) and factor >= 1), math.nan)


def _number(text: str) -> float:
    """A number or a percentage; nan for an empty field."""
    return float(text.strip().rstrip("%")) if text.strip() else math.nan


def _either(first: float, second: float) -> float:
    return first if math.isfinite(first) else second


def _divided(one: float, other: float) -> float:
    return one / other if other > 0 else math.nan
