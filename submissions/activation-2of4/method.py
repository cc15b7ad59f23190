"""Wanda within a pattern: magnitude times the norm of the input, compared among neighbours."""

from __future__ import annotations

import torch
from torch import Tensor

from evaluator.contract import Job, Layer, Pruned, PruningMethod
from evaluator.selection import keep_n_of_m

CHUNK = 64


def feature_norms(layer: Layer, inputs: Tensor) -> Tensor:
    """||X_j||_2 of each input feature over all samples and positions: (groups, features)."""
    squares = [layer.patches(chunk).double().square().sum(1) for chunk in torch.split(inputs, CHUNK)]
    return torch.stack(squares).sum(0).sqrt()


class ActivationNofM(PruningMethod):
    """Keep the n weights of largest |W_ij| ||X_j||_2 of every m neighbours along the inputs (Sun et al. 2024).

    The paper's extension of its score (equation 1) to structured sparsity: weights are compared among the m inputs that
    follow each other, for each output. A convolution is the matrix that multiplies unfolded patches; neighbours are input
    channels at the same place of its kernel. Layers whose inputs cannot be divided by m stay dense.

    Deviations: convolutions are pruned as well, where the paper has linear layers, of language models first of all; layers
    are pruned one after another, each on inputs that come from the pruned layers before it, where the paper proceeds so from
    block to block of a language model, and the authors' code for image classifiers takes the dense network's inputs; fewer
    images than the 4,096 there; patterns other than 2:4 are measured as well.
    """

    images: int

    def prune(self, job: Job) -> Pruned:
        masks: dict[int, Tensor] = {}

        def visit(layer: Layer, inputs: Tensor) -> None:
            scores = layer.matrix.double().abs() * feature_norms(layer, inputs).unsqueeze(1)
            masks[layer.position] = keep_n_of_m(scores.view(layer.weight.shape), *job.pattern)
            layer.weight.mul_(masks[layer.position])

        ((images, _),) = job.train_batches(1, self.images)
        job.visit_inputs(images, visit)
        return Pruned(masks)
