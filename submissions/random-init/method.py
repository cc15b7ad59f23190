"""Random pruning before training: the floor of the methods that see initial weights only."""

from __future__ import annotations

import torch

from evaluator.contract import Job, Pruned, PruningMethod


class RandomInit(PruningMethod):
    """Keep weights drawn uniformly, without replacement, from the whole untrained network.

    The random baseline of Frankle et al. 2021, section 3. No deviation in the rule, but that the classifier stays dense.
    The paper also draws within layers, in the densities that other methods choose; here the matched control of each method
    does so.
    """

    def prune(self, job: Job) -> Pruned:
        draw = {
            position: torch.rand(weight.shape, generator=job.generator, dtype=torch.float64).to(job.device)
            for position, weight in job.weights()
        }
        return job.keep_highest(draw, scope="global")
