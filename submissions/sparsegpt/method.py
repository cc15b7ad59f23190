"""SparseGPT: layer by layer, column by column, the columns to come make up for what is removed."""

from __future__ import annotations

import torch
from torch import Tensor

from evaluator.contract import Job, Layer, Pruned, PruningMethod
from evaluator.selection import keep_top

CHUNK = 64


def hessian(layer: Layer, inputs: Tensor, damping: float) -> Tensor:
    """2 XX' + damping * mean(diagonal) * I of the features over all samples and positions: (groups, features, features)."""
    total = torch.zeros((), dtype=torch.float64, device=inputs.device)
    for chunk in torch.split(inputs, CHUNK):
        patches = layer.patches(chunk).double()
        total = total + 2 * patches.mT @ patches
    diagonals = total.diagonal(dim1=1, dim2=2)
    ridge = damping * diagonals.mean(1, keepdim=True)
    alive = ridge[ridge > 0]
    diagonals.add_(ridge.where(ridge > 0, alive.min() if len(alive) else 1.0))  # of groups whose inputs are all zero
    return total


def sparsegpt(matrix: Tensor, curvature: Tensor, keep: int, block_size: int) -> tuple[Tensor, Tensor]:
    """Mask and updated weights for ``matrix`` (groups, outputs, features), ``keep`` of them kept."""
    weights = matrix.double().clone()
    features = weights.shape[2]
    root = torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(curvature)), upper=True)
    pivots = root.diagonal(dim1=1, dim2=2).unsqueeze(1)
    mask = torch.ones_like(weights, dtype=torch.bool)
    for start in range(0, features, block_size):
        end = min(start + block_size, features)
        share = keep * end // features - keep * start // features
        mask[..., start:end] = keep_top(weights[..., start:end].square() / pivots[..., start:end].square(), share)
        errors = torch.zeros_like(weights[..., start:end])
        for j in range(start, end):
            error = weights[..., j].masked_fill(mask[..., j], 0.0) / pivots[..., j]
            weights[..., j:end] -= error.unsqueeze(2) * root[:, None, j, j:end]
            errors[..., j - start] = error
        weights[..., end:] -= errors @ root[:, start:end, end:]
    return mask, weights * mask


class SparseGPT(PruningMethod):
    """Reconstruct each layer's output on calibration images while its weights are removed (Frantar and Alistarh 2023).

    Algorithm 1: H = 2 XX' + damping * mean(diag) I, C the upper Cholesky factor of H^-1; for each block of columns the
    weights of smallest w^2 / C_jj^2 go; then, column by column, W[:, j:] -= (w / C_jj) C[j, j:] for those that went.
    A convolution is the matrix that multiplies unfolded patches. Layers are pruned one after another, each on inputs
    that come from the pruned layers before it. Every layer, and within it every block of columns, has the same density.

    Deviations: convolutions, and images, where the paper has linear layers of language models and 128 texts; it proceeds
    from block to block of a transformer, not from layer to layer; inputs that are zero on all images are left to the
    damping, where the authors' code sets their weights to zero first; double precision; the count of each block of columns
    is rounded so that the layer's is exact.
    """

    images: int
    block_size: int
    damping: float

    def prune(self, job: Job) -> Pruned:
        counts = job.allocate()
        masks: dict[int, Tensor] = {}
        updated: dict[int, Tensor] = {}

        def visit(layer: Layer, inputs: Tensor) -> None:
            curvature = hessian(layer, inputs, self.damping)
            mask, weights = sparsegpt(layer.matrix, curvature, counts[layer.position], self.block_size)
            masks[layer.position] = mask.view(layer.weight.shape)
            layer.weight.copy_(weights.view(layer.weight.shape))
            updated[layer.position] = layer.weight.clone()

        ((images, _),) = job.train_batches(1, self.images)
        job.visit_inputs(images, visit)
        return Pruned(masks, updated)
