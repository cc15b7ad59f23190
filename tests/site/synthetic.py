"""Synthetic records: plausible curves, failures and hostile text, made with the real models and kept in the real store.

Tests and the speed benchmark use it.  Nothing here is a measurement.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from evaluator.canonical import digest
from evaluator.expectation import expected_inputs
from evaluator.grid import Grid, load_grid
from evaluator.grid.cells import SETUP, Cell
from evaluator.metadata import Metadata, Submission
from evaluator.records import Cost, Counts, Environment, LayerCount, Record, Score, Store
from evaluator.repository import Repository

HERE = Path(__file__).resolve()
CHECKOUT = HERE.parents[2]

LAYERS = {
    "digits-mlp": ([[100, 64], [50, 100]], 660),
    "digits-cnn": ([[16, 1, 3, 3], [32, 16, 3, 3]], 1378),
    "mnist-lenet-300-100": ([[300, 784], [100, 300]], 1410),
    "mnist-lenet-5": ([[20, 1, 5, 5], [50, 20, 5, 5], [500, 800]], 5580),
}
"""Shapes of the prunable layers, and how many parameters are never pruned."""

DENSE_ACCURACY = {"digits-mlp": 96.8, "digits-cnn": 97.4, "mnist-lenet-300-100": 98.2, "mnist-lenet-5": 99.1}
TITLES = ("Global magnitude", "Uniform magnitude", "LAMP", "ERK magnitude", "Random", "Global gradient", "Layer gradient",
          "Magnitude and activation", "Diagonal Fisher", "WoodFisher")  # fmt: skip


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


def slugs(count: int) -> list[str]:
    return [_slug(TITLES[i]) if i < len(TITLES) else f"method-{i:03d}" for i in range(count)]


def _slug(title: str) -> str:
    return "-".join("".join(c if c.isalnum() else " " for c in title.lower()).split())


def metadata(slug: str, index: int = 0, **changes: Any) -> dict[str, Any]:
    """A valid `metadata.yaml`, with ``changes``."""
    criteria = ("magnitude", "magnitude", "magnitude", "magnitude", "random", "loss-change", "loss-change", "activation",
                "second-order", "second-order")  # fmt: skip
    content = {
        "contract": 1, "slug": slug, "title": TITLES[index] if index < len(TITLES) else f"Method {index}",
        "summary": "Keeps the weights that matter most by a score, and removes the others in one step. Synthetic text.",
        "authors": ["A. Gardener", "B. Pruner"], "year": 2015 + index % 10,
        "paper": {"title": "Learning both weights and connections", "venue": "NeurIPS 2015", "arxiv": "1506.02626"},
        "licence": "MIT", "division": "unstructured", "stage": "after",
        "facets": {"criterion": criteria[index % 10], "scope": "global" if index % 2 else "layer", "data_use": "none",
                   "supervision": "none"},
        "needs": {"data": index % 3 == 1, "labels": False, "gradients": index % 3 == 1},
        "hyperparameters": {"damping": 0.01, "normalise": True}, "deviations": ["No retraining between the steps."],
        "reported": [{"dataset": "MNIST", "architecture": "LeNet-300-100", "metric": "top-1", "value": 98.4,
                      "compression": 12.2, "source": "Table 3"}],
    }  # fmt: skip
    content.update(changes)
    return content


CODE = '''"""Keep the largest weights."""

from evaluator.contract import Job, Pruned, PruningMethod


class Magnitude(PruningMethod):
    """Keep the largest weights of the network, wherever they are."""

    def prune(self, job: Job) -> Pruned:
        return job.keep_highest({name: w.abs() for name, w in job.weights()}, scope="global")
'''


def write_submission(repository: Repository, content: dict[str, Any], code: str = CODE) -> None:
    folder = repository.submissions / content["slug"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metadata.yaml").write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    (folder / "method.py").write_text(code, encoding="utf-8")


def make_repository(root: Path) -> Repository:
    """An empty checkout with this project's grid."""
    shutil.copytree(CHECKOUT / "evaluator" / "grid", root / "evaluator" / "grid", ignore=shutil.ignore_patterns("*.py"))
    return Repository(root)


def records(grid: Grid, plan: Plan) -> Iterator[Record]:
    """Every record of the plan; the same plan gives the same records."""
    for name in plan.benchmarks:
        for seed in grid.benchmarks[name].seeds:
            yield _dense(name, seed, grid, plan)
        for index, slug in enumerate(slugs(plan.methods)):
            for cell in grid.cells(name, "unstructured"):
                if (slug, f"{cell.target:g}", cell.seed) in plan.missing:
                    continue
                variants = ("method", "matched-random", "matched-magnitude") if plan.controls else ("method",)
                for variant in variants:
                    yield _record(cell, slug, index, variant, grid, plan)


