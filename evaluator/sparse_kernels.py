"""Latency by PyTorch's kernels for 2:4 sparsity (``torch.sparse.semi_structured``), on GPUs that have them.

They take linear layers of some shapes in half precision; the dense network beside is therefore timed in it too.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import nn

from evaluator.latency import time_passes
from evaluator.networks import Architecture, prunable_layers
from evaluator.records import Latency

PATTERN = "2:4"
HALF = torch.float16
MULTIPLE = 16
"""What both sides of a weight in half precision must be a multiple of."""


def fitting_layers(model: nn.Module, classifier: str) -> list[str]:
    """Names of the layers that have a 2:4 form for the kernels: linear ones of fitting shape that may be pruned."""
    layers = prunable_layers(model, classifier)
    linear = [(name, layer.weight.shape) for name, layer in layers if isinstance(layer, nn.Linear)]
    return [name for name, shape in linear if not any(side % MULTIPLE for side in shape)]


def half_copy(model: nn.Module, sparse_layers: Sequence[str] = ()) -> nn.Module:
    """A copy in half precision, some of whose layers run by the kernels. Raises whatever PyTorch does where it refuses."""
    copied = copy.deepcopy(model).eval().to(HALF)
    for name in sparse_layers:
        layer = copied.get_submodule(name)
        weight = torch.sparse.to_sparse_semi_structured(layer.weight.detach())  # type: ignore[operator]
        layer.weight = nn.Parameter(weight, requires_grad=False)
    return copied


def measure_half(
    model: nn.Module, kind: Architecture, memory_format: torch.memory_format, *, sparse: bool
) -> tuple[list[Latency], str]:
    """Latency of a copy in half precision, of a ``sparse`` network by the kernels; or a line that says why they refuse.

    Neither where no layer fits, nor on a processor, for which there are no such kernels.
    """
    layers = fitting_layers(model, kind.classifier)
    if not layers or next(model.parameters()).device.type == "cpu":
        return [], ""
    try:
        chosen = layers if sparse else []
        return time_passes(half_copy(model, chosen), kind.shape, memory_format, sparse_layers=len(chosen)), ""
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # the interface is a prototype: however it refuses, the cell is measured all the same
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        return [], f"no latency, since the kernels for {PATTERN} sparsity refuse: {reason[:200]}"
