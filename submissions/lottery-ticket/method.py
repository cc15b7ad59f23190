"""The lottery ticket: iterative magnitude pruning with rewinding."""

from __future__ import annotations

from evaluator.contract import Job, Pruned, PruningMethod


class LotteryTicket(PruningMethod):
    """Train, prune the smallest weights globally, reset the survivors to step k, repeat (Frankle and Carbin 2019).

    Section 2, iterative pruning, with the global choice of section 4: of n rounds each keeps the share density^(1/n) of the
    weights that are left. Step k is ``rewind`` epochs after initialisation; a training goes on from there, with momentum
    that starts anew, to the end of the schedule. The ticket is then trained once more.

    Deviations: k is not 0 (Frankle et al. 2020); n rounds of equal share instead of 20 % each, fewer where epochs are few;
    all trainings share the whole epochs of one budget; global also where the paper prunes within each layer, the last at
    half the rate; here the last stays dense; the base model is not used; the evaluator retrains the ticket, which in the
    paper is the result once trained.
    """

    rounds: int
    rewind: int

    def prune(self, job: Job) -> Pruned:
        rounds = max(1, min(self.rounds, job.epochs - self.rewind - 1))
        length = self.rewind + (job.epochs - self.rewind) // (rounds + 1)
        self.find(job, rounds, length)
        self.train(job, length)
        return Pruned(job.masks)

    def find(self, job: Job, rounds: int, length: int) -> None:
        """Leaves the network at step k, and the ticket as ``job.masks``."""
        job.initialise()
        job.train(self.rewind, schedule=(0, length))
        start = job.snapshot()
        for number in range(1, rounds + 1):
            self.train(job, length)
            keep = round(job.total * job.density ** (number / rounds))
            magnitudes = {i: weight.abs() for i, weight in job.weights()}
            job.masks.update(job.keep_highest(magnitudes, scope="global", keep=keep).masks)
            job.restore(start)

    def train(self, job: Job, length: int) -> None:
        """From step k to the end of the schedule."""
        job.train(length - self.rewind, schedule=(self.rewind, length))
