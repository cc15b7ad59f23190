"""Synthetic records: plausible curves, failures and hostile text, made with the real models and kept in the real store.

Tests and the speed benchmark use it.  Nothing here is a measurement.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import yaml

from evaluator.canonical import digest
from evaluator.expectation import expected_inputs, of_variant
from evaluator.grid import Grid, load_grid
from evaluator.grid.cells import FROM_FRESH, SETUP, TRAINING, Cell, Track, pattern
from evaluator.records import Cost, Counts, Environment, Latency, LayerCount, Record, Score, Store, controls_of
from evaluator.records.record import SCRATCH
from evaluator.repository import Repository
from tests.miniature import share
from tests.site.methods import TITLES, USUAL, Kind, metadata_of, names, submission_of, write_submission

HERE = Path(__file__).resolve()
CHECKOUT = HERE.parents[2]

LAYERS = {
    "digits-mlp": ([[100, 64], [50, 100]], 660),
    "digits-cnn": ([[16, 1, 3, 3], [32, 16, 3, 3]], 1378),
    "mnist-lenet-300-100": ([[300, 784], [100, 300]], 1410),
    "mnist-lenet-5": ([[20, 1, 5, 5], [50, 20, 5, 5], [500, 800]], 5580),
}
"""Shapes of the prunable layers, and how many parameters are never pruned."""

ORIGINALS = ("mnist-lenet-300-100", "mnist-lenet-5")
COPY = "-copy-"

DENSE_ACCURACY = {"digits-mlp": 96.8, "digits-cnn": 97.4, "mnist-lenet-300-100": 98.2, "mnist-lenet-5": 99.1}


@dataclass
class Plan:
    """What to make."""

    benchmarks: tuple[str, ...] = ("digits-mlp", "mnist-lenet-300-100")
    methods: int = 5
    controls: bool = True
    sandbox: str = "bubblewrap"
    failures: dict[tuple[str, str], str] = field(default_factory=dict)
    """(slug, target) -> status, for all seeds."""
    missing: set[tuple[str, str, int]] = field(default_factory=set)
    """(slug, target, seed) left out."""
    collapsed: set[tuple[str, str]] = field(default_factory=set)
    log: str = "kept 33400 of 266200 weights\n"
    reason: str = "the method ran longer than its 60 seconds"
    kinds: tuple[Kind, ...] = (USUAL,)
    recipe: str | None = None
    """An alternative to the benchmark's retraining recipe."""
    tracks: tuple[Track, ...] = ()
    """That the methods also go through, beside those of their kinds."""
    stress: bool = False


def original(name: str) -> str:
    """Of which benchmark one is a copy, or itself."""
    return name.partition(COPY)[0]


def make_repository(root: Path) -> Repository:
    """An empty checkout with this project's grid."""
    shutil.copytree(CHECKOUT / "evaluator" / "grid", root / "evaluator" / "grid", ignore=shutil.ignore_patterns("*.py"))
    share(root / ".espalier")
    return Repository(root)


