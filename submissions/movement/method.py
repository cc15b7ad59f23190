"""Movement pruning: keep the weights that move away from zero."""

from __future__ import annotations

import torch
from torch import Tensor

from evaluator.contract import Job, Layer, Pruned, PruningMethod, Step


def straight_through(weight: Tensor, mask: Tensor, score: Tensor) -> Tensor:
    """w M in the forward pass; backward dL/dS = dL/dW' w, as if M were S, for masked weights too."""
    return weight * mask + weight.detach() * (score - score.detach())


class Movement(PruningMethod):
    """Compute with the weights of each layer's highest scores S, which are learned along (Sanh et al. 2020, section 4).

    S starts at 0 and accumulates -lr sum of w dL/dw': it grows for weights that move away from zero. The share that is
    used is v(t) = v_f + (1 - v_f) (1 - x)^3, x from 0 to 1 between the shares ``begin`` and ``end`` of the training.
    Weights that are not used get no gradient (weight decay and momentum go on) and may come back.

    Deviations: from initial weights, not while a pretrained model learns a task; SGD in place of Adam, and S learns at the
    rate of the weights, which changes no order; the hard variant, without distillation; begin and end are shares of the
    training; all layers but the classifier, where the authors prune the linear layers of an encoder.
    """

    begin: float
    end: float

    def prune(self, job: Job) -> Pruned:
        scores = {i: torch.zeros_like(weight).requires_grad_() for i, weight in job.weights()}

        def select(progress: float) -> None:
            left = 1 - min(max((progress - self.begin) / (self.end - self.begin), 0.0), 1.0)
            keep = round(job.total * (job.density + (1 - job.density) * left**3))
            for i, mask in job.keep_highest(scores, scope="layer", keep=keep).masks.items():
                job.memory[f"mask-{i}"] = mask

        def weights(layer: Layer, weight: Tensor) -> Tensor:
            i = layer.position
            return straight_through(weight, job.memory[f"mask-{i}"], scores[i])

        def after_step(step: Step) -> None:
            select(step.progress)

        select(0.0)
        job.train(job.epochs, weights=weights, after_step=after_step, learn=list(scores.values()))
        return job.keep_highest(scores, scope="layer")
