"""SparseGPT within a pattern: of every few neighbours the costliest stay, and the columns to come make up for the rest."""

from __future__ import annotations

import torch
from torch import Tensor

from evaluator.contract import Job, Layer, Pruned, PruningMethod
from evaluator.selection import keep_n_of_m

CHUNK = 64


def by_place(layer: Layer) -> Tensor:
    """The order of features in which input channels at the same place of a kernel follow each other."""
    features = torch.arange(layer.matrix.shape[2], device=layer.weight.device)
    return features.view(layer.weight.shape[1], -1).T.flatten()


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


def sparsegpt(matrix: Tensor, curvature: Tensor, n: int, m: int) -> tuple[Tensor, Tensor]:
    """Mask and updated weights for ``matrix`` (groups, outputs, features), n of every m features kept in each row."""
    weights = matrix.double().clone()
    root = torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(curvature)), upper=True)
    pivots = root.diagonal(dim1=1, dim2=2).unsqueeze(1)
    mask = torch.ones_like(weights, dtype=torch.bool)
    for j in range(weights.shape[2]):
        if j % m == 0:
            costs = weights[..., j : j + m].square() / pivots[..., j : j + m].square()
            mask[..., j : j + m] = keep_n_of_m(costs.flatten(0, 1), n, m).view_as(costs)
        error = weights[..., j].masked_fill(mask[..., j], 0.0) / pivots[..., j]
        weights[..., j:] -= error.unsqueeze(2) * root[:, None, j, j:]
    return mask, weights * mask


class SparseGPTNofM(PruningMethod):
    """Reconstruct each layer's output while all but n of every m neighbours go (Frantar and Alistarh 2023).

    Algorithm 1 with blocks of m columns for the choice of the mask: H = 2 XX' + damping * mean(diag) I, C the upper Cholesky
    factor of H^-1; of every m columns each row loses the m - n weights of smallest w^2 / C_jj^2; then, column by column,
    W[:, j:] -= (w / C_jj) C[j, j:] for those that went. A convolution is the matrix that multiplies unfolded patches, its
    columns ordered so that input channels at the same place of the kernel are neighbours. Layers whose inputs cannot be
    divided by m stay as they are.

    Deviations: convolutions, and images, where the paper has linear layers of language models and 128 texts; inputs come
    from pruned layers, where it proceeds from block to block of a transformer; inputs that are zero on all images are left
    to the damping, where the authors' code sets their weights to zero first; double precision; no lazy batches of updates,
    which change the speed only; patterns other than 2:4 are measured as well.
    """

    images: int
    damping: float

    def prune(self, job: Job) -> Pruned:
        n, m = job.pattern
        masks = {position: torch.ones_like(weight, dtype=torch.bool) for position, weight in job.weights()}
        updated: dict[int, Tensor] = {}

        def visit(layer: Layer, inputs: Tensor) -> None:
            if layer.weight.shape[1] % m:
                return
            order = by_place(layer)
            back = order.argsort()
            curvature = hessian(layer, inputs, self.damping)[:, order][:, :, order]
            mask, weights = sparsegpt(layer.matrix[..., order], curvature, n, m)
            masks[layer.position] = mask[..., back].view(layer.weight.shape)
            layer.weight.copy_(weights[..., back].view(layer.weight.shape))
            updated[layer.position] = layer.weight.clone()

        ((images, _),) = job.train_batches(1, self.images)
        job.visit_inputs(images, visit)
        return Pruned(masks, updated)
