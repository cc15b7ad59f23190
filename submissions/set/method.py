"""SET: sparse from the start, with connections that are replaced at random."""

from __future__ import annotations

import torch

from evaluator.contract import Job, Pruned, PruningMethod
from evaluator.selection import erk_densities, keep_top


class Set(PruningMethod):
    """After each epoch a fraction zeta of each layer's weights gives way to random new ones (Mocanu et al. 2018, figure 1).

    Those nearest to zero go; the new ones start at zero. Layers have the densities of an Erdos-Renyi random graph,
    e (n_in + n_out) / (n_in n_out), with e from the target, and no density above 1.

    Deviations: the smallest weights by magnitude go, where the paper takes the same fraction of the positive and of the
    negative ones; one that goes and is drawn anew in the same round keeps its value; none go after the last epoch; in the
    authors' sparse code new weights start at random values; for a convolution the kernel's sides stand in both terms
    (Evci et al. 2020); counts are exact, where the paper draws each of the first connections by chance.
    """

    zeta: float

    def prune(self, job: Job) -> Pruned:
        densities = erk_densities({i: weight.shape for i, weight in job.weights()}, job.keep)
        draw = {i: torch.rand(w.shape, generator=job.generator).to(job.device) for i, w in job.weights()}
        job.masks.update(job.keep_highest(draw, scope=densities).masks)
        for _ in range(job.epochs - 1):
            job.train(1)
            self.evolve(job)
        job.train(1)
        return Pruned(job.masks)

    def evolve(self, job: Job) -> None:
        for i, weight in job.weights():
            active = int(job.masks[i].sum())
            number = int(self.zeta * active)
            kept = keep_top(weight.abs().masked_fill(~job.masks[i], -1.0), active - number)
            draw = torch.rand(weight.shape, generator=job.generator).to(job.device)
            job.masks[i] = kept | keep_top(draw.masked_fill(kept, -1.0), number)
