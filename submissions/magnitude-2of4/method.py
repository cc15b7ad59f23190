"""Of every few neighbouring weights the largest stay."""

from __future__ import annotations

from evaluator.contract import Job, Pruned, PruningMethod


class MagnitudeNofM(PruningMethod):
    """Keep the n weights of largest |w| of every m neighbours along the inputs (Mishra et al. 2021, section 1).

    The paper's recipe for 2:4: prune a trained network once, by magnitude, then train it again as it was trained.
    Neighbours are input channels at the same place of a kernel; layers whose inputs cannot be divided by m stay dense.

    Deviations: the evaluator retrains, for fewer epochs and at a smaller rate, or not at all; patterns other than 2:4 are
    measured as well; the search for a permutation of channels that costs less is left out.
    """

    def prune(self, job: Job) -> Pruned:
        return job.keep_n_of_m({position: weight.abs() for position, weight in job.weights()})
