"""GraSP: keep what carries the gradient flow, before training."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evaluator.contract import Job, Pruned, PruningMethod


def hessian_gradient(loss: Tensor, weights: Sequence[Tensor], ranked: Sequence[Tensor]) -> list[Tensor]:
    """The part of H g that belongs to ``ranked``, for the gradient g of ``loss`` by all ``weights`` and their Hessian H.

    It is the derivative of g' stop(g), that is |g|^2 with one factor held fast.
    """
    gradients = torch.autograd.grad(loss, weights, create_graph=True, materialize_grads=True)
    flow = torch.stack([(gradient * gradient.detach()).sum() for gradient in gradients]).sum()
    return list(torch.autograd.grad(flow, ranked, materialize_grads=True))


class Grasp(PruningMethod):
    """Remove the weights of highest S = -w (H g), wherever they are (Wang et al. 2020, section 4).

    To first order S is what the removal of a weight adds to |g|^2 / 2: where it is high the gradient grows or hardly
    suffers. g is of all convolutions and linear layers, the classifier too, though that one stays whole. The logits are
    divided by a temperature. BatchNorm uses the statistics of the batch.

    Deviations: one random batch, where the authors take ten images of each class, in two halves; the network is scored as
    it will be trained, where they draw new weights for its linear layers; the classifier is not pruned, theirs is.
    """

    batch_size: int
    temperature: float

    def prune(self, job: Job) -> Pruned:
        ((inputs, labels),) = job.train_batches(1, self.batch_size)
        with job.batch_statistics():
            loss = F.cross_entropy(job.model(inputs) / self.temperature, labels)
        weights = [part.weight for part in job.model.modules() if isinstance(part, (nn.Conv2d, nn.Linear))]
        products = hessian_gradient(loss, weights, [layer.parameter for layer in job.layers()])
        return job.keep_highest({i: weight * products[i] for i, weight in job.weights()}, scope="global")
