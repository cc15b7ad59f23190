"""RigL: sparse from the start, with connections that move to where the gradient is."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from evaluator.contract import Job, Pruned, PruningMethod, Step
from evaluator.selection import erk_densities, keep_top


def rewire(mask: Tensor, weight: Tensor, gradient: Tensor, number: int) -> Tensor:
    """Drop the ``number`` active weights of smallest |w|, then grow as many of the inactive with largest |gradient|.

    Those that were just dropped count as inactive.
    """
    kept = keep_top(weight.abs().masked_fill(~mask, -1.0), int(mask.sum()) - number)
    return kept | keep_top(gradient.abs().masked_fill(kept, -1.0), number)


class RigL(PruningMethod):
    """Every dT steps each layer drops a fraction of its smallest weights and grows as many (Evci et al. 2020, section 3).

    The fraction is f(t) = alpha / 2 (1 + cos(pi t / T_end)), with T_end at the share ``stop`` of the training; what grows
    are the inactive weights of largest dense gradient, from zero and without momentum. The densities follow the
    Erdos-Renyi-Kernel rule; which weights are active first is random.

    Deviations: the connections change after an ordinary step, by its gradient, where the paper changes them in place of a
    step; a weight that is dropped and grown again at once keeps its value and its momentum; the classifier stays dense;
    a layer without any gradient keeps its connections; the authors' T_end is a little later.
    """

    fraction: float
    every: int
    stop: float

    def prune(self, job: Job) -> Pruned:
        densities = erk_densities({i: weight.shape for i, weight in job.weights()}, job.keep)
        draw = {i: torch.rand(w.shape, generator=job.generator).to(job.device) for i, w in job.weights()}
        job.masks.update(job.keep_highest(draw, scope=densities).masks)

        def after_step(step: Step) -> None:
            if step.number % self.every == 0 and 0 < step.progress < self.stop:
                share = self.fraction / 2 * (1 + math.cos(math.pi * step.progress / self.stop))
                for layer in job.layers():
                    mask, gradient = job.masks[layer.position], layer.parameter.grad
                    if gradient is not None:
                        number = int(share * int(mask.sum()))
                        job.masks[layer.position] = rewire(mask, layer.weight, gradient, number)

        job.train(job.epochs, after_step=after_step)
        return Pruned(job.masks)
