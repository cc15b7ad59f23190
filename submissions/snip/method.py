"""SNIP: connection sensitivity on one batch, before training."""

from __future__ import annotations

from evaluator.contract import Job, Pruned, PruningMethod


class Snip(PruningMethod):
    """Keep the connections of highest sensitivity |dL/dc| = |w g|, wherever they are (Lee et al. 2019, section 4).

    c multiplies each weight and is 1; g is the gradient of the mean loss of one batch at initialisation. BatchNorm uses
    the statistics of that batch. The paper divides the scores by their sum, which changes no order.

    Deviations: the initial weights are the benchmark's own, where the paper takes variance scaling, and are trained
    themselves, where the authors' code then draws new ones; there BatchNorm uses its running statistics, untrained as they
    are, and biases and the classifier compete as well; batches are of one size, where the paper takes 100 images on MNIST.
    """

    batch_size: int

    def prune(self, job: Job) -> Pruned:
        (batch,) = job.train_batches(1, self.batch_size)
        _, gradients = job.loss_and_gradients_by_batch(batch)
        return job.keep_highest({i: (weight * gradients[i]).abs() for i, weight in job.weights()}, scope="global")
