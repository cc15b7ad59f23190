"""What the author of a method may do about a cell that failed."""

from __future__ import annotations

from evaluator.grid.cells import Division

MEETS: dict[Division, str] = {
    "unstructured": "end with job.keep_highest(scores), which keeps job.keep weights; keep= is for steps on the way",
    "structured": "end with job.keep_channels(scores), which meets the speedup; speedup= is for steps on the way",
    "semi-structured": "end with job.keep_n_of_m(scores), which keeps the pattern",
}
"""Division -> what meets its targets."""
REMEDIES = {
    "timeout": "look at fewer batches; the smoke tier's limit is a method's time on networks that train in seconds. "
    "Where far less of the time was on a processor, the machine was busy: measure the cell again, with --force",
    "out_of_memory": "keep less at a time: one layer, one batch",
}
"""By status, where the reason alone does not say it."""


def remedy(division: Division, status: str) -> str | None:
    return MEETS[division] if status == "missed_target" else REMEDIES.get(status)
