"""What a contributor reads: a method gets a :class:`Job` and answers with a :class:`Pruned`.

    from evaluator.contract import Job, Pruned, PruningMethod

    class GlobalMagnitude(PruningMethod):
        \"\"\"Keep the largest weights of the network, wherever they are (Han et al. 2015).\"\"\"

        def prune(self, job: Job) -> Pruned:
            return job.keep_highest({position: w.abs() for position, w in job.weights()}, scope="global")

A method has the idea; the evaluator owns counts, ties, masks, retraining and measuring. A method is never told which
network or data set it works on: prunable layers, and groups of channels, are known by their *position* in the network,
from 0.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from evaluator.channels import ChannelGroup, Slice
from evaluator.job import Batch, Job, Scope
from evaluator.layers import Layer
from evaluator.outcome import Pruned
from evaluator.training import Step

__all__ = ["Batch", "ChannelGroup", "Job", "Layer", "Pruned", "PruningMethod", "Scope", "Slice", "Step"]


class PruningMethod(ABC):
    """A pruning method: subclass it once in ``method.py`` and implement :meth:`prune`.

    The hyper-parameters of ``metadata.yaml`` are attributes of the instance; there is one set for all cells. Declare
    those that you use in the class body (``damping: float``), so that readers and type checkers see them.
    """

    def __init__(self, **hyperparameters: bool | int | float | str) -> None:
        for name, value in hyperparameters.items():
            setattr(self, name, value)

    @abstractmethod
    def prune(self, job: Job) -> Pruned:
        """Choose what to keep; usually ends in one of the ``job.keep_...`` helpers."""
