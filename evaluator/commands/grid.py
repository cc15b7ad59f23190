"""`espalier grid`: what is measured."""

from __future__ import annotations

from typing import Any

from evaluator.commands.options import Json, Root
from evaluator.grid import Grid, load_grid
from evaluator.grid.cells import TRAINING
from evaluator.repository import Repository
from evaluator.terminal import out, print_json, print_table


def grid(as_json: Json = False, root: Root = None) -> None:
    """List every benchmark of the grid with its device, counts, targets, seeds, recipes, limits and digest.

    Limits are a method's, for one cell: time on the clock, and memory. Epochs are what a method may train at most, on the
    iterative and on the sparse-training track.
    """
    loaded = load_grid(Repository.find(root).grid)
    described = [describe(loaded, name) for name in loaded.benchmarks]
    if as_json:
        print_json({"version": loaded.version, "digest": loaded.digest, "benchmarks": described})
        return
    columns = (
        *("benchmark", "tier", "device", ">limits", ">epochs", ">parameters", ">prunable", ">MACs", ">up to"),
        *("targets", "seeds", "recipe", "digest"),
    )
    rows = [
        (
            b["name"],
            b["tier"],
            b["device_class"],
            f"{b['limits']['wall_seconds']:g} s, {b['limits']['memory_mb'] / 1024:g} GB",
            " / ".join(str(b["method_epochs"].get(track, "none")) for track in TRAINING) if b["method_epochs"] else "",
            f"{b['parameters']:,}",
            f"{b['prunable_weights']:,}",
            f"{b['macs']:,}",
            f"{b['feasible_compression'][1]:.1f}x",
            "; ".join(f"{division} {_list(targets)}" for division, targets in b["targets"].items()),
            " ".join(map(str, b["seeds"])),
            b["recipe"]["name"],
            b["digest"][:12],
        )
        for b in described
    ]
    print_table(columns, rows)
    out.print("\nlimits and epochs are a method's, for one cell; epochs of the iterative / of the sparse-training track")
    out.print(f"grid {loaded.version}, digest {loaded.digest}")


def describe(loaded: Grid, name: str) -> dict[str, Any]:
    """One benchmark in full, for people and programs."""
    benchmark = loaded.benchmarks[name]
    architecture, tier = loaded.architectures[benchmark.architecture], loaded.tiers[benchmark.tier]
    return {
        "name": name,
        "title": benchmark.title,
        "tier": benchmark.tier,
        "device_class": tier.device_class,
        "limits": tier.limits.model_dump(mode="json"),
        "method_epochs": {
            track: recipe.epochs for track in benchmark.tracks if (recipe := loaded.method_recipe(name, track))
        },
        "dataset": benchmark.dataset,
        "architecture": benchmark.architecture,
        "parameters": architecture.parameters,
        "prunable_weights": architecture.prunable,
        "macs": architecture.macs,
        "feasible_compression": [1.0, architecture.highest_compression],
        "feasible_speedup": [1.0, architecture.highest_speedup],
        "tracks": list(benchmark.tracks),
        "targets": {division: loaded.targets_of(name, division) for division in benchmark.divisions},
        "stress": {division: far for division in benchmark.divisions if (far := loaded.stress_of(name, division))},
        "seeds": benchmark.seeds,
        "recipe": _recipe(loaded, benchmark.retraining_recipe),
        "alternative_recipes": [_recipe(loaded, other) for other in benchmark.alternative_recipes],
        "dense_recipe": _recipe(loaded, benchmark.dense_recipe),
        "fresh_recipe": _recipe(loaded, benchmark.fresh_recipe),
        "pruning_recipe": _recipe(loaded, benchmark.pruning_recipe),
        "start": benchmark.start and benchmark.start.model_dump(mode="json"),
        "bases": {str(seed): base.sha256 for seed, base in loaded.bases.get(name, {}).items()},
        "digest": loaded.benchmark_digest(name),
    }


def _recipe(loaded: Grid, name: str | None) -> dict[str, Any] | None:
    return {"name": name, **loaded.recipes[name].functional()} if name else None


def _list(targets: list[float | str]) -> str:
    return " ".join(target if isinstance(target, str) else f"{target:g}" for target in targets)
