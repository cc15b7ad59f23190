"""What the author of a method may not have meant: told in the log of a trial, never when it is measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import Tensor

from evaluator.job import Job
from evaluator.outcome import Pruned

SHOWN = 3
"""Names that a warning gives."""


def copies(job: Job) -> dict[int | str, Tensor]:
    """Of the prunable weights by position, and of all else that the model holds by name."""
    tensors: list[tuple[int | str, Tensor]] = [*job.weights(), *_others(job)]
    return {key: tensor.clone() for key, tensor in tensors}


def dropped(before: Mapping[int | str, Tensor], outcome: Pruned, job: Job) -> str | None:
    """A warning where the model holds new numbers that the outcome does not.

    Args:
        before: the base model's that are to be compared, by position or name, as :func:`copies` has them.
    """
    layers = [
        str(position)
        for position, weight in job.weights()
        if position in before
        and position not in outcome.weights
        and _changed(before[position], weight, outcome.masks.get(position))
    ]
    others = [name for name, tensor in _others(job) if name in before and _changed(before[name], tensor, None)]
    if not layers and not others:
        return None
    what = [f"weights of layer{'s' if layers[1:] else ''} {', '.join(layers)}"] if layers else []
    what += [", ".join(others[:SHOWN]) + f" and {len(others) - SHOWN} more" * (len(others) > SHOWN)] if others else []
    part = "channels" if outcome.channels else "masks"
    ways = [f"return new weights as well, Pruned({part}={part}, weights={{position: weight}})"] if layers else []
    ways += ["change a copy, copy.deepcopy(job.model)" if others else "change a copy"]
    return (
        f"warning: {' and '.join(what)} were changed in the model, but are not in what prune() returned: "
        f"those of the base model are measured\n  fix: {'; or '.join(ways)}"
    )


def _others(job: Job) -> Iterator[tuple[str, Tensor]]:
    """(name, tensor) of biases, of BatchNorm's numbers, of layers that are not pruned."""
    weights = {id(layer.module.weight) for layer in job.layers()}
    state = (*job.model.named_parameters(), *job.model.named_buffers())
    return ((name, tensor.detach()) for name, tensor in state if id(tensor) not in weights)


def _changed(before: Tensor, now: Tensor, mask: Tensor | None) -> bool:
    """Whether a weight that is kept has another value; what is zero now was taken out, as the outcome says by masks."""
    changed = (now != before) & (now != 0)
    return bool((changed if mask is None else changed & mask).any())
