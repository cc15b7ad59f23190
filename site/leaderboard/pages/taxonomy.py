"""The survey's tree with the methods at its leaves, and where there are measured results and where not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_args

from evaluator.grid.cells import Division
from evaluator.metadata import Facets, Metadata
from leaderboard.pages.progress import State, Tally, states
from leaderboard.pages.site import Page, Site

CRITERIA: tuple[str, ...] = get_args(Facets.model_fields["criterion"].annotation)
STAGES: tuple[str, ...] = get_args(Metadata.model_fields["stage"].annotation)
DIVISIONS: tuple[str, ...] = get_args(Division)


@dataclass(frozen=True)
class Leaf:
    """One method; ``measured`` counts the benchmarks on which it has a measured cell, ``open`` those where it could have."""

    slug: str
    note: str
    measured: int
    open: int


@dataclass(frozen=True)
class Branch:
    """The methods of one division and stage that judge by one criterion."""

    criterion: str
    id: str
    leaves: list[Leaf]

    @property
    def measured(self) -> int:
        return sum(leaf.measured > 0 for leaf in self.leaves)


@dataclass(frozen=True)
class Limb:
    """One division and stage: its branches, and the criteria by which no method judges yet."""

    division: str
    stage: str
    branches: list[Branch]
    absent: list[str]

    @property
    def methods(self) -> int:
        return sum(len(branch.leaves) for branch in self.branches)

    @property
    def heading(self) -> str:
        return f"{self.division}-{self.stage}"


@dataclass(frozen=True)
class Row:
    """One method in the matrix: a tally for every column, None where the benchmark is not for it."""

    slug: str
    tallies: list[Tally | None]


def pages(site: Site) -> Iterator[Page]:
    """The taxonomy page."""
    counted = list(states(site).values())
    open_ones = [one for one in counted if one.cells > one.waiting]
    limbs = tree(site, open_ones)
    context = {
        "limbs": {division: [limb for limb in limbs if limb.division == division] for division in DIVISIONS},
        "matrix": {
            criterion: [next((b for b in limb.branches if b.criterion == criterion), None) for limb in limbs]
            for criterion in CRITERIA
        },
        "stages": STAGES,
        "columns": open_ones,
        "waiting": [one for one in counted if one.cells and one.cells == one.waiting],
        "idle": [one for one in counted if not one.cells],
        "rows": {division: list(_rows(site, open_ones, division)) for division in DIVISIONS},
    }
    description = "The survey's taxonomy of pruning with the measured methods at its leaves, and what is not measured yet."
    yield Page("taxonomy.html", "taxonomy.html", "Taxonomy", description, context, [], "methods")


def tree(site: Site, states: list[State]) -> list[Limb]:
    """Division, stage, criterion, methods: every branch that the metadata know, with or without methods."""
    leaves: dict[tuple[str, str, str], list[Leaf]] = {}
    for slug, submission in sorted(site.submissions.items()):
        one = submission.metadata
        tallies = [tally for state in states if (tally := state.tallies.get(slug)) is not None]
        leaf = Leaf(slug, _note(one), sum(t.measured > 0 for t in tallies), sum(t.cells > t.waiting for t in tallies))
        leaves.setdefault((one.division, one.stage, one.facets.criterion), []).append(leaf)
    return [_limb(division, stage, leaves) for division in DIVISIONS for stage in STAGES]


def _limb(division: str, stage: str, leaves: dict[tuple[str, str, str], list[Leaf]]) -> Limb:
    present = [name for name in CRITERIA if (division, stage, name) in leaves]
    branches = [Branch(name, f"{division}-{stage}-{name}", leaves[division, stage, name]) for name in present]
    return Limb(division, stage, branches, [name for name in CRITERIA if name not in present])


def _note(one: Metadata) -> str:
    """The facets below the criterion, those that say something."""
    facets = one.facets
    said = [f"scope: {facets.scope}", facets.schedule]
    said += [f"learned by {facets.learned_by}"] if facets.learned_by != "none" else []
    said += [f"updates weights by {facets.weight_update}"] if facets.weight_update != "none" else []
    said += [f"with {facets.fusion}"] if facets.fusion != "none" else []
    return " · ".join(said)


def _rows(site: Site, columns: list[State], division: str) -> Iterator[Row]:
    """Methods of a division with a place on any of the benchmarks; those without metadata stand in the first one."""
    for slug in site.slugs:
        submission = site.submissions.get(slug)
        if (submission.metadata.division if submission else DIVISIONS[0]) != division:
            continue
        tallies = [one.tallies.get(slug) for one in columns]
        if any(tally is not None and tally.cells for tally in tallies):
            yield Row(slug, [tally if tally is not None and tally.cells else None for tally in tallies])
