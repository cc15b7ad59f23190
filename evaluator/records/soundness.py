"""Whether a record can be true: whether its figures agree with each other, its keys with its inputs, and all with the grid.

What is checked here needs no network and no data. It finds slips and clumsy forgeries; for the others there are signatures.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterator

from evaluator.grid import Grid
from evaluator.grid.cells import FROM_FRESH, SETUP
from evaluator.grid.schema import SHA256
from evaluator.records.keys import prune_key, score_key
from evaluator.records.record import DENSE, DENSE_ARTIFACT, SCRATCH, Counts, Latency, Record, Score, controls_of

_DIGESTS = ("submission", "train_data", "test_data", "base", "recipe", "training")


def contradictions(record: Record) -> Iterator[str]:
    """What in a record contradicts itself, in words."""
    yield from _names(record)
    yield from _keys(record)
    yield from _completeness(record)
    if record.counts:
        yield from _counts(record.counts)
    for when, score in (("before", record.before), ("after", record.after)):
        yield from (f"{when}: {problem}" for problem in (_score(score) if score else ()))
    for latency in record.latency:
        yield from _latency(latency)
    if min(number or 0 for number in record.cost.model_dump().values()) < 0:
        yield "a cost is negative"


def unlike_grid(record: Record, grid: Grid) -> Iterator[str]:
    """What in a record is not as the grid has it; of a benchmark that is there, and of the inputs of today."""
    entry = grid.benchmarks[record.benchmark]
    dataset, architecture = grid.datasets[entry.dataset], grid.architectures[entry.architecture]
    for score in filter(None, (record.before, record.after)):
        if (score.images, len(score.class_images)) != (dataset.split.test, dataset.classes):
            yield f"it was tested on other images than the {dataset.split.test} of {entry.dataset}"
        if (score.correct_top5 is not None) != (dataset.classes > 10):
            yield "there is top-5 exactly where there are more than 10 classes"
    training = grid.method_recipe(record.benchmark, record.track)
    if record.status == "ok" and record.cost.pruning_epochs > (training.epochs if training else 0):
        yield "it is ok, but its method trained more than the track allows"
    if counts := record.counts:
        whole = (counts.parameters, counts.macs, sum(layer.total for layer in counts.layers))
        if whole != (architecture.parameters, architecture.macs, architecture.prunable):
            yield f"its dense network is not {entry.architecture}"
        tolerance = grid.targets[record.division].tolerance
        if record.status == "ok" and (missed := _missed(record, counts, tolerance)):
            yield missed


def unpublishable(record: Record, grid: Grid) -> Iterator[str]:
    """Why a record may not stand among the published ones of a benchmark, however true it may be."""
    tier = grid.tiers[grid.benchmarks[record.benchmark].tier]
    if record.sandbox == "none":
        yield "it was measured without a sandbox"
    for device_class in dict.fromkeys(environment.device_class for environment in record.environments):
        if device_class != tier.device_class:
            yield f"it was measured on {device_class}, the tier publishes {tier.device_class} only"


def _names(record: Record) -> Iterator[str]:
    known = ("dense",) if record.submission == DENSE else ("method", *controls_of(record.cell))
    if record.variant not in known:
        yield f"there is no variant {record.variant} of {record.submission} in this cell"
    if isinstance(record.target, str) != (record.division == "semi-structured" and record.submission != DENSE):
        yield f"{record.target!r} is no target of {record.division} cells"
    if record.setup != SETUP[record.track]:
        yield f"the setup of its track is {SETUP[record.track]}, not {record.setup}"
    try:
        datetime.datetime.fromisoformat(record.created)
    except ValueError:
        yield f"{record.created!r} is no time"


def _keys(record: Record) -> Iterator[str]:
    """The keys of networks from scratch hang on the method's masks and widths, which are not in their records."""
    digests = {name: getattr(record.inputs, name) for name in _DIGESTS}
    digests |= {"artifact": record.artifact, "prune_key": record.prune_key, "score_key": record.score_key}
    wrong = [name for name, value in digests.items() if value is not None and not SHA256.fullmatch(value)]
    if wrong:
        yield f"{wrong[0]} is no SHA-256"
    if record.variant in SCRATCH:
        return
    if record.prune_key != prune_key(record.cell, record.inputs):
        yield "the prune key is not that of its inputs"
    expected = score_key(record.artifact, record.cell, record.inputs) if record.artifact else None
    if record.score_key is not None and record.score_key != expected:
        yield "the score key is not that of its inputs and artifact"
    if record.variant == "dense" and record.artifact not in (None, DENSE_ARTIFACT):
        yield "the dense network has another artifact"


