"""Magnitude pruning before training."""

from __future__ import annotations

from evaluator.contract import Job, Pruned, PruningMethod


class MagnitudeInit(PruningMethod):
    """Keep the weights of largest |w| at initialisation, wherever they are (Frankle et al. 2021, section 3).

    The score is s = |w|, with one threshold for all layers. No deviation in the rule, but that the classifier stays dense;
    the initial weights are the benchmark's own, and how they are spread decides how much of each layer is kept.
    """

    def prune(self, job: Job) -> Pruned:
        return job.keep_highest({position: weight.abs() for position, weight in job.weights()}, scope="global")
