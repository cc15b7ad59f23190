"""Scores whose formula knows no scale keep the same weights and channels when weights are multiplied.

By eight, so that nothing is rounded otherwise than before.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.submissions.specimens import goal, job, layers, method, network, submission

BY_LAYER = ["uniform-magnitude", "erk-magnitude", "lamp", "magnitude-2of4", "l1-filter", "l2-filter", "fpgm"]
"""They compare weights of one layer, or channels of one group, or what is divided by the layer's own size."""
OVERALL = ["global-magnitude", "magnitude-init"]
THROUGH_THE_NETWORK = ["magnitude-activation", "activation-2of4", "sparsegpt", "sparsegpt-2of4", "synflow", "thinet"]
"""They see what layers make of each other, and no scale where that is in proportion to each layer's weights."""


def kept(slug: str, kind: str, *scaled: int, proportional: bool = False) -> list[Tensor]:
    """The masks that a method chooses when these layers are eight times as large.

    With ``proportional`` nothing is added on the way, so that outputs are in proportion to each layer's weights.
    """
    model = network(kind)
    if proportional:
        for name, tensor in (*model.named_parameters(), *model.named_buffers()):
            if name.endswith(("bias", "running_mean")):
                tensor.data.zero_()
    chosen = layers(model)
    for position in scaled:
        chosen[position].weight.data.mul_(8)
    found = method(slug).prune(job(model, goal(slug, model), needs=submission(slug).metadata.needs))
    return [mask for part in (found.masks, found.channels) for _, mask in sorted(part.items())]


@pytest.mark.parametrize("slug", BY_LAYER)
@pytest.mark.parametrize("kind", ["linear", "plain"])
def test_the_scale_of_one_layer_makes_no_difference(slug: str, kind: str) -> None:
    """On networks in which no two layers make the same channels."""
    same = kept(slug, kind)
    for position in range(len(layers(network(kind)))):
        for before, after in zip(same, kept(slug, kind, position), strict=True):
            assert torch.equal(before, after), f"{slug} chooses otherwise when layer {position} is larger"


@pytest.mark.parametrize("slug", THROUGH_THE_NETWORK)
@pytest.mark.parametrize("kind", ["linear", "plain"])
def test_the_scale_of_one_layer_makes_no_difference_to_what_follows(slug: str, kind: str) -> None:
    same = kept(slug, kind, proportional=True)
    for position in range(len(layers(network(kind)))):
        for before, after in zip(same, kept(slug, kind, position, proportional=True), strict=True):
            assert torch.equal(before, after), f"{slug} chooses otherwise when layer {position} is larger"


@pytest.mark.parametrize("slug", [*BY_LAYER, *OVERALL])
@pytest.mark.parametrize("kind", ["linear", "plain", "residual"])
def test_the_scale_of_all_layers_makes_no_difference(slug: str, kind: str) -> None:
    everything = range(len(layers(network(kind))))
    for before, after in zip(kept(slug, kind), kept(slug, kind, *everything), strict=True):
        assert torch.equal(before, after), f"{slug} chooses otherwise when all layers are larger"


@pytest.mark.parametrize("slug", OVERALL)
def test_magnitude_across_layers_does_see_the_scale_of_one(slug: str) -> None:
    pairs = zip(kept(slug, "plain"), kept(slug, "plain", 0), strict=True)
    assert not all(torch.equal(before, after) for before, after in pairs)
