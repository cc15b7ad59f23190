"""STR: a soft threshold for each layer, learned along with the weights."""

from __future__ import annotations

import torch
from torch import Tensor

from evaluator.contract import Job, Layer, Pruned, PruningMethod, Step


def soft_threshold(weight: Tensor, threshold: Tensor) -> Tensor:
    """sign(w) relu(|w| - threshold)."""
    return weight.sign() * torch.relu(weight.abs() - threshold)


def margins(weight: Tensor, raw: Tensor) -> Tensor:
    """The shift c at which sigmoid(raw + c) reaches |w|: the weight is kept while c is below. From 1 on it only ranks."""
    magnitude = weight.detach().abs()
    return torch.logit(magnitude, eps=1e-7) + torch.relu(magnitude - 1) - raw.detach()


class Str(PruningMethod):
    """Compute with sign(w) relu(|w| - sigmoid(s_l + c)), s_l learned for each layer (Kusupati et al. 2020, section 3).

    The shift c is solved after each step, so that as many weights exceed their threshold as the schedule asks for:
    d_t = d + (1 - d) (1 - x)^3 of all weights, x from 0 to 1 between the shares ``begin`` and ``end`` of the training.

    Deviations: the paper has no c and no schedule, but finds by search the weight decay, and the first value of the s_l,
    that lead to a sparsity; thresholds end at 1, and weights that are larger go by the final choice alone; all s_l start at
    0; their weight decay is ``decay``, which can but draw them together, whatever the recipe's, where in the authors' code
    both are one unless set apart; the classifier stays dense.
    """

    begin: float
    end: float
    decay: float

    def prune(self, job: Job) -> Pruned:
        raw = torch.zeros(len(job.layers()), device=job.device, requires_grad=True)

        def margin_of_all() -> dict[int, Tensor]:
            return {i: margins(weight, raw[i]) for i, weight in job.weights()}

        def shift(progress: float) -> Tensor:
            left = 1 - min(max((progress - self.begin) / (self.end - self.begin), 0.0), 1.0)
            keep = round(job.total * (job.density + (1 - job.density) * left**3))
            everything = torch.cat([margin.flatten() for margin in margin_of_all().values()])
            if keep == job.total:
                return everything.min() - 1
            return everything.topk(keep + 1, sorted=False).values.min()  # of the first weight that goes

        def weights(layer: Layer, weight: Tensor) -> Tensor:
            return soft_threshold(weight, torch.sigmoid(raw[layer.position] + job.memory["shift"]))

        def after_step(step: Step) -> None:
            job.memory["shift"] = shift(step.progress)

        job.memory["shift"] = shift(0.0)
        job.train(
            job.epochs,
            weights=weights,
            penalty=lambda _: self.decay / 2 * raw.square().sum(),
            after_step=after_step,
            learn=[raw],
        )
        job.memory["shift"] = shift(1.0)
        kept = job.keep_highest(margin_of_all(), scope="global")
        with torch.no_grad():
            for layer in job.layers():
                layer.weight.copy_(weights(layer, layer.weight))
        return kept
