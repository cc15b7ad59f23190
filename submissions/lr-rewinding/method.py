"""Learning rate rewinding: keep the weights, start the schedule again."""

from __future__ import annotations

from evaluator.contract import Job, Pruned, PruningMethod


class LrRewinding(PruningMethod):
    """Prune the smallest weights globally, train on by the whole schedule, repeat (Renda et al. 2020, abstract).

    Weights keep their trained values and only the learning rate goes back to its start. Of n rounds each keeps the share
    density^(1/n) of the weights that are left.

    Deviations: n rounds of equal share instead of 20 % each, fewer where epochs are few; all rounds share the whole epochs
    of one budget, so that each goes through a shortened schedule, where in the paper each retrains for as long as the
    network was trained.
    """

    rounds: int

    def prune(self, job: Job) -> Pruned:
        rounds = min(self.rounds, job.epochs)
        for number in range(1, rounds + 1):
            keep = round(job.total * job.density ** (number / rounds))
            magnitudes = {i: weight.abs() for i, weight in job.weights()}
            job.masks.update(job.keep_highest(magnitudes, scope="global", keep=keep).masks)
            job.train(job.epochs // rounds)
        return Pruned(job.masks)
