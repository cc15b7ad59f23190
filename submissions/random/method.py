"""Random pruning: the floor that every method has to clear."""

from __future__ import annotations

import torch

from evaluator.contract import Job, Pruned, PruningMethod


class Random(PruningMethod):
    """Keep weights drawn uniformly, without replacement, from the whole network.

    The baseline of Blalock et al. 2020, section 7.

    Deviations: there each weight is kept by a coin flip, so that the realised compression scatters around the target; here
    the count is exact. Biases, which ShrinkBench prunes along, stay.
    """

    def prune(self, job: Job) -> Pruned:
        draw = {
            position: torch.rand(weight.shape, generator=job.generator, dtype=torch.float64).to(job.device)
            for position, weight in job.weights()
        }
        return job.keep_highest(draw, scope="global")
