"""Wanda: magnitude times the norm of the input, compared within each output."""

from __future__ import annotations

import torch
from torch import Tensor

from evaluator.contract import Job, Layer, Pruned, PruningMethod
from evaluator.selection import keep_top_by_row

CHUNK = 64


def feature_norms(layer: Layer, inputs: Tensor) -> Tensor:
    """||X_j||_2 of each input feature over all samples and positions: (groups, features)."""
    squares = [layer.patches(chunk).double().square().sum(1) for chunk in torch.split(inputs, CHUNK)]
    return torch.stack(squares).sum(0).sqrt()


def wanda_scores(matrix: Tensor, norms: Tensor) -> Tensor:
    """|W_ij| ||X_j||_2 for ``matrix`` (groups, outputs, features) and ``norms`` (groups, features)."""
    return matrix.double().abs() * norms.unsqueeze(1)


class MagnitudeActivation(PruningMethod):
    """Keep, in each output row, the weights of largest |W_ij| ||X_j||_2 (Sun et al. 2024, equation 1).

    A convolution is the matrix that multiplies unfolded patches, so a feature is an input channel at one place of the
    kernel. Every layer has the same density.

    Deviations: convolutions are pruned as well, where the paper has linear layers, of language models first of all; layers
    are pruned one after another, each on inputs that come from the pruned layers before it, where the paper proceeds so
    from block to block of a language model, and the authors' code for image classifiers takes the dense network's inputs;
    fewer images than the 4,096 there; where a row's share is not a whole number, some rows keep one weight more than
    others; a layer that is used several times goes by the inputs of its first use.
    """

    images: int

    def prune(self, job: Job) -> Pruned:
        counts = job.allocate()
        masks: dict[int, Tensor] = {}

        def visit(layer: Layer, inputs: Tensor) -> None:
            scores = wanda_scores(layer.matrix, feature_norms(layer, inputs)).view(layer.weight.shape)
            masks[layer.position] = keep_top_by_row(scores, counts[layer.position])
            layer.weight.mul_(masks[layer.position])

        ((images, _),) = job.train_batches(1, self.images)
        job.visit_inputs(images, visit)
        return Pruned(masks)
