"""Sentences that the records support: each is computed at build time, stands with its evidence, and is absent without it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import numpy as np

from leaderboard import statistics, words
from leaderboard.audit import class_name
from leaderboard.contests import Tally, against, orders, reversals, tally
from leaderboard.entries import Phase
from leaderboard.evidence import Finding, Line, by_another_recipe, line_of, plain, telling
from leaderboard.formats import MINUS, asked
from leaderboard.harm import Case, cases
from leaderboard.load import Board
from leaderboard.pages.site import Site, Standings, board_of, first_of
from leaderboard.standings import Standing

WITHIN = 1.0
"""Points of accuracy that a network may lose and still count as nearly the dense one."""
TWICE = 2.0
"""Times chance: networks that are right less often have lost most classes, and nothing more can be said of them."""

_UNABLE = "Left out are networks that are right less often than twice by chance."
_RESAMPLED = "intervals resample benchmarks, then seeds, and are too narrow where benchmarks are few"


@lru_cache(maxsize=1)
def findings(site: Site) -> list[Finding]:
    """Those for which there are records, the most telling first; found once for all pages."""
    boards = telling(site)
    makers: tuple[Callable[[Site, list[Standings]], Finding | None], ...] = (
        score_or_allocation, tied_best, retraining_order, recipe_order, random_allocation, axes_differ, nearly_dense,
        class_harm,
    )  # fmt: skip
    return [found for maker in makers if (found := maker(site, boards)) is not None]


def score_or_allocation(site: Site, boards: list[Standings]) -> Finding | None:
    """Against magnitude with the same densities."""
    found = _duels(site, boards, "matched-magnitude")
    if found is None:
        return None
    lines, totals, gains = found
    wins = " and ".join(
        f"in {one.better or 'none'} of {one.contests} comparisons {_when(phase)}" for phase, one in totals.items()
    )
    losses = " and ".join(f"{one.worse or 'none'} {_when(phase)}" for phase, one in totals.items())
    sentence = (
        f"With the same densities by layer, or widths, a method's score beats plain magnitude {wins}; it loses in {losses}."
    )
    title = "Is it the score, or only the allocation?"
    more = f"{_certain(totals)}{_worth(gains)}"
    return Finding("score-or-allocation", title, sentence, _DUEL, _DUEL_COLUMNS, lines, more)


def random_allocation(site: Site, boards: list[Standings]) -> Finding | None:
    """Against random weights with the same densities."""
    found = _duels(site, boards, "matched-random")
    if found is None:
        return None
    lines, totals, _ = found
    ties = " and ".join(f"in {one.tied + one.worse} of {one.contests} comparisons {_when(phase)}"
                        for phase, one in totals.items())  # fmt: skip
    sentence = (
        "Random weights at the densities that a method chose, or random channels at its widths, are not significantly worse "
        f"than its own choice {ties}."
    )
    more = _certain(totals)
    return Finding("random-allocation", "How far does chance get?", sentence, _DUEL, _DUEL_COLUMNS, lines, more)


def tied_best(site: Site, boards: list[Standings]) -> Finding | None:
    """How many share the first place."""
    lines, counts = [], []
    for standings in boards:
        standing = first_of(standings)
        ranking = standing.ranking()
        if len(ranking) > 1:
            best = sum(low == 1 for low, _ in ranking.values())
            counts.append(best)
            lines.append(line_of(site, standing, (str(len(ranking)), str(best))))
    if not counts:
        return None
    single = counts.count(1)
    sharing = sorted(count for count in counts if count > 1)
    span = f"{sharing[0]} to {sharing[-1]}" if len(set(sharing)) > 1 else f"{sharing[0]}" if sharing else ""
    if not single:
        sentence = f"No board has a single best method: {span} share the first place."
    elif not sharing:
        sentence = f"Every board ({single}) has a single best method."
    else:
        single_best = f"{single} of {len(counts)} boards {'has' if single == 1 else 'have'} a single best method"
        sentence = f"{single_best}; on the others {span} share the first place."
    how = (
        "Paired t tests over seeds with Holm's correction; all that are not significantly worse than the best share "
        "rank 1. With few seeds only large differences are significant: a tie says that more cannot be known, not "
        "that methods are equal."
    )
    return Finding("tied-best", "Is there a best method?", sentence, how, ("Methods", "Share rank 1"), lines)


def retraining_order(site: Site, boards: list[Standings]) -> Finding | None:
    """Before against after."""
    pairs = [(one["after"], one["before"]) for one in boards if "after" in one and "before" in one]
    said = "hardly tells", "tells only in part", "mostly tells"
    sentence = "How methods stand before retraining {} how they stand after it"
    return _orders(site, pairs, "retraining-order", "Does retraining change the order?", sentence, said)


def recipe_order(site: Site, boards: list[Standings]) -> Finding | None:
    """The usual recipe of retraining against others (Wang et al. 2023, section 5)."""
    both = by_another_recipe(site, boards)
    pairs = [(other["after"], usual["after"]) for usual, other in both if "after" in usual and "after" in other]
    sentence = "Retrained by another recipe, methods stand {} as they do by the usual one"
    said = "hardly", "only in part", "mostly"
    return _orders(site, pairs, "recipe-order", "Does the recipe change the order?", sentence, said)


def _orders(
    site: Site, pairs: list[tuple[Standing, Standing]], name: str, title: str, sentence: str, said: tuple[str, str, str]
) -> Finding | None:
    """Kendall's tau between the orders in both of each pair; what is ``said`` of little, some and much agreement."""
    lines, means = [], []
    for one, other in pairs:
        for label, tau in orders(one, other).items():
            means.append(tau.mean)
            known = math.isfinite(tau.half)
            spread = f" ({plain(max(tau.low, -1.0))} to {plain(min(tau.high, 1.0))})" if known else ""
            lines.append(line_of(site, one, (asked(label), f"{plain(tau.mean)}{spread}", str(tau.n))))
    if not means:
        return None
    mean = sum(means) / len(means)
    figures = (
        f"Kendall's tau between the two orders is {plain(mean)} on average over {len(means)} targets, "
        f"from {plain(min(means))} to {plain(max(means))}."
    )
    how = (
        f"Tau is 1 where both orders are the same, 0 where they are unrelated, {MINUS}1 where they are opposite. One "
        "tau per seed, over the methods with all seeds at the target, three or more; mean over seeds and its 95 % t "
        f"interval, within {MINUS}1 and 1."
    )
    agreement = said[0 if mean < 0.35 else 1 if mean < 0.7 else 2]
    return Finding(name, title, f"{sentence.format(agreement)}: {figures}", how, ("Target", "Tau", "Seeds"), lines)


