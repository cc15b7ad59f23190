"""What the author of a method may not have meant: told in the log of a trial, never when it is measured."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from evaluator.job import Job
from evaluator.outcome import Pruned


def copies(job: Job) -> dict[int, Tensor]:
    """Of the prunable weights by position."""
    return {position: weight.clone() for position, weight in job.weights()}


def dropped(before: Mapping[int, Tensor], outcome: Pruned, job: Job) -> str | None:
    """A warning where the model holds new weights that the outcome does not.

    Args:
        before: the base model's weights that are to be compared, by position.
    """
    layers = [
        str(position)
        for position, weight in job.weights()
        if position in before
        and position not in outcome.weights
        and _changed(before[position], weight, outcome.masks.get(position))
    ]
    if not layers:
        return None
    where = f"layer{'s' if layers[1:] else ''} {', '.join(layers)}"
    return (
        f"warning: weights of {where} were changed in the model, but are not in what prune() returned: "
        "those of the base model are measured\n"
        "  fix: return the new ones as well, Pruned(masks, weights={position: weight}); or change a copy"
    )


def _changed(before: Tensor, now: Tensor, mask: Tensor | None) -> bool:
    """Whether a weight that is kept has another value; what is zero now was taken out, as the outcome says by masks."""
    changed = (now != before) & (now != 0)
    return bool((changed if mask is None else changed & mask).any())
