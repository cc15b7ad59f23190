"""Magnitude pruning over the whole network."""

from __future__ import annotations

from evaluator.contract import Job, Pruned, PruningMethod


class GlobalMagnitude(PruningMethod):
    """Keep the weights of largest magnitude, wherever they are: s = |w|, one threshold for all layers.

    Han et al. 2015, section 3, pruned and retrained in turns, with a threshold for each layer of a multiple of its
    standard deviation. One global threshold and a single step are what later comparisons call global magnitude
    (Blalock et al. 2020, section 7).

    Deviations: those two; the classifier stays dense, where the paper prunes it too.
    """

    def prune(self, job: Job) -> Pruned:
        return job.keep_highest({position: weight.abs() for position, weight in job.weights()}, scope="global")
