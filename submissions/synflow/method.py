"""SynFlow: conserve the synaptic flow, without data, before training."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from evaluator.contract import Job, Pruned, PruningMethod


def synaptic_flow(job: Job) -> dict[int, Tensor]:
    """|theta dR/dtheta| of every prunable weight, for R the sum of the outputs for an input of ones.

    All state of the model is taken to be positive and in double precision.
    """
    parameters = [layer.parameter for layer in job.layers()]
    ones = torch.ones(1, *job.shape, dtype=torch.float64, device=job.device)
    flow = torch.autograd.grad(job.model(ones).sum(), parameters, materialize_grads=True)
    return {i: (weight * flow[i]).abs() for i, weight in job.weights()}


class Synflow(PruningMethod):
    """Keep the weights of highest synaptic flow, in rounds of an exponential schedule (Tanaka et al. 2020, algorithm 1).

    The score is |theta dR/dtheta|, for R the sum of the outputs of the network of |theta| for an input of ones. After round
    k of n a share density^(k/n) is left. But for what biases add, the flow is the same through every layer of a chain, so a
    layer's weights score higher the fewer are left of them: none is emptied before the others.

    Deviations: none in the rule; everything is in double precision, as the authors advise; the classifier, which their code
    prunes too unless told otherwise, stays whole.
    """

    rounds: int

    def prune(self, job: Job) -> Pruned:
        state = job.snapshot()
        job.model.double()
        statistics = [part for part in job.model.modules() if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d)]
        for tensor in (*job.model.parameters(), *(one for norm in statistics for one in norm.buffers())):
            tensor.detach().abs_()
        masks = {i: torch.ones_like(weight, dtype=torch.bool) for i, weight in job.weights()}
        for number in range(1, self.rounds + 1):
            scores = {i: flow.masked_fill(~masks[i], -1.0) for i, flow in synaptic_flow(job).items()}
            kept = job.keep_highest(scores, scope="global", keep=round(job.total * job.density ** (number / self.rounds)))
            masks = dict(kept.masks)
            for i, weight in job.weights():
                weight.mul_(masks[i])
        job.model.float()
        job.restore(state)
        return kept
