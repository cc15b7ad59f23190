"""Magnitude pruning with the same density in every layer."""

from __future__ import annotations

from evaluator.contract import Job, Pruned, PruningMethod


class UniformMagnitude(PruningMethod):
    """Keep the weights of largest magnitude of each layer: s = |w|, the same share everywhere.

    Magnitude decides within a layer in Han et al. 2015, section 3. One share for all layers and a single step are what
    later comparisons call layerwise magnitude (Blalock et al. 2020, section 7).

    Deviations: Han et al. chose each layer's threshold by hand and pruned in several rounds, training after each; here the
    classifier stays dense.
    """

    def prune(self, job: Job) -> Pruned:
        return job.keep_highest({position: weight.abs() for position, weight in job.weights()}, scope="layer")
