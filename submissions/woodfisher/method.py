"""WoodFisher: Optimal Brain Surgeon with a block-diagonal inverse of the empirical Fisher matrix."""

from __future__ import annotations

import torch
from torch import Tensor

from evaluator.contract import Job, Pruned, PruningMethod


class InverseFisher:
    """F^-1 for F = G'G/N + damping I over one block of weights, from their gradients G (N, block); F is never formed.

    The paper adds one gradient after another by the Sherman-Morrison formula; all at once, by the Woodbury identity,
    F^-1 = (I - G' K^-1 G) / damping with K = GG' + N damping I, which needs an N x N factorisation only.
    """

    def __init__(self, gradients: Tensor, damping: float) -> None:
        self.gradients = gradients
        self.damping = damping
        rows = gradients.double()
        kernel = rows @ rows.T
        kernel.diagonal().add_(len(rows) * damping)
        self.factor = torch.linalg.cholesky(kernel)

    def diagonal(self) -> Tensor:
        whitened: Tensor = torch.linalg.solve_triangular(self.factor, self.gradients.double(), upper=False)
        return (1 - whitened.square().sum(0)) / self.damping

    def times(self, vector: Tensor) -> Tensor:
        rows = self.gradients.double()
        solved = torch.cholesky_solve((rows @ vector).unsqueeze(1), self.factor).squeeze(1)
        return (vector - rows.T @ solved) / self.damping


def woodfisher_scores(weight: Tensor, diagonal: Tensor) -> Tensor:
    """w_q^2 / (2 [F^-1]_qq)."""
    return weight.double().square() / (2 * diagonal)


class WoodFisher(PruningMethod):
    """Keep the weights of largest w_q^2 / (2 [F^-1]_qq), wherever they are; the kept ones make up for the removed.

    Singh and Alistarh 2020, section 4 (the inverse) and section 5 (score and update): F = (1/N) sum of g g' + damping I
    over N gradients of minibatches, in blocks of consecutive weights of a layer; each removed weight q moves all others
    by -(w_q / [F^-1]_qq) F^-1 e_q. As in the paper, the moves of weights that go together are added up.

    Deviations: one step instead of a gradual schedule; fewer and smaller minibatches; the inverse is computed at once, in
    double precision, which gives the same; the classifier stays dense.
    """

    gradients: int
    batch_size: int
    block_size: int
    damping: float

    def prune(self, job: Job) -> Pruned:
        inverses = self.inverses(job)
        weights = {position: weight.double() for position, weight in job.weights()}
        diagonals = {
            position: torch.cat([block.diagonal() for block in inverses[position]]).view(weight.shape)
            for position, weight in weights.items()
        }
        scores = {position: woodfisher_scores(weight, diagonals[position]) for position, weight in weights.items()}
        masks = job.keep_highest(scores, scope="global").masks
        updated = {}
        for position, weight in weights.items():
            multipliers = (weight / diagonals[position]).masked_fill(masks[position], 0.0).flatten()
            parts = zip(inverses[position], torch.split(multipliers, self.block_size), strict=True)
            change = torch.cat([block.times(part) for block, part in parts]).view(weight.shape)
            updated[position] = ((weight - change) * masks[position]).float()
        return Pruned(masks, updated)

    def inverses(self, job: Job) -> dict[int, list[InverseFisher]]:
        sample = [job.loss_and_gradients(batch)[1] for batch in job.train_batches(self.gradients, self.batch_size)]
        inverses = {}
        for position, _ in job.weights():
            rows = torch.stack([gradients.pop(position).flatten() for gradients in sample])
            inverses[position] = [InverseFisher(block, self.damping) for block in torch.split(rows, self.block_size, dim=1)]
        return inverses
