"""LAMP: magnitudes made comparable across layers."""

from __future__ import annotations

import torch
from torch import Tensor

from evaluator.contract import Job, Pruned, PruningMethod


def lamp_scores(weight: Tensor) -> Tensor:
    """w_u^2 / sum of w_v^2 over v >= u, with the layer's weights in ascending order of magnitude; in double precision.

    In (0, 1], and 0 for a weight of 0. Among equals the one that comes later counts as the larger.
    """
    ascending, order = torch.sort(weight.flatten().double().square(), stable=True)
    survivors = ascending.flip(0).cumsum(0).flip(0)
    scores = torch.zeros_like(ascending)
    scores[order] = ascending / survivors.clamp(min=torch.finfo(ascending.dtype).tiny)
    return scores.view(weight.shape)


class Lamp(PruningMethod):
    """Keep the weights of highest LAMP score, wherever they are (Lee et al. 2021, section 2).

    s_u = w_u^2 / sum_{v >= u} w_v^2 with the layer's weights in ascending order of magnitude, one threshold for all
    layers. The largest weight of each layer scores 1, so no layer is emptied.

    Deviations: the weights go in one step, where the paper also prunes in rounds of 20 % with retraining between them;
    double precision; the classifier stays dense.
    """

    def prune(self, job: Job) -> Pruned:
        return job.keep_highest({position: lamp_scores(weight) for position, weight in job.weights()}, scope="global")
