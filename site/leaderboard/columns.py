"""The flat table of records: which columns there are, of which type, and what each means.

The same list types the frame, writes the downloads and prints the dictionary on the data page.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from evaluator.records import Latency, Record, Score


class Column(NamedTuple):
    """One column; ``value`` takes it from a record. ``dtype``: a type of pandas, or a list of what a list holds."""

    name: str
    dtype: str
    meaning: str
    value: Callable[[Record], Any]

    @property
    def listed(self) -> str | None:
        """Type of the members, where a value is a list."""
        return self.dtype[len("list[") : -1] if self.dtype.startswith("list[") else None


def _score(name: str, field: str) -> Callable[[Record], Any]:
    def value(record: Record) -> Any:
        score: Score | None = getattr(record, name)
        return None if score is None else getattr(score, field)

    return value


def _count(field: str) -> Callable[[Record], Any]:
    return lambda record: None if record.counts is None else getattr(record.counts, field)


def _pruned_in(record: Record) -> str | None:
    if (where := record.pruned_in) is None:
        return None
    software = {"PyTorch": where.torch, "CUDA": where.cuda, "driver": where.driver, "Python": where.python}
    named = [f"{name} {version}" for name, version in (software | {"Espalier": where.espalier}).items() if version]
    return ", ".join([where.device, *named, where.platform])


def _times(value: Callable[[Latency], Any]) -> Callable[[Record], Any]:
    return lambda record: [value(time) for time in record.latency] or None


def _scores(name: str, when: str) -> tuple[Column, ...]:
    return (
        Column(f"{name}_accuracy", "float64", f"top-1 {when}, percent of the whole test set", _score(name, "accuracy")),
        Column(f"{name}_correct", "Int64", f"correct test images {when}", _score(name, "correct")),
        Column(f"{name}_correct_top5", "Int64", f"images with the label among the first five {when}; over 10 classes only",
               _score(name, "correct_top5")),
        Column(f"{name}_loss", "float64", f"mean cross-entropy {when}, nats", _score(name, "loss")),
        Column(f"{name}_class_correct", "list[int64]", f"correct images per class {when}", _score(name, "class_correct")),
        Column(f"{name}_predictions", "string", f"SHA-256 of the predicted classes {when}", _score(name, "predictions")),
    )  # fmt: skip


COLUMNS: tuple[Column, ...] = (
    Column("benchmark", "string", "data set and network, a name of the grid", lambda r: r.benchmark),
    Column("track", "string", "what a method may do and what follows it", lambda r: r.track),
    Column("division", "string", "unstructured, semi-structured or structured", lambda r: r.division),
    Column("target", "string", "compression, speedup or n:m pattern asked for; 1 for the dense control",
           lambda r: r.target if isinstance(r.target, str) else f"{r.target:g}"),
    Column("seed", "int64", "fixes base model, data order, the method's generator and the retraining", lambda r: r.seed),
    Column("submission", "string", "the method's slug; `dense` for the dense control", lambda r: r.submission),
    Column("variant", "string", "method; matched-random or matched-magnitude (control with the method's own densities, "
           "pattern or widths); scratch-e or scratch-b (its small network, trained from new weights); dense",
           lambda r: r.variant),
    Column("recipe", "string", "the board's recipe for what follows pruning, a name of the grid; none where nothing does. "
           "scratch-e and scratch-b stand on that board, but were trained by the benchmark's recipe for new weights, "
           "whose digest is in input_recipe",
           lambda r: r.recipe),
    Column("setup", "string", "the board's comparison setup after Wang et al. 2023; scratch-e and scratch-b, which start "
           "from new weights, stand beside it", lambda r: r.setup),
    Column("status", "string", "ok, or how the cell failed", lambda r: r.status),
    Column("reason", "string", "one line, when the status is not ok", lambda r: r.reason),
    Column("images", "Int64", "images in the test set", lambda r: (s.images if (s := r.after or r.before) else None)),
    Column("class_images", "list[int64]", "images per class in the test set",
           lambda r: (s.class_images if (s := r.after or r.before) else None)),
    *_scores("before", "before retraining"),
    *_scores("after", "after retraining"),
    Column("trainability", "float64",
           "mean test accuracy over the first third of retraining (at a constant rate: all of it), percent",
           lambda r: r.trainability),
    Column("compression", "float64", "parameters of the dense network / kept, all trainable ones", _count("compression")),
    Column("effective_compression", "float64", "the same after dropping weights that no path joins to input and logits",
           _count("effective_compression")),
    Column("sparsity", "float64", "share of prunable weights removed, 0 to 1", _count("sparsity")),
    Column("speedup", "float64", "multiply-accumulates of the dense network / kept: theoretical", _count("speedup")),
    Column("speedup_kind", "string", "mask: nothing is faster on stock hardware; materialised: channels are gone",
           _count("speedup_kind")),
    Column("parameters", "Int64", "trainable parameters of the dense network", _count("parameters")),
    Column("kept", "Int64", "trainable parameters kept", _count("kept")),
    Column("macs", "Int64", "multiply-accumulates of the dense network for one input", _count("macs")),
    Column("macs_kept", "Int64", "multiply-accumulates kept", _count("macs_kept")),
    Column("collapsed", "boolean", "no path is left from the input to the logits", _count("collapsed")),
    Column("layer_shape", "list[string]", "shape of each prunable layer's weight, such as 20x1x5x5",
           lambda r: None if r.counts is None else ["x".join(map(str, layer.shape)) for layer in r.counts.layers]),
    Column("layer_total", "list[int64]", "weights of each prunable layer",
           lambda r: None if r.counts is None else [layer.total for layer in r.counts.layers]),
    Column("layer_kept", "list[int64]", "weights kept of each prunable layer",
           lambda r: None if r.counts is None else [layer.kept for layer in r.counts.layers]),
    Column("channels", "list[int64]", "channels kept of each group, where channels are removed",
           lambda r: None if r.counts is None or not r.counts.channels else r.counts.channels),
    Column("latency_device", "list[string]", "where a forward pass was timed, for each timing; structured and 2:4 only",
           _times(lambda t: t.device.replace(" ", "-"))),
    Column("latency_threads", "list[int64]", "threads of the processor; 1 on a GPU", _times(lambda t: t.threads)),
    Column("latency_dtype", "list[string]", "type of the numbers", _times(lambda t: t.dtype)),
    Column("latency_batch", "list[int64]", "batch size that was timed, in images", _times(lambda t: t.batch)),
    Column("latency_median_ms", "list[float64]", "median time of a forward pass at each batch size, ms",
           _times(lambda t: t.median_ms)),
    Column("latency_low_ms", "list[float64]", "a quarter of the runs was faster, ms", _times(lambda t: t.quartiles_ms[0])),
    Column("latency_high_ms", "list[float64]", "a quarter of the runs was slower, ms", _times(lambda t: t.quartiles_ms[1])),
    Column("latency_runs", "list[int64]", "runs behind each median", _times(lambda t: t.runs)),
    Column("latency_sparse_layers", "list[int64]", "layers run by kernels for 2:4 sparsity",
           _times(lambda t: t.sparse_layers)),
    Column("pruning_seconds", "float64", "time that the method took, measured from outside, where it was pruned",
           lambda r: r.cost.pruning_seconds),
    Column("pruning_epochs", "float64", "training that the method used, in epochs", lambda r: r.cost.pruning_epochs),
    Column("pruning_memory_mb", "float64", "peak memory of the method's processes, MB; the host's, on a GPU too",
           lambda r: r.cost.pruning_memory_mb),
    Column("retraining_seconds", "float64", "time of retraining", lambda r: r.cost.retraining_seconds),
    Column("retraining_epochs", "int64", "epochs of retraining", lambda r: r.cost.retraining_epochs),
    Column("scoring_seconds", "float64", "time of scoring", lambda r: r.cost.scoring_seconds),
    Column("device_class", "string", "class of device; figures of two classes are never in one table",
           lambda r: r.environment.device_class),
    Column("device", "string", "the device", lambda r: r.environment.device),
    Column("torch", "string", "version of PyTorch", lambda r: r.environment.torch),
    Column("cuda", "string", "version of CUDA", lambda r: r.environment.cuda),
    Column("driver", "string", "version of the GPU driver", lambda r: r.environment.driver),
    Column("python", "string", "version of Python", lambda r: r.environment.python),
    Column("platform", "string", "operating system", lambda r: r.environment.platform),
    Column("espalier", "string", "version of Espalier", lambda r: r.environment.espalier),
    Column("sandbox", "string", "bubblewrap, or none: then the record is not published",
           lambda r: r.sandbox),
    Column("pruned_in", "string", "where the masks were made, when the network that is left had been measured elsewhere",
           _pruned_in),
    Column("pruned_torch", "string", "version of PyTorch there", lambda r: r.pruned_in and r.pruned_in.torch),
    Column("created", "string", "when the record was made, UTC", lambda r: r.created),
    Column("input_contract", "int64", "version of the contract", lambda r: r.inputs.contract),
    Column("input_submission", "string", "SHA-256 of code and functional metadata", lambda r: r.inputs.submission),
    Column("input_train_data", "string", "SHA-256 of training and validation data", lambda r: r.inputs.train_data),
    Column("input_test_data", "string", "SHA-256 of the test data", lambda r: r.inputs.test_data),
    Column("input_base", "string", "SHA-256 of the base model, or of what names the initial weights that it started from",
           lambda r: r.inputs.base),
    Column("input_recipe", "string", "SHA-256 of the recipe by which the evaluator trained the network; scratch-b for "
           "retraining_epochs instead of its epochs", lambda r: r.inputs.recipe),
    Column("prune_protocol", "int64", "version of the pruning protocol", lambda r: r.inputs.prune_protocol),
    Column("scoring_protocol", "int64", "version of the scoring protocol", lambda r: r.inputs.scoring_protocol),
    Column("controls_protocol", "int64", "version of the controls' protocol", lambda r: r.inputs.controls_protocol),
    Column("input_training", "string", "SHA-256 of the recipe by which the method trains, where it may",
           lambda r: r.inputs.training),
    Column("input_grid", "Int64", "major version of the grid from the second on", lambda r: r.inputs.grid),
    Column("artifact", "string", "SHA-256 of the masks and weights", lambda r: r.artifact),
    Column("prune_key", "string", "SHA-256 of everything that decides the masks", lambda r: r.prune_key),
    Column("score_key", "string", "SHA-256 of everything that decides the figures", lambda r: r.score_key),
    Column("cell", "string", "the cell's name, as the command line takes it", lambda r: r.cell.id),
)  # fmt: skip

LOG = Column("log", "string", "the end of what the method printed, and what the scorer has to say", lambda r: r.log)
"""Kept in the frame for the pages, left out of the downloads."""
