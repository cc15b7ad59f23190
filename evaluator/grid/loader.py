"""YAML files to one checked, hashed Grid."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from evaluator.canonical import digest
from evaluator.errors import GridError, UsageError, nearest
from evaluator.grid.cells import FROM_FRESH, RETRAINED, Cell, Division, Track
from evaluator.grid.schema import Architecture, Base, Benchmark, Dataset, Protocol, Recipe, Targets, Tier

FILES = ("grid", "datasets", "architectures", "recipes", "targets", "tiers", "benchmarks", "protocol", "bases")

UNTRAINED = "none"
"""Stands in place of a recipe where nothing is trained by the evaluator or the method."""

PATTERN = re.compile(r"([1-9]\d?):([1-9]\d?)")


class Grid(BaseModel):
    """The whole grid; every name in it resolves."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Annotated[str, Field(pattern=r"^[1-9]\d*\.\d+$")]
    datasets: dict[str, Dataset]
    architectures: dict[str, Architecture]
    recipes: dict[str, Recipe]
    targets: dict[Division, Targets]
    tiers: dict[str, Tier]
    benchmarks: dict[str, Benchmark]
    protocol: Protocol
    bases: dict[str, dict[int, Base]]

    @property
    def major(self) -> int:
        """Figures of two majors are never compared."""
        return int(self.version.split(".")[0])

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the whole grid."""
        return digest(self.model_dump(mode="json"))

    def benchmark(self, name: str) -> Benchmark:
        """Raises UsageError, naming the known ones, when there is no such benchmark."""
        try:
            return self.benchmarks[name]
        except KeyError:
            raise UsageError(f"no benchmark {name!r}", fix=nearest(name, self.benchmarks)) from None

    def benchmark_digest(self, name: str) -> str:
        """SHA-256 of everything that defines one benchmark."""
        benchmark = self.benchmarks[name]
        parts = {
            "benchmark": benchmark.model_dump(mode="json", exclude={"title"}, exclude_none=True),
            "dataset": self.datasets[benchmark.dataset].model_dump(mode="json", exclude_none=True),
            "architecture": self.architectures[benchmark.architecture].model_dump(mode="json"),
            "dense": self.recipes[benchmark.dense_recipe].functional() if benchmark.dense_recipe else None,
            "retraining": self.recipes[benchmark.retraining_recipe].functional(),
            **({"fresh": self.recipes[benchmark.fresh_recipe].functional()} if benchmark.fresh_recipe else {}),
            "bases": {str(seed): base.sha256 for seed, base in self.bases.get(name, {}).items()},
        }
        return digest(parts)

    def targets_of(self, name: str, division: Division) -> list[float | str]:
        """The targets of a division on a benchmark: its own, or the division's."""
        return self.benchmarks[name].targets.get(division, self.targets[division].values)

    def stress_of(self, name: str, division: Division) -> list[float]:
        """Targets beyond those: none on a benchmark that has its own."""
        return [] if division in self.benchmarks[name].targets else self.targets[division].stress

    def cells(self, name: str, division: Division, *, stress: bool = False) -> Iterator[Cell]:
        """All cells of a division on a benchmark, targets in order, seeds within; with ``stress`` those beyond as well."""
        benchmark = self.benchmarks[name]
        for track in benchmark.tracks:
            for target in (*self.targets_of(name, division), *(self.stress_of(name, division) if stress else ())):
                for seed in benchmark.seeds:
                    yield Cell(name, track, division, target, seed)

    def keep(self, cell: Cell) -> int | None:
        """How many prunable weights a compression leaves; None when it is infeasible, or the target is another."""
        if cell.division != "unstructured" or isinstance(cell.target, str):
            return None
        return self.architectures[self.benchmarks[cell.benchmark].architecture].keep(cell.target)

    def feasible(self, cell: Cell) -> bool:
        """Whether a target can be met at all, by counting."""
        architecture = self.architectures[self.benchmarks[cell.benchmark].architecture]
        match cell.division:
            case "unstructured":
                return self.keep(cell) is not None
            case "structured":
                return float(cell.target) <= architecture.highest_speedup
            case "semi-structured":
                return True

    def recipe_name(self, benchmark: str, track: Track, alternative: str | None = None) -> str:
        """What trains in a track: the retraining recipe (or an alternative to it), that for fresh weights, or nothing."""
        entry = self.benchmarks[benchmark]
        if track in ("one-shot", "iterative"):
            return alternative or entry.retraining_recipe
        if track in FROM_FRESH:
            return entry.fresh_recipe or entry.dense_recipe or UNTRAINED
        return UNTRAINED

    def method_recipe(self, benchmark: str, track: Track) -> Recipe | None:
        """What a method trains by, and for how many epochs at most; None where it may not train."""
        entry = self.benchmarks[benchmark]
        fresh = entry.fresh_recipe or entry.dense_recipe
        name = {"sparse-training": fresh, "iterative": entry.pruning_recipe}.get(track)
        return self.recipes[name] if name else None

    def in_tier(self, tier: str) -> list[str]:
        """Names of the benchmarks of a tier; raises UsageError for an unknown tier."""
        if tier not in self.tiers:
            raise UsageError(f"no tier {tier!r}", fix=nearest(tier, self.tiers))
        return [name for name, benchmark in self.benchmarks.items() if benchmark.tier == tier]


