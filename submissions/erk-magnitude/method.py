"""Magnitude pruning with the Erdős-Rényi-Kernel allocation of densities."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from evaluator.contract import Job, Pruned, PruningMethod


def erk_densities(shapes: Mapping[int, torch.Size], keep: int) -> dict[int, float]:
    """Densities in proportion to sum(shape) / product(shape), none over 1, that keep ``keep`` weights in all."""
    sizes = {position: shape.numel() for position, shape in shapes.items()}
    dense: set[int] = set()
    while True:
        sparse = sizes.keys() - dense
        budget = keep - sum(sizes[position] for position in dense)
        scale = budget / sum(sum(shapes[position]) for position in sparse) if sparse else 0.0
        overfull = {position for position in sparse if scale * sum(shapes[position]) > sizes[position]}
        if not overfull:
            break
        dense |= overfull
    return {p: 1.0 if p in dense else scale * sum(shapes[p]) / sizes[p] for p in sizes}


class ErkMagnitude(PruningMethod):
    """Keep the weights of largest magnitude of each layer, with densities of the Erdős-Rényi-Kernel rule.

    density = e (c_in + c_out + k_h + k_w) / (c_in c_out k_h k_w), and e (n_in + n_out) / (n_in n_out) for a linear layer;
    e is solved for the budget, and layers that would exceed 1 are dense (Evci et al. 2020, section 3, after Mocanu et al.
    2018).

    Deviations: the paper uses the rule for sparse training; here it shares out the budget of a trained network. In a
    grouped convolution c_in is the number of inputs of one group, as in the shape of its weight. The classifier stays
    dense, where the authors' rule has a share for it.
    """

    def prune(self, job: Job) -> Pruned:
        weights = dict(job.weights())
        densities = erk_densities({position: weight.shape for position, weight in weights.items()}, job.keep)
        return job.keep_highest({position: weight.abs() for position, weight in weights.items()}, scope=densities)