def axes_differ(site: Site, boards: list[Standings]) -> Finding | None:
    """Compression against speedup."""
    lines, found = [], []
    for standings in boards:
        standing = first_of(standings)
        if (one := reversals(standing)) is not None:
            found.append(one)
            figures = (str(one.methods), f"{one.reversed} of {one.pairs}", str(one.certain), plain(one.tau))
            lines.append(line_of(site, standing, figures))
    if not found:
        return None
    pairs, turned, certain = (sum(getattr(one, name) for one in found) for name in ("pairs", "reversed", "certain"))
    where = f"{len(found)} board{'s' if len(found) > 1 else ''}"
    if turned:
        sentence = (
            f"The order of methods by NAUC on compression is not that on speedup: {turned} of {pairs} pairs of methods "
            f"on {where} change places, {certain or 'none'} of them significantly on both axes."
        )
    else:
        sentence = f"On {where} methods stand in the same order by NAUC on compression and on speedup."
    how = (
        "Over the methods with an area on both axes; a pair is significant where both its orders survive Holm's correction."
    )
    columns = ("Methods", "Pairs reversed", "Significantly", "Tau of the two orders")
    return Finding("axes-differ", "Does the axis matter?", sentence, how, columns, lines)


def nearly_dense(site: Site, boards: list[Standings]) -> Finding | None:
    """The largest target up to which, at every target, the whole interval of some method is above a loss of one point."""
    lines, reached = [], []
    for standings in boards:
        standing = first_of(standings)
        if standing.frame.primary is None:
            continue
        whole = max(len(standing.frame.seeds), 2)
        kept, best = standing.methods, ("", standing.methods)
        for position, target in enumerate(standing.frame.targets):
            drops = [(entry, entry.points[position].drop) for entry in kept]
            if kept := [entry for entry, drop in drops if drop.n >= whole and drop.low > -WITHIN]:
                best = (asked(target.label), kept)
        if best[0]:
            benchmark = site.grid.benchmarks[standing.board.key.benchmark].title
            reached.append(f"{best[0]} {standing.frame.primary} on {benchmark} ({_kind(standing)})")
            names = ", ".join(site.titles[entry.slug] for entry in best[1])
            lines.append(line_of(site, standing, (best[0], f"{len(best[1])} of {len(standing.methods)}", names)))
    if not reached:
        return None
    listed = "; ".join(reached[:3]) + (f"; {more} more below" if (more := len(reached) - 3) > 0 else "")
    sentence = f"At least one method stays within one point of the dense network, with its whole interval, up to {listed}."
    how = (
        "Accuracy minus that of the dense control with the same retraining, paired by seed, 95 % t interval, at this and at "
        "every smaller target. More may be possible: where intervals are wide they cannot say so."
    )
    columns = ("Largest target", "Methods", "Which")
    return Finding("nearly-dense", "How much costs nearly nothing?", sentence, how, columns, lines)


