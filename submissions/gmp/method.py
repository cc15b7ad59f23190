"""GMP: gradual magnitude pruning along a cubic schedule."""

from __future__ import annotations

from evaluator.contract import Job, Pruned, PruningMethod, Step


class Gmp(PruningMethod):
    """Mask the smallest weights of each layer while the network trains (Zhu and Gupta 2017, equation 1).

    The sparsity is s_t = s_f + (s_i - s_f) (1 - (t - t_0) / (n dt))^3, with s_i = 0: for densities,
    d_t = d + (1 - d) (1 - x)^3, where x goes from 0 to 1 between the shares ``begin`` and ``end`` of the training. All
    layers have the same density.

    Deviations: the masks change every 10 steps, where the paper takes 100 to 1,000 of far longer trainings; begin and end
    are shares of the training; a masked weight stays at zero, where in the authors' code it keeps its value and may come
    back.
    """

    begin: float
    end: float
    every: int

    def density(self, progress: float, target: float) -> float:
        """The share of weights that is kept at ``progress`` (0 to 1) of the training."""
        behind = min(max((progress - self.begin) / (self.end - self.begin), 0.0), 1.0)
        return target + (1 - target) * (1 - behind) ** 3

    def prune(self, job: Job) -> Pruned:
        def smallest(keep: int) -> Pruned:
            return job.keep_highest({i: weight.abs() for i, weight in job.weights()}, scope="layer", keep=keep)

        def after_step(step: Step) -> None:
            if step.number % self.every == 0:
                job.masks.update(smallest(round(job.total * self.density(step.progress, job.density))).masks)

        job.train(job.epochs, after_step=after_step)
        return smallest(job.keep)
