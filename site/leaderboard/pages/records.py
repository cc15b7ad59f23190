"""A page for each method on each board, and for each dense control: its records one by one, each with an address.

The address of a record is ``<page>#<target>-<variant>-<seed>``; a figure over seeds leads to ``#<target>`` or to
``#<target>-<variant>``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

from evaluator.canonical import digest
from evaluator.records.record import CONTROLS, DENSE, SCRATCH
from leaderboard import words
from leaderboard.facts import Fact, own, shared
from leaderboard.formats import factor, finite, fixed
from leaderboard.load import LOCAL, Board
from leaderboard.pages.site import Content, Page, Part, Site, board_of, board_title
from leaderboard.rows import Row
from leaderboard.sources import source

VARIANTS = ("dense", "method", *CONTROLS)
"""The order in which they stand at a target."""


@dataclass(frozen=True)
class Seeds:
    """The records of one variant at one target, a seed each."""

    id: str
    variant: str
    rows: list[Row]


@dataclass(frozen=True)
class Listing:
    """What a page of records shows. The facts are taken when it is written: many pages wait for that at a time."""

    board: Board
    slug: str
    rows: list[Row]
    title: str
    place: str
    """Where its board stands, below the site's root."""
    names: dict[str, str]
    option: str
    fresh: dict[str, str]
    """Digest of the recipe for new weights, and what the grid calls it."""
    signer: str | None

    @property
    def local(self) -> bool:
        return self.board.key.origin == LOCAL

    @property
    def unsandboxed(self) -> bool:
        return any(row.sandbox == "none" for row in self.rows)

    @property
    def shared(self) -> list[Fact]:
        return shared([self._as_trained(row) for row in self.rows])

    @property
    def layers(self) -> list[tuple[str, int]]:
        """Shape and number of weights of every prunable layer."""
        first = next((row for row in self.rows if row.layer_shape is not None), None)
        return [] if first is None else list(zip(first.layer_shape, first.layer_total, strict=True))

    def targets(self) -> dict[str, list[Seeds]]:
        """Target -> its records, by variant."""
        found: dict[str, dict[str, list[Row]]] = {}
        for row in self.rows:
            found.setdefault(row.target, {}).setdefault(row.variant, []).append(row)
        return {
            target: [
                Seeds(f"{target}-{name}", name, sorted(variants[name], key=lambda row: int(row.seed)))
                for name in VARIANTS
                if name in variants
            ]
            for target, variants in sorted(found.items(), key=lambda item: _place(item[0]))
        }

    def facts(self, row: Row, beside: list[Fact]) -> list[Fact]:
        return own(self._as_trained(row), beside)

    def _as_trained(self, row: Row) -> Row:
        """A network from scratch is kept under the recipe of its board, but was trained by that for new weights."""
        return row._replace(recipe=self.fresh.get(row.input_recipe, "")) if row.variant in SCRATCH else row

    def gist(self, row: Row) -> str:
        """The figures of a record, in a line."""
        # from scratch nothing is trained again
        phases = words.TRACKS["at-init" if row.variant in SCRATCH else self.board.key.track].phases
        axis, achieved = (
            ("speedup", row.speedup) if self.board.key.division == "structured" else ("compression", row.compression)
        )
        scores = [(row.before_accuracy, phases.get("before", "")), (row.after_accuracy, phases["after"])]
        said = [f"{fixed(accuracy)} % {phase}" for accuracy, phase in scores if finite(accuracy)]
        said += [f"{axis} {factor(achieved)}"] if finite(achieved) else []
        said += [f"{fixed(row.pruning_seconds)} s"] if row.pruning_seconds else []
        return ", ".join(said)

    def command(self, row: Row) -> str:
        """Measures the record again."""
        return f"espalier evaluate {self.slug} --cell {row.cell}{self.option} --force"


def _place(target: str) -> tuple[float, float, str]:
    """Factors by size; patterns after them, the densest first."""
    kept, _, of = target.partition(":")
    return (1.0, -float(kept) / float(of), target) if of else (0.0, float(kept), target)


def pages(site: Site) -> Iterator[Page]:
    """Every method on every board, and every board's dense control."""
    for standings in site.standings:
        board = board_of(standings)
        for slug in sorted(board.by_submission):
            yield _page(site, board, slug, board.by_submission[slug])
        if board.dense_rows:
            yield _page(site, board, DENSE, board.dense_rows)


def _page(site: Site, board: Board, slug: str, rows: list[Row]) -> Page:
    key = board.key
    title = "dense control" if slug == DENSE else site.titles[slug]
    usual = site.grid.recipe_name(key.benchmark, board.track) == key.recipe
    benchmark = site.grid.benchmarks[key.benchmark].title
    fresh = site.grid.recipe_name(key.benchmark, "at-init")
    listing = Listing(
        board=board,
        slug=slug,
        rows=rows,
        title=board_title(site, board),
        place=site.place_of(key),
        names={"method": title, "dense": "dense", **words.CONTROLS[key.division]},
        option="" if usual else f" --recipe {key.recipe}",
        fresh={digest(site.grid.recipes[fresh].functional()): fresh} if fresh in site.grid.recipes else {},
        signer=None if key.origin == LOCAL else site.results.signers.get((key.benchmark, slug)),
    )
    facts = {one.name: getattr(listing, one.name) for one in fields(listing) if one.name not in ("board", "rows")}
    shown = board.dense_source if slug == DENSE else board.sources[slug]
    context = {"listing": listing, "benchmark": benchmark, "method": title, "dense": slug == DENSE}
    heading = f"Records: {title} on {benchmark}"
    description = (
        f"Every record of {title} on {benchmark}: digests, log, cost, environment, and the command that repeats it."
    )
    name = source([facts, key, board.remeasuring, benchmark, title, shown])
    part = Part("record-list.html", name, lambda: Content(context))
    return Page(key.records(slug), "records.html", heading, description, section="methods", parts=[part])