def fill(repository: Repository, plan: Plan, *, local: bool = False, submissions: bool = True) -> int:
    """Write the plan's records into a store, and its submissions beside; returns how many records."""
    made = list(records(load_grid(repository.grid), plan))
    Store(repository.local if local else repository.published).add(made)
    if submissions:
        for index, slug in enumerate(slugs(plan.methods)):
            write_submission(repository, metadata(slug, index))
    return len(made)


@cache
def submission_of(slug: str) -> Submission:
    """The submission that :func:`fill` writes for a slug, so that its records are fresh."""
    known = [_slug(title) for title in TITLES]
    index = known.index(slug) if slug in known else int(slug.rpartition("-")[2])
    return Submission(folder=Path(slug), metadata=Metadata.model_validate(metadata(slug, index)), code=CODE)


def _dense(name: str, seed: int, grid: Grid, plan: Plan) -> Record:
    cell = Cell(name, "one-shot", "unstructured", 1, seed)
    rng = random.Random(f"{name} dense {seed}")
    accuracy = DENSE_ACCURACY[name] + rng.gauss(0, 0.1)
    scores = (accuracy, accuracy + rng.gauss(0.05, 0.03))
    return _build(cell, "dense", "dense", "ok", scores, _counts(name, 1.0, 0.0, collapsed=False), grid, plan)


def _record(cell: Cell, slug: str, index: int, variant: str, grid: Grid, plan: Plan) -> Record:
    target = f"{cell.target:g}"
    status = plan.failures.get((slug, target), "ok") if variant == "method" else "ok"
    if status != "ok":
        return _build(cell, slug, variant, status, None, None, grid, plan)
    rng = random.Random(f"{cell.id} {slug} {variant}")
    base = random.Random(f"{cell.benchmark} dense {cell.seed}")
    dense = DENSE_ACCURACY[cell.benchmark] + base.gauss(0, 0.1)
    quality = {"method": 0.8 + 0.1 * (index % 10), "matched-magnitude": 1.3, "matched-random": 4.0}[variant]
    if TITLES[index % len(TITLES)] == "Random":
        quality = 5.0
    steps = float(cell.target).bit_length() if isinstance(cell.target, int) else len(bin(int(cell.target))) - 3
    drop = quality * 0.06 * steps**2 + rng.gauss(0, 0.05)
    collapsed = (slug, target) in plan.collapsed
    after = 10.0 if collapsed else max(10.0, dense - drop)
    before = 10.0 if collapsed else max(10.0, dense - min(88.0, drop * 4 * steps))
    counts = _counts(cell.benchmark, float(cell.target), 0.15 * (index % 5), collapsed=collapsed)
    return _build(cell, slug, variant, "ok", (before, after), counts, grid, plan)


def _counts(name: str, compression: float, tilt: float, *, collapsed: bool) -> Counts:
    shapes, fixed = LAYERS[name]
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
    before, after = (_score(a, dataset.split.test, dataset.classes) for a in scores) if scores else (None, None)
    inputs = expected_inputs(grid, None if slug == "dense" else submission_of(slug), cell)
    rng = random.Random(f"{cell.id} {slug} {variant} cost")
    day = 1 + sum(map(ord, slug)) % 28
    return Record.model_validate(
        {
            "benchmark": cell.benchmark, "track": cell.track, "division": cell.division, "target": cell.target,
            "seed": cell.seed, "submission": slug, "variant": variant, "recipe": benchmark.retraining_recipe,
            "setup": SETUP[cell.track], "status": status, "reason": None if status == "ok" else plan.reason,
            "log": plan.log if variant == "method" else "", "counts": counts, "before": before, "after": after,
            "trainability": after.accuracy - 1 if after else None,
            "cost": Cost(pruning_seconds=rng.uniform(0.1, 3), pruning_memory_mb=rng.uniform(300, 500),
                         retraining_seconds=rng.uniform(4, 9), retraining_epochs=3),
            "inputs": inputs, "artifact": digest([cell.id, slug, variant]) if scores else None,
            "prune_key": digest([cell.id, slug, "prune"]), "score_key": digest([cell.id, slug, variant, "score"]),
            "environment": Environment(device_class="cpu", device="Synthetic CPU", torch="2.11.0", python="3.11.2",
                                       platform="Linux", espalier="0.1.0", sandbox=plan.sandbox),  # type: ignore[arg-type]
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