def class_harm(site: Site, boards: list[Standings]) -> Finding | None:
    """Where a class pays for the others, at all losses and at small ones."""
    lines: list[Line] = []
    totals = np.zeros(4, dtype=int)
    for standings in boards:
        board, standing = board_of(standings), first_of(standings)
        able = TWICE * standing.frame.chance - standing.dense[standing.frame.phase].mean
        found = [(entry.slug, case) for entry in standing.methods for case in cases(site, board, entry.slug)
                 if case.phase == standing.frame.phase and case.tested and case.top1 >= able]  # fmt: skip
        harmed = [(slug, case) for slug, case in found if case.harmed]
        small = [case for _, case in found if case.top1 > -WITHIN]
        counts = len(harmed), len(found), sum(case.harmed for case in small), len(small)
        totals += counts
        if found:
            figures = f"{counts[0]} of {counts[1]}", f"{counts[2]} of {counts[3]}", _heaviest(site, board, harmed)
            lines.append(line_of(site, standing, figures))
    if not lines:
        return None
    sentence = (
        f"In {totals[0]} of {totals[1]} cases, a method at a target, at least one class loses significantly more than the "
        f"whole test set does; where that loses less than one point, in {totals[2]} of {totals[3]}."
    )
    how = (
        "Recall of every class against the dense networks, minus the change of top-1: Welch's t test over the seeds, "
        "Benjamini and Hochberg's correction over the classes, 5 %: chance alone makes such a class in less than 5 of 100 "
        f"cases. {_UNABLE} With few seeds only large differences are significant. What each method forgets, class by class, "
        "stands on its page."
    )
    columns = ("Cases with such a class", "Of those within one point", "Loses most")
    return Finding("class-harm", "Does pruning harm some classes more?", sentence, how, columns, lines)


def _heaviest(site: Site, board: Board, harmed: list[tuple[str, Case]]) -> str:
    """The class that loses most beyond top-1, in words."""
    if not harmed:
        return "none"
    slug, case = min(harmed, key=lambda pair: pair[1].loss)
    name = class_name(site.grid, board.key.benchmark, case.which)
    return f"{name}: {plain(case.loss)} points, {site.titles[slug]} at {asked(case.target)}"


_DUEL = (
    "Every method at every target against the control with its own densities (or widths), paired by base model and "
    "seed: better or worse where the 95 % t interval of the difference leaves out zero, which chance alone does in 5 "
    "of 100 comparisons, half of them to either side. The last columns count those that remain so after Holm's correction "
    "over the board. Where method and control are the same network, or weights go by magnitude in both, there is nothing to "
    f"compare. {_UNABLE} So are methods that draw at random, which have no score, and the tracks on which a method trains "
    "for epochs that its control does not get."
)
_DUEL_COLUMNS = ("Score", "Better", "Cannot be told apart", "Worse", "Same score", "Better after Holm", "Worse after Holm")


Gains = dict[Phase, dict[str, list[tuple[float, ...]]]]
"""Phase -> benchmark -> of each contest between two different networks, the differences by seed."""


def _duels(site: Site, boards: list[Standings], variant: str) -> tuple[list[Line], dict[Phase, Tally], Gains] | None:
    """Evidence per board and phase, the totals of each phase, and the differences behind them.

    Not where a method trains longer than its control does; and a method that draws at random has no score to compare.
    """
    lines: list[Line] = []
    totals: dict[Phase, Tally] = {}
    gains: Gains = {}
    criterion = {slug: one.metadata.facets.criterion for slug, one in site.submissions.items()}
    for standings in boards:
        if words.trains(board_of(standings).key.track):
            continue
        for phase, standing in standings.items():
            alike = variant == "matched-magnitude" and standing.board.key.division != "structured"
            contests = [
                replace(contest, same=contest.same or (alike and criterion.get(contest.slug) == "magnitude"))
                for contest in against(standing, variant)
                if criterion.get(contest.slug) != "random" and contest.higher >= TWICE * standing.frame.chance
            ]
            one = tally(contests)
            if not one.contests:
                continue
            totals[phase] = totals.get(phase, Tally()) + one
            found = gains.setdefault(phase, {}).setdefault(standing.board.key.benchmark, [])
            found += [contest.per_seed for contest in contests if not contest.same]
            called = words.TRACKS[standing.board.key.track].phases.get(phase, phase)
            figures = (called, *map(str, (one.better, one.tied, one.worse, one.same, one.won, one.lost)))
            lines.append(line_of(site, standing, figures, (one.better, one.tied, one.worse)))
    return (lines, dict(sorted(totals.items())), gains) if totals else None


def _worth(gains: Gains) -> str:
    """On average over benchmarks, of which there have to be two."""
    said = []
    for phase, by_benchmark in sorted(gains.items()):
        if len(by_benchmark) > 1:
            mean, low, high = statistics.across([np.mean(own, axis=0) for own in by_benchmark.values()])
            said.append(
                f"{plain(mean)} points {_when(phase)} ({plain(low)} to {plain(high)}, {len(by_benchmark)} benchmarks)"
            )
    return f" On average a score is worth {' and '.join(said)}; {_RESAMPLED}." if said else ""


def _certain(totals: dict[Phase, Tally]) -> str:
    said = (f"{one.won or 'none'} better and {one.lost or 'none'} worse {_when(phase)}" for phase, one in totals.items())
    return f"After Holm's correction over each board there remain {', and '.join(said)}."


def _when(phase: Phase) -> str:
    return {"after": "after (re)training", "before": "as pruned"}[phase]


def _kind(standing: Standing) -> str:
    return words.title(standing.board.key.track, standing.board.key.division).lower()
