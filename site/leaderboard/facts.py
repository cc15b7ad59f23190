"""What a record says, fact by fact: what was measured, and what it was measured of, with and on.

Facts that all records of a page share are said once, above them; so a page says everything and stays small.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from evaluator.records.record import SCRATCH
from leaderboard.entries import Phase
from leaderboard.formats import factor, finite, fixed, plain, thousands
from leaderboard.rows import Row


class Kind(NamedTuple):
    """One fact: its name, how it is taken from a row (empty where the row has none), and whether it is a digest."""

    name: str
    value: Callable[[Row], str]
    digest: bool = False


class Fact(NamedTuple):
    """A fact of one record, or of several."""

    name: str
    value: str
    digest: bool


def _plain(column: str) -> Callable[[Row], str]:
    def value(row: Row) -> str:
        found = getattr(row, column)
        return "" if found is None else str(found)

    return value


def _score(phase: Phase) -> Callable[[Row], str]:
    def value(row: Row) -> str:
        correct, top5, loss = (getattr(row, f"{phase}_{column}") for column in ("correct", "correct_top5", "loss"))
        accuracy = row.accuracy(phase)
        if accuracy is None or row.images is None:
            return ""
        first = f"{fixed(accuracy)} %: {thousands(correct)} of {thousands(row.images)} images"
        return f"{first}{'' if top5 is None else f', {thousands(top5)} among the first five'}; loss {fixed(loss, 4)}"

    return value


def _share(kept: str, total: str, by: str) -> Callable[[Row], str]:
    def value(row: Row) -> str:
        left, ratio = getattr(row, kept), getattr(row, by)
        if left is None:
            return ""
        return f"{thousands(left)} of {thousands(getattr(row, total))}" + (f", {factor(ratio)}" if finite(ratio) else "")

    return value


def _list(column: str) -> Callable[[Row], str]:
    def value(row: Row) -> str:
        found = getattr(row, column)
        return "" if found is None else ", ".join(map(thousands, found))

    return value


def _pruning(row: Row) -> str:
    """Nothing for controls, on whose masks no time is spent."""
    epochs = f", {_epochs(row.pruning_epochs)} of training" if row.pruning_epochs else ""
    memory = f", at most {fixed(row.pruning_memory_mb, 0)} MB" if finite(row.pruning_memory_mb) else ""
    return f"{fixed(row.pruning_seconds)} s{epochs}{memory}" if row.pruning_seconds else ""


def _retraining(row: Row) -> str:
    return f"{fixed(row.retraining_seconds)} s, {_epochs(row.retraining_epochs)}" if row.retraining_epochs else ""


def _epochs(number: float) -> str:
    return f"{plain(number)} epoch{'s' if number != 1 else ''}"


def _latency(row: Row) -> str:
    """Every timing: the median, and the quartiles."""
    if row.latency_batch is None:
        return ""
    names = ("batch", "median_ms", "low_ms", "high_ms", "runs", "device", "threads", "dtype", "sparse_layers")
    return "; ".join(
        f"batch {batch}: {fixed(median, 3)} ms ({fixed(low, 3)} to {fixed(high, 3)}; {runs} runs, {device}, "
        f"{threads} thread{'s' if threads != 1 else ''}, {dtype}{f', {sparse} layers by 2:4 kernels' if sparse else ''})"
        for batch, median, low, high, runs, device, threads, dtype, sparse in zip(
            *(getattr(row, f"latency_{name}") for name in names), strict=True
        )
    )


MEASURED: tuple[Kind, ...] = (
    Kind("Top-1 before", _score("before")),
    Kind("Top-1 after", _score("after")),
    Kind("Trainability", lambda row: f"{fixed(row.trainability)} %" if finite(row.trainability) else ""),
    Kind("Parameters kept", _share("kept", "parameters", "compression")),
    Kind("Effective", lambda row: factor(row.effective_compression) if finite(row.effective_compression) else ""),
    Kind("Sparsity", lambda row: f"{fixed(100 * row.sparsity)} % of the prunable weights" if finite(row.sparsity) else ""),
    Kind("MACs kept", _share("macs_kept", "macs", "speedup")),
    Kind("Collapsed", lambda row: "yes: no path from input to output" if row.collapsed else ""),
    Kind("Kept of each layer", _list("layer_kept")),
    Kind("Channels kept", _list("channels")),
    Kind("Latency", _latency),
    Kind("Pruning", _pruning),
    Kind("Retraining", _retraining),
    Kind("Scoring", lambda row: f"{fixed(row.scoring_seconds)} s" if row.scoring_seconds else ""),
    Kind("Recorded", lambda row: f"{row.created[:19].replace('T', ' ')} UTC"),
    Kind("Artifact", _plain("artifact"), digest=True),
    Kind("Prune key", _plain("prune_key"), digest=True),
    Kind("Score key", _plain("score_key"), digest=True),
    Kind("Predictions before", _plain("before_predictions"), digest=True),
    Kind("Predictions after", _plain("after_predictions"), digest=True),
)
"""Of one record; never said of several at once."""

CIRCUMSTANCES: tuple[Kind, ...] = (
    Kind("Setup", lambda row: f"{row.setup} (Wang et al.)" if row.variant not in SCRATCH else "new weights (Liu et al.)"),
    Kind("Recipe", _plain("recipe")),
    Kind("Speedup", lambda row: row.speedup_kind or ""),
    Kind("Device", lambda row: f"{row.device} ({row.device_class})"),
    Kind("Pruned in", _plain("pruned_in")),
    Kind("PyTorch", lambda row: f"{row.torch}, CUDA {row.cuda}" if row.cuda else row.torch),
    Kind("Driver", _plain("driver")),
    Kind("Python", lambda row: f"{row.python}, {row.platform}"),
    Kind("Espalier", lambda row: f"{row.espalier}, contract {row.input_contract}"),
    Kind("Protocols", lambda row: f"grid {row.input_grid or 1}, pruning {row.prune_protocol}, "
                                  f"scoring {row.scoring_protocol}, controls {row.controls_protocol}"),
    Kind("Sandbox", _plain("sandbox")),
    Kind("Submission", _plain("input_submission"), digest=True),
    Kind("Training data", _plain("input_train_data"), digest=True),
    Kind("Test data", _plain("input_test_data"), digest=True),
    Kind("Base model", _plain("input_base"), digest=True),
    Kind("Retraining recipe", _plain("input_recipe"), digest=True),
    Kind("Training recipe", _plain("input_training"), digest=True),
)  # fmt: skip
"""Of, with and on what it was measured; mostly the same for many records."""


def shared(rows: Sequence[Row]) -> list[Fact]:
    """The circumstances that all rows have in common."""
    found = []
    for kind in CIRCUMSTANCES:
        values = {kind.value(row) for row in rows}
        if len(values) == 1 and (value := values.pop()):
            found.append(Fact(kind.name, value, kind.digest))
    return found


def own(row: Row, beside: Sequence[Fact] = ()) -> list[Fact]:
    """Everything that one row says, but for what is said ``beside`` it."""
    said = {fact.name for fact in beside}
    kinds = (*MEASURED, *(kind for kind in CIRCUMSTANCES if kind.name not in said))
    return [Fact(kind.name, value, kind.digest) for kind in kinds if (value := kind.value(row))]
