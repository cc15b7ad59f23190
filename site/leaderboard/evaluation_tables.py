"""The published boards as evaluation tables, in the layout that Papers with Code gave its own (`evaluation-tables.json`).

A task with data sets, each with rows of metrics as text. A board is a data set, since figures are comparable within one
only; what that layout has no place for stands in a row's `espalier`. Lower bounds, and figures with a gap, are left out.
"""

from __future__ import annotations

import json
import math
from typing import Any

from leaderboard.entries import Axis, Entry
from leaderboard.formats import asked, finite
from leaderboard.load import PUBLISHED
from leaderboard.pages.site import Site, Standings, board_of, board_title, first_of
from leaderboard.standings import Standing
from leaderboard.statistics import Interval

FILE = "evaluation-tables.json"


def text(site: Site) -> str:
    """All of it, as JSON."""
    published = [standings for standings in site.standings if board_of(standings).key.origin == PUBLISHED]
    task = {
        "task": "Network Pruning",
        "description": "Methods rerun by the evaluator on a fixed grid; no figure is self-reported.",
        "categories": ["Methodology"],
        "synonyms": ["Neural network pruning"],
        "source_link": site.url or None,
        "subtasks": [],
        "datasets": [_dataset(site, standings) for standings in published],
    }
    return json.dumps([task], indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _dataset(site: Site, standings: Standings) -> dict[str, Any]:
    """One board, by its first score: after retraining, where there is such a one."""
    standing = first_of(standings)
    key = standing.board.key
    benchmark = site.grid.benchmarks[key.benchmark].title
    rows = [_row(site, standing, entry) for entry in standing.methods]
    place = site.url + site.place_of(key)
    return {
        "dataset": f"{benchmark}: {board_title(site, standing.board).lower()}, {key.device_class}",
        "description": f"Grid {site.grid.version}, {key.track}, {key.division}, recipe {key.recipe}. Top-1 in percent.",
        "dataset_links": [{"title": benchmark, "url": place}] if site.url else [],
        "dataset_citations": [],
        "subdatasets": [],
        "sota": {"metrics": list(dict.fromkeys(name for row in rows for name in row["metrics"])), "rows": rows},
    }


def _row(site: Site, standing: Standing, entry: Entry) -> dict[str, Any]:
    submission = site.submissions.get(entry.slug)
    paper = submission.metadata.paper if submission else None
    known = {name: one for name, one in _figures(standing, entry).items() if one[0].n}
    page = f"{site.url}methods/{entry.slug}.html"
    rank = standing.ranking().get(entry.slug)
    return {
        "model_name": site.titles[entry.slug],
        "paper_title": paper.title if paper else "",
        "paper_url": paper.link if paper else "",
        "paper_date": None,
        "code_links": [],
        "model_links": [{"title": "Espalier", "url": page}] if site.url else [],
        "uses_additional_data": False,
        "metrics": {name: f"{interval.mean:.{digits}f}" for name, (interval, digits) in known.items()},
        "espalier": {
            "slug": entry.slug,
            "seeds": entry.seeds[0],
            "rank": list(rank) if rank else None,
            "half_intervals": {name: f"{one.half:.{digits}f}" for name, (one, digits) in known.items() if finite(one.half)},
        },
    }


def _figures(standing: Standing, entry: Entry) -> dict[str, tuple[Interval, int]]:
    """Metric -> its figure, of no seed where there is none, and how many digits it is given with."""
    axes: list[Axis] = [axis for axis in standing.axes if axis is not None]
    found = {f"NAUC on {axis}": (entry.area[axis].interval, 4) for axis in axes}
    for axis in axes:
        reach = entry.reach[axis][1.0]
        known = not reach.gap and not reach.beyond
        found[f"{axis[0].upper()}@1"] = (Interval(reach.factor, math.nan, math.nan, int(known)), 2)
    for point in entry.points:
        found[f"Top-1 at {asked(point.target.label)}"] = (point.accuracy, 2)
    return found | {"Mean drop": (entry.mean_drop.interval, 2)}