def open_everything(repository: Repository, name: str) -> None:
    """Every track, division and pattern on one benchmark, and an alternative recipe."""
    path = repository.grid / "benchmarks.yaml"
    content = yaml.safe_load(path.read_text())
    content[name].update(
        tracks=["post-training", "one-shot", "iterative", "at-init", "sparse-training"],
        divisions=["unstructured", "semi-structured", "structured"], pruning_recipe="lenet-5-dense",
        alternative_recipes=["lenet-5-retraining"],
        targets={"unstructured": [2, 4, 8], "semi-structured": ["2:4", "1:4", "4:8"], "structured": [1.5, 2, 3]},
    )  # fmt: skip
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def copy_benchmarks(repository: Repository, count: int, seeds: int, tracks: Sequence[Track] = ("one-shot",)) -> list[str]:
    """A grid of so many benchmarks with so many seeds, all copies of the toy ones; returns their names."""
    benchmarks, bases = (yaml.safe_load((repository.grid / f"{name}.yaml").read_text()) for name in ("benchmarks", "bases"))
    copies = {f"{ORIGINALS[i % len(ORIGINALS)]}{COPY}{i}": benchmarks[ORIGINALS[i % len(ORIGINALS)]] for i in range(count)}
    made = {
        name: {**entry, "title": f"{entry['title']}, {name.rpartition('-')[2]}", "tracks": list(tracks),
               "seeds": list(range(seeds)), "pruning_recipe": entry["dense_recipe"]}
        for name, entry in copies.items()
    }  # fmt: skip
    bases = {name: {seed: {"sha256": digest([name, seed])} for seed in range(seeds)} for name in made}
    for name, content in (("benchmarks", made), ("bases", bases)):
        (repository.grid / f"{name}.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return list(made)


def records(grid: Grid, plan: Plan) -> Iterator[Record]:
    """Every record of the plan, those of one file after each other; the same plan gives the same records."""
    for name in plan.benchmarks:
        for kind in plan.kinds:
            tracks = (kind[0], *plan.tracks)
            for track in tracks:
                for seed in grid.benchmarks[name].seeds:
                    yield _dense(name, (track, kind[1]), seed, grid, plan)
            for index, slug in enumerate(names(kind, plan.methods)):
                for cell in grid.cells(name, kind[1], stress=plan.stress):
                    if cell.track not in tracks or (slug, _label(cell), cell.seed) in plan.missing:
                        continue
                    for variant in ("method", *(controls_of(cell) if plan.controls else ())):
                        yield _record(cell, slug, index, variant, grid, plan)


def _label(cell: Cell) -> str:
    return cell.target if isinstance(cell.target, str) else f"{cell.target:g}"


def fill(repository: Repository, plan: Plan, *, local: bool = False, submissions: bool = True) -> int:
    """Write the plan's records into a store, and its submissions beside; returns how many records."""
    store, count = Store(repository.local if local else repository.published), 0
    for _, own in groupby(records(load_grid(repository.grid), plan), lambda record: (record.benchmark, record.submission)):
        store.add(made := list(own))
        count += len(made)
    if submissions:
        for kind in plan.kinds:
            for slug in names(kind, plan.methods):
                write_submission(repository, metadata_of(slug))
    return count


def _dense(name: str, kind: Kind, seed: int, grid: Grid, plan: Plan) -> Record:
    cell = Cell(name, *kind, 1, seed)
    rng = random.Random(f"{name} dense {seed}")
    accuracy = DENSE_ACCURACY[original(name)] + rng.gauss(0, 0.1)
    scores = (accuracy, accuracy + rng.gauss(0.05, 0.03))
    return _build(cell, "dense", "dense", "ok", scores, _counts(name, 1.0, 0.0, collapsed=False), grid, plan)


def _record(cell: Cell, slug: str, index: int, variant: str, grid: Grid, plan: Plan) -> Record:
    target = _label(cell)
    status = plan.failures.get((slug, target), "ok") if variant == "method" else "ok"
    if status != "ok":
        return _build(cell, slug, variant, status, None, None, grid, plan)
    rng = random.Random(f"{cell.id} {slug} {variant}")
    base = random.Random(f"{cell.benchmark} dense {cell.seed}")
    dense = DENSE_ACCURACY[original(cell.benchmark)] + base.gauss(0, 0.1)
    quality = {"method": 0.8 + 0.1 * (index % 10), "matched-magnitude": 1.3, "matched-random": 4.0, "scratch-e": 2.0,
               "scratch-b": 1.1}[variant]  # fmt: skip
    if TITLES[index % len(TITLES)] == "Random":
        quality = 5.0
    factor = _factor(cell.target)
    steps = len(bin(int(factor))) - 3
    drop = quality * 0.06 * steps**2 + rng.gauss(0, 0.05)
    collapsed = (slug, target) in plan.collapsed
    after = 10.0 if collapsed else max(10.0, dense - drop)
    before = 10.0 if collapsed else max(10.0, dense - min(88.0, drop * 4 * steps))
    counts = _counts(cell.benchmark, factor, 0.15 * (index % 5), collapsed=collapsed)
    if cell.division == "structured":
        counts = counts.model_copy(update={"macs_kept": round(counts.macs / factor), "speedup_kind": "materialised",
                                           "channels": [round(16 / factor), round(32 / factor)]})  # fmt: skip
    return _build(cell, slug, variant, "ok", (before, after), counts, grid, plan)


def _factor(target: float | str) -> float:
    wanted = pattern(target)
    return wanted[1] / wanted[0] if wanted else float(target)


def _scored(cell: Cell, variant: str, scores: tuple[Score, Score]) -> tuple[Score | None, Score | None]:
    """Before and after what follows pruning, where there is such a score."""
    before, after = scores
    if cell.track == "post-training":
        return before, None
    return (None if cell.track in FROM_FRESH or variant in SCRATCH else before), after


def _latency(cell: Cell, variant: str) -> list[Latency]:
    """Twice as fast at a speedup of two; the quartiles are a tenth away."""
    if cell.division != "structured" or variant not in ("method", "dense"):
        return []
    median = {
        batch: (1 + cell.seed) * milliseconds / _factor(cell.target) for batch, milliseconds in ((1, 0.6), (128, 12.0))
    }
    return [Latency(device="cpu", threads=1, batch=batch, dtype="float32", median_ms=time, runs=10,
                    quartiles_ms=(0.9 * time, 1.1 * time)) for batch, time in median.items()]  # fmt: skip


def _counts(name: str, compression: float, tilt: float, *, collapsed: bool) -> Counts:
    shapes, fixed = LAYERS[original(name)]
    totals = [_product(shape) for shape in shapes]
    parameters = sum(totals) + fixed
    kept = max(0, round(parameters / compression) - fixed)
    first = min(totals[0], kept, round(totals[0] * min(1.0, kept / sum(totals) * (1 + tilt))))
    rest = [round((kept - first) * total / sum(totals[1:])) for total in totals[1:]]
    layers = [LayerCount(position=i, shape=shape, kept=min(total, count))
              for i, (shape, total, count) in enumerate(zip(shapes, totals, [first, *rest], strict=True))]  # fmt: skip
    macs, left = parameters * 3, fixed + sum(layer.kept for layer in layers)
    macs_kept = max(1, round(macs / (1 + (compression - 1) * (0.75 - tilt / 4))))
    return Counts(parameters=parameters, kept=left, effective=left - 3, macs=macs, macs_kept=macs_kept, layers=layers,
                  collapsed=collapsed, speedup_kind="mask")  # fmt: skip


def _build(cell: Cell, slug: str, variant: str, status: str, scores: tuple[float, float] | None, counts: Counts | None,
           grid: Grid, plan: Plan) -> Record:  # fmt: skip
    benchmark = grid.benchmarks[cell.benchmark]
    dataset = grid.datasets[benchmark.dataset]
    first, second = (_score(a, dataset.split.test, dataset.classes) for a in scores or (0, 0))
    before, after = _scored(cell, variant, (first, second)) if scores else (None, None)
    inputs = expected_inputs(grid, None if slug == "dense" else submission_of(slug), cell, plan.recipe)
    inputs = of_variant(grid, cell, inputs, variant)
    trains = variant == "method" and cell.track in TRAINING
    rng = random.Random(f"{cell.id} {slug} {variant} cost")
    here = Environment(
        device_class="cpu",
        device="Synthetic CPU",
        torch="2.11.0",
        python="3.11.2",
        platform="Linux",
        espalier="0.1.0",
        sandbox=plan.sandbox,
    )  # type: ignore[arg-type]
    again = status == "ok" and variant == "method" and cell.seed == 1
    day = 1 + sum(map(ord, slug)) % 28
    return Record.model_validate(
        {
            "benchmark": cell.benchmark, "track": cell.track, "division": cell.division, "target": cell.target,
            "seed": cell.seed, "submission": slug, "variant": variant,
            "recipe": grid.recipe_name(cell.benchmark, cell.track, plan.recipe),
            "setup": SETUP[cell.track], "status": status, "reason": None if status == "ok" else plan.reason,
            "log": plan.log if variant == "method" else "", "counts": counts, "before": before, "after": after,
            "trainability": after.accuracy - 1 if after else None,
            "latency": _latency(cell, variant) if scores else [],
            "cost": Cost(pruning_seconds=rng.uniform(0.1, 3), pruning_epochs=_factor(cell.target) if trains else 0,
                         pruning_memory_mb=rng.uniform(300, 500),
                         retraining_seconds=rng.uniform(4, 9), retraining_epochs=3),
            "inputs": inputs, "artifact": digest([cell.id, slug, variant]) if scores else None,
            "prune_key": digest([cell.id, slug, "prune"]), "score_key": digest([cell.id, slug, variant, "score"]),
            "environment": here, "pruned_in": here.model_copy(update={"device": "Another CPU"}) if again else None,
            "created": f"2026-08-{day:02d}T12:00:00Z",
        }
    )  # fmt: skip


def _score(accuracy: float, images: int, classes: int) -> Score:
    correct = max(0, min(images, round(accuracy * images / 100)))
    per_class = [images // classes + (i < images % classes) for i in range(classes)]
    hits, left = [], correct
    for i, total in enumerate(per_class):
        hit = min(total, round(left / (classes - i)))
        hits.append(hit)
        left -= hit
    return Score(correct=sum(hits), images=images, loss=(100 - accuracy) / 30, class_correct=hits, class_images=per_class,
                 predictions=digest([accuracy, images]))  # fmt: skip


def _product(shape: list[int]) -> int:
    product = 1
    for side in shape:
        product *= side
    return product
