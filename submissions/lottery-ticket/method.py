"""The lottery ticket: iterative magnitude pruning with rewinding."""

from __future__ import annotations

from evaluator.contract import Job, Pruned, PruningMethod


class LotteryTicket(PruningMethod):
    """Train, prune the smallest weights globally, reset the survivors to step k, repeat (Frankle and Carbin 2019).

    Section 2, iterative pruning: of n rounds each keeps the share density^(1/n) of the weights that are left. Step k is
    ``rewind`` epochs after initialisation; a training goes on from there to the end of the schedule. The ticket is then
    trained once more.
    """

    rounds: int
    rewind: int

    def prune(self, job: Job) -> Pruned:
        length = self.rewind + (job.epochs - self.rewind) // (self.rounds + 1)
        self.find(job, length)
        self.train(job, length)
        return Pruned(job.masks)

    def find(self, job: Job, length: int) -> None:
        """Leaves the network at step k, and the ticket as ``job.masks``."""
        job.initialise()
        job.train(self.rewind, schedule=(0, length))
        start = job.snapshot()
        for number in range(1, self.rounds + 1):
            self.train(job, length)
            keep = round(job.total * job.density ** (number / self.rounds))
            magnitudes = {i: weight.abs() for i, weight in job.weights()}
            job.masks.update(job.keep_highest(magnitudes, scope="global", keep=keep).masks)
            job.restore(start)

    def train(self, job: Job, length: int) -> None:
        """From step k to the end of the schedule."""
        job.train(length - self.rewind, schedule=(self.rewind, length))
