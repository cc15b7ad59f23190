"""Gradient magnitude pruning over the whole network."""

from __future__ import annotations

from torch import Tensor

from evaluator.contract import Job, Pruned, PruningMethod


def gradient_scores(weight: Tensor, gradient: Tensor) -> Tensor:
    """|w g|: the change of the loss, to first order, when the weight goes."""
    return (weight * gradient).abs()


class GlobalGradient(PruningMethod):
    """Keep the weights of largest |w g|, wherever they are: one minibatch, one threshold for all layers.

    Blalock et al. 2020, section 7 ("global gradient"); the score goes back to Mozer and Smolensky 1988. Deviations: the
    gradient is taken in eval mode, so that BatchNorm uses its stored statistics and does not move them, where ShrinkBench
    took it in training mode; biases, which ShrinkBench prunes along, stay; 64 images also where it took 256.
    """

    batch_size: int

    def prune(self, job: Job) -> Pruned:
        (batch,) = job.train_batches(1, self.batch_size)
        _, gradients = job.loss_and_gradients(batch)
        scores = {position: gradient_scores(weight, gradients[position]) for position, weight in job.weights()}
        return job.keep_highest(scores, scope="global")
