"""Steps of several networks as one captured CUDA graph: a small network is bound by its host, which then has one launch.

Each network runs on a stream of its own, forked from and joined to the one that captures, by its ordinary kernels; its
arithmetic does not depend on its neighbours. There is one graph for each size of batch (the last of an epoch is smaller).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from evaluator.training import Step, Trainee

WARM_UP = 3
"""Steps before a capture, in which libraries choose their kernels and allocate their workspaces."""


@dataclass(frozen=True)
class _Captured:
    graph: torch.cuda.CUDAGraph
    inputs: Tensor
    labels: Tensor


class Graphs:
    """One step of all ``trainees``, captured when a size of batch comes for the first time."""

    def __init__(self, trainees: Sequence[Trainee]) -> None:
        self._trainees = trainees
        self._streams = [_stream(number) for number, _ in enumerate(trainees, start=1)]
        self._captured: dict[int, _Captured] = {}
        self._pool = torch.cuda.graph_pool_handle()  # the graphs are never replayed at once: they can share their memory
        for trainee in trainees:
            _make_momentum(trainee)

    def step(self, inputs: Tensor, labels: Tensor, step: Step) -> None:
        """As each trainee's own step; ``step`` is for hooks, which there are none of."""
        captured = self._captured.get(len(labels))
        if captured is None:
            captured = self._captured[len(labels)] = self._capture(inputs, labels, step)
        captured.inputs.copy_(inputs)
        captured.labels.copy_(labels)
        captured.graph.replay()

    def _capture(self, inputs: Tensor, labels: Tensor, step: Step) -> _Captured:
        static = inputs.clone(memory_format=torch.preserve_format), labels.clone()
        before = [_state(trainee) for trainee in self._trainees]
        main = _stream(0)
        main.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(main):
            for _ in range(WARM_UP):
                self._forked(*static, step)
        torch.cuda.current_stream().wait_stream(main)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, stream=main):
            self._forked(*static, step)
        for trainee, tensors in zip(self._trainees, before, strict=True):
            _put_back(trainee, tensors)
        return _Captured(graph, *static)

    def _forked(self, inputs: Tensor, labels: Tensor, step: Step) -> None:
        main = torch.cuda.current_stream()
        for stream in self._streams:
            stream.wait_stream(main)
        try:
            for trainee, stream in zip(self._trainees, self._streams, strict=True):
                with torch.cuda.stream(stream):
                    trainee.step(inputs, labels, step)
        finally:  # with a stream still out a capture cannot end, and its complaint would hide what went wrong
            for stream in self._streams:
                main.wait_stream(stream)


@functools.cache
def _stream(number: int) -> torch.cuda.Stream:  # noqa: ARG001
    """The same for every cohort: libraries keep a workspace for each stream, and PyTorch hands out 32 of them in turn."""
    return torch.cuda.Stream()  # type: ignore[no-untyped-call]


def _make_momentum(trainee: Trainee) -> None:
    """What the optimiser would make in its first step; from zero that step gives the same."""
    for group in trainee.optimizer.param_groups:
        for parameter in group["params"]:
            state = trainee.optimizer.state[parameter]
            state.setdefault("momentum_buffer", torch.zeros_like(parameter, memory_format=torch.preserve_format))


def _changing(trainee: Trainee) -> list[Tensor]:
    """Everything that a step changes."""
    momenta = [state["momentum_buffer"] for state in trainee.optimizer.state.values()]
    return [*trainee.model.state_dict().values(), *momenta, trainee.loss_sum]


def _state(trainee: Trainee) -> list[Tensor]:
    return [tensor.detach().clone() for tensor in _changing(trainee)]


def _put_back(trainee: Trainee, tensors: Sequence[Tensor]) -> None:
    """The steps of the warm-up never happened."""
    with torch.no_grad():
        for tensor, value in zip(_changing(trainee), tensors, strict=True):
            tensor.copy_(value)
