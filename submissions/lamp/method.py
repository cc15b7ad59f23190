"""LAMP: magnitudes made comparable across layers."""

from __future__ import annotations

import torch
from torch import Tensor

from evaluator.contract import Job, Pruned, PruningMethod


def lamp_scores(weight: Tensor) -> Tensor:
    """w_u^2 / sum of w_v^2 over all v that are not smaller than u in the layer, in double precision.

    Among equals the one that comes first counts as the larger, as it does when weights are kept. In (0, 1]; a weight
    of 0 scores 0.
    """
    squares = weight.flatten().double().square()
    descending, order = torch.sort(squares, descending=True, stable=True)
    survivors = descending.cumsum(0)
    scores = torch.zeros_like(squares)
    scores[order] = descending / survivors.clamp(min=torch.finfo(squares.dtype).tiny)
    return scores.view(weight.shape)


class Lamp(PruningMethod):
    """Keep the weights of highest LAMP score, wherever they are (Lee et al. 2021, section 2).

    s_u = w_u^2 / sum_{v >= u} w_v^2 with the layer's weights in ascending order of magnitude, one threshold for all
    layers. The largest weight of each layer scores 1, so no layer is emptied. No deviation but the precision.
    """

    def prune(self, job: Job) -> Pruned:
        return job.keep_highest({position: lamp_scores(weight) for position, weight in job.weights()}, scope="global")