def _completeness(record: Record) -> Iterator[str]:
    """Which parts there must be, by how the cell ended."""
    if record.pruned_in and (record.status != "ok" or record.submission == DENSE):
        yield "measured elsewhere can only be what is ok and was pruned"
    if record.pruned_in == record.environment:
        yield "it was pruned where it was measured, and says that these are two places"
    scores = {"before": record.before is not None, "after": record.after is not None}
    if record.status != "ok":
        if any(scores.values()) or record.latency or record.score_key:
            yield f"it is {record.status}, and scored all the same"
        return
    fresh = record.track in FROM_FRESH or record.variant in SCRATCH
    wanted = {"before": not fresh, "after": record.track != "post-training"}
    for when, wants in wanted.items():
        if wants != scores[when]:
            yield f"the score {when} training {'is missing' if wants else 'cannot be'} in this track"
    if not (record.counts and record.artifact and record.score_key):
        yield "it is ok, but lacks counts, artifact or score key"


def _counts(counts: Counts) -> Iterator[str]:
    if not 0 <= counts.effective <= counts.kept <= counts.parameters or counts.kept == 0:
        yield "it keeps nothing or more than there is, or more is effective than is kept"
    if not 0 <= counts.macs_kept <= counts.macs:
        yield "it computes more than the dense network"
    if any(not 0 <= layer.kept <= layer.total for layer in counts.layers):
        yield "a layer keeps more than it has"
    removed = sum(layer.total - layer.kept for layer in counts.layers)
    if counts.speedup_kind == "mask" and counts.parameters - removed != counts.kept:
        yield "what is kept is not the sum over layers"
    if any(kept < 0 for kept in counts.channels) or bool(counts.channels) != (counts.speedup_kind == "materialised"):
        yield "channels are counted exactly where they are removed"


def _score(score: Score) -> Iterator[str]:
    hits, images = score.class_correct, score.class_images
    if len(hits) != len(images) or any(not 0 <= hit <= total for hit, total in zip(hits, images, strict=False)):
        yield "a class has more correct images than images"
    if (sum(hits), sum(images)) != (score.correct, score.images):
        yield "the classes do not sum up to the whole"
    if not 0 <= score.correct <= (score.images if score.correct_top5 is None else score.correct_top5) <= score.images:
        yield "more images are correct than there are, or than among the first five"
    if not (math.isfinite(score.loss) and score.loss >= 0):
        yield "a cross-entropy is finite and not negative"
    if not SHA256.fullmatch(score.predictions):
        yield "the digest of the predictions is no SHA-256"


def _latency(latency: Latency) -> Iterator[str]:
    low, high = latency.quartiles_ms
    if not 0 < low <= latency.median_ms <= high or latency.runs < 1:
        yield "a median lies between its quartiles, and times are positive"


def _missed(record: Record, counts: Counts, tolerance: float) -> str | None:
    """Why a record that is ok should not be: a target of compression or speedup that its counts miss."""
    if isinstance(record.target, str):
        return None
    kept, whole = (counts.macs_kept, counts.macs) if record.division == "structured" else (counts.kept, counts.parameters)
    found = whole / kept if kept else None
    if found is not None and abs(found - record.target) <= tolerance * record.target:
        return None
    return f"it is ok, but misses the target: {found or 0:.3f} for {record.target:g}"
