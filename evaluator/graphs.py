"""Steps of several networks as one captured CUDA graph: a small network is bound by its host, which then has one launch.

Each network, or wide one of several, runs on a stream of its own, forked from and joined to the one that captures, by its
ordinary kernels; its arithmetic does not depend on its neighbours on other streams. There is one graph for each size of
batch (the last of an epoch is smaller).
"""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from evaluator.data.images import Images
from evaluator.grid import Recipe
from evaluator.training import Advance, Step, Trainee, batches, in_turn, learning_rate, stream

WARM_UP = 3
"""Steps before a capture, in which libraries choose their kernels and allocate their workspaces."""
LANES = 100
"""Number of the first stream of networks that are trained apart: two for the graphs of each, and one to replay them on."""


@dataclass(frozen=True)
class _Captured:
    graph: torch.cuda.CUDAGraph
    inputs: Tensor
    labels: Tensor


class Graphs:
    """One step of all ``trainees``, captured when a size of batch comes for the first time.

    Args:
        first: the number of the first stream; graphs that are replayed at once must not have streams in common.
        needed: whether a step that cannot be captured is an error. Else steps are taken one by one from there on.
    """

    def __init__(self, trainees: Sequence[Trainee], *, first: int = 0, needed: bool = True) -> None:
        self._trainees = trainees
        self._needed = needed
        self._one_by_one: Advance | None = None
        self._main, *self._streams = (_stream(number) for number in range(first, first + 1 + len(trainees)))
        self._captured: dict[int, _Captured] = {}
        self._pool = torch.cuda.graph_pool_handle()  # the graphs are never replayed at once: they can share their memory
        for trainee in trainees:
            _make_momentum(trainee)

    def step(self, inputs: Tensor, labels: Tensor, step: Step) -> None:
        """As each trainee's own step; ``step`` is for hooks, of which none but ``forward`` may be there."""
        if self._one_by_one is None and len(labels) not in self._captured:
            try:
                self._captured[len(labels)] = self._capture(inputs, labels, step)
            except Exception as error:  # a method may have changed its network in ways that we do not foresee
                if self._needed:
                    raise
                logging.getLogger(__name__).warning("steps are taken one by one: %s: %s", type(error).__name__, error)
                self._captured.clear()
                torch.cuda.empty_cache()
                self._one_by_one = in_turn(self._trainees)
        if self._one_by_one is not None:
            self._one_by_one(inputs, labels, step)
            return
        captured = self._captured[len(labels)]
        captured.inputs.copy_(inputs)
        captured.labels.copy_(labels)
        captured.graph.replay()

    def _capture(self, inputs: Tensor, labels: Tensor, step: Step) -> _Captured:
        static = inputs.clone(memory_format=torch.preserve_format), labels.clone()
        before = [_state(trainee) for trainee in self._trainees]
        graph = torch.cuda.CUDAGraph()
        try:
            self._main.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self._main):
                for _ in range(WARM_UP):
                    self._forked(*static, step)
            torch.cuda.current_stream().wait_stream(self._main)
            with torch.cuda.graph(graph, pool=self._pool, stream=self._main):
                self._forked(*static, step)
        except Exception:
            for trainee in self._trainees:
                trainee.optimizer.zero_grad(set_to_none=True)
            raise
        finally:
            torch.cuda.current_stream().wait_stream(self._main)
            for trainee, tensors in zip(self._trainees, before, strict=True):
                _put_back(trainee, tensors)
        return _Captured(graph, *static)

    def _forked(self, inputs: Tensor, labels: Tensor, step: Step) -> None:
        main = torch.cuda.current_stream()
        for branch in self._streams:
            branch.wait_stream(main)
        try:
            for trainee, branch in zip(self._trainees, self._streams, strict=True):
                with torch.cuda.stream(branch):
                    trainee.step(inputs, labels, step)
        finally:  # with a stream still out a capture cannot end, and its complaint would hide what went wrong
            for branch in self._streams:
                main.wait_stream(branch)


def train_apart(
    trainees: Mapping[int, Trainee], images: Images, recipe: Recipe, *, after_epoch: Callable[[int], None] = lambda _: None
) -> None:
    """Train one network for each seed in place, on batches of its own, as :func:`evaluator.training.train` would.

    Each has a stream and graphs of its own: while one waits for its kernels the others have theirs.
    """
    steps = math.ceil(len(images) / recipe.batch)
    lanes = [Graphs([trainee], first=LANES + 3 * number) for number, trainee in enumerate(trainees.values())]
    torch.cuda.synchronize()
    for epoch in range(recipe.epochs):
        feeds = []
        for seed, trainee in trainees.items():
            trainee.model.train()
            feeds.append(batches(images, recipe, stream("order", seed, epoch), trainee.memory_format))
        for number in range(epoch * steps, (epoch + 1) * steps):
            step = Step(number, recipe.epochs * steps, learning_rate(recipe, number, recipe.epochs * steps))
            for lane, (trainee, feed, graphs) in enumerate(zip(trainees.values(), feeds, lanes, strict=True)):
                with torch.cuda.stream(_stream(LANES + 3 * lane + 2)):
                    trainee.pace(step.lr)
                    graphs.step(*next(feed), step)
        after_epoch(epoch + 1)
    torch.cuda.synchronize()


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
