"""Optimal Brain Damage with the diagonal of the empirical Fisher matrix."""

from __future__ import annotations

import torch
from torch import Tensor

from evaluator.contract import Job, Pruned, PruningMethod


def fisher_scores(weight: Tensor, mean_squared_gradient: Tensor) -> Tensor:
    """w^2 E[g^2] / 2: the rise of the loss, to second order, when the weight goes; not negative."""
    return 0.5 * weight.double().square() * mean_squared_gradient


class DiagonalFisher(PruningMethod):
    """Keep the weights of largest w^2 E[g^2] / 2, wherever they are.

    LeCun et al. 1990 remove the weights of smallest h_kk w_k^2 / 2; Theis et al. 2018, section 2, put the diagonal of the
    empirical Fisher matrix in the place of the Hessian's. g is the gradient of the loss of a single training image with
    its true label. Deviations: single weights where Theis et al. prune feature maps; a sample of the images; one step,
    without retraining in between; no cost term.
    """

    images: int

    def prune(self, job: Job) -> Pruned:
        sums = {position: torch.zeros_like(weight, dtype=torch.float64) for position, weight in job.weights()}
        for image in job.train_batches(self.images, 1):
            for position, gradient in job.loss_and_gradients(image)[1].items():
                sums[position] += gradient.square()
        scores = {position: fisher_scores(weight, sums[position] / self.images) for position, weight in job.weights()}
        return job.keep_highest(scores, scope="global")