def load_grid(folder: Path) -> Grid:
    """Read and check the grid in ``folder``.

    Raises:
        GridError: a file is missing, is not YAML, breaks the schema, or names something that does not exist.
    """
    parts: dict[str, Any] = {name: _read(folder / f"{name}.yaml") for name in FILES}
    version = parts.pop("grid").get("version")
    try:
        grid = Grid(version=version, **parts)
    except ValidationError as error:
        problem = error.errors()[0]
        place, *path = [str(part) for part in problem["loc"]]
        file = "grid" if place == "version" else place
        raise GridError(
            f"{'.'.join(path) or place}: {problem['msg']}", where=folder / f"{file}.yaml", fix="see evaluator/grid/schema.py"
        ) from None
    _resolve(grid, folder)
    return grid


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise GridError("this file of the grid is missing", where=path, fix="restore it from git") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise GridError(f"not YAML: {error}", where=path) from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise GridError("expected a mapping", where=path)
    return content


def _contradiction(grid: Grid, name: str) -> str | None:
    """What of a benchmark nobody could measure."""
    benchmark = grid.benchmarks[name]
    if "iterative" in benchmark.tracks and benchmark.pruning_recipe is None:
        return "the iterative track needs a pruning_recipe"
    scratch = "structured" in benchmark.divisions and set(benchmark.tracks) & set(RETRAINED)
    if benchmark.dense_recipe is None and (scratch or set(benchmark.tracks) & set(FROM_FRESH)):
        return "networks are trained from new weights, which needs a dense_recipe"
    for division in benchmark.divisions:
        for target in (*grid.targets_of(name, division), *grid.stress_of(name, division)):
            if division == "semi-structured":
                found = PATTERN.fullmatch(str(target))
                if found is None or int(found[1]) >= int(found[2]):
                    return f"{target!r} is no pattern like 2:4"
            elif isinstance(target, str) or not target > 1:
                return f"{target!r} is no {grid.targets[division].axis} above 1"
    used = [grid.recipes[recipe] for recipe in (benchmark.dense_recipe, benchmark.retraining_recipe) if recipe]
    streamed = grid.datasets[benchmark.dataset].source == "image-stream"
    if not streamed and any(recipe.augment == "flip-resized-crop" for recipe in used):
        return "flip-resized-crop needs pictures of their original size"
    return None


def _resolve(grid: Grid, folder: Path) -> None:
    kinds: dict[str, Mapping[str, object]] = {
        "dataset": grid.datasets,
        "architecture": grid.architectures,
        "tier": grid.tiers,
        "dense_recipe": grid.recipes,
        "retraining_recipe": grid.recipes,
    }
    for name, benchmark in grid.benchmarks.items():
        for field, known in kinds.items():
            value = getattr(benchmark, field)
            if value is not None and value not in known:
                raise GridError(
                    f"{name}: {field} {value!r} does not exist",
                    where=folder / "benchmarks.yaml",
                    fix=f"one of: {', '.join(known)}",
                )
        recipes = [*benchmark.alternative_recipes, *filter(None, [benchmark.fresh_recipe, benchmark.pruning_recipe])]
        if unknown := [recipe for recipe in recipes if recipe not in grid.recipes]:
            raise GridError(f"{name}: no recipe {unknown[0]!r}", where=folder / "benchmarks.yaml")
        if problem := _contradiction(grid, name):
            raise GridError(f"{name}: {problem}", where=folder / "benchmarks.yaml")
