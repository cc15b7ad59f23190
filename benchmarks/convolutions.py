"""A 3x3 convolution of several networks, forward and backward: side by side, as groups of one, or on the diagonal of one.

Convolutions of few channels leave most of a GPU's matrix units idle. A wider one that holds the weights of several networks
on its diagonal uses them, at the price of multiplying zeros; whether that pays, and whether groups do, is measured here. The
evaluator trains side by side: of these forms it is the one in which nothing of a network can reach another.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F

from evaluator.device import finish

STAGES = {"16 channels, 32x32": (16, 32), "32 channels, 16x16": (32, 16), "64 channels, 8x8": (64, 8)}
"""Of ResNet-20: channels in and out, width of the image."""
BATCH = 128
PASSES, ROUNDS = 10, 5

Result = TypeVar("Result")

Form = Callable[[Sequence[Tensor], Sequence[Tensor]], list[Tensor]]
"""Inputs and weights (C, C, 3, 3) of each network, to outputs.

Inputs and outputs are of each network (N, C, H, W), or one of all together (N, networks * C, H, W).
"""


def side_by_side(inputs: Sequence[Tensor], weights: Sequence[Tensor]) -> list[Tensor]:
    """Each on a stream of its own where there are streams; backward passes run on those of their forward passes."""
    if not inputs[0].is_cuda:
        return [F.conv2d(x, weight, padding=1) for x, weight in zip(inputs, weights, strict=True)]
    main, outputs = torch.cuda.current_stream(), []
    branches = [torch.cuda.Stream() for _ in inputs]  # type: ignore[no-untyped-call]
    for x, weight, branch in zip(inputs, weights, branches, strict=True):
        branch.wait_stream(main)
        with torch.cuda.stream(branch):
            outputs.append(F.conv2d(x, weight, padding=1))
    for branch in branches:
        main.wait_stream(branch)
    return outputs


def in_groups(inputs: Sequence[Tensor], weights: Sequence[Tensor]) -> list[Tensor]:
    return [F.conv2d(inputs[0], torch.cat([*weights]), padding=1, groups=len(weights))]


def on_the_diagonal(inputs: Sequence[Tensor], weights: Sequence[Tensor]) -> list[Tensor]:
    networks, (out, into, *kernel) = len(weights), weights[0].shape
    whole = weights[0].new_zeros(networks, out, networks, into, *kernel)
    whole.diagonal(dim1=0, dim2=2).copy_(torch.stack([*weights], dim=-1))
    whole = whole.view(networks * out, networks * into, *kernel).contiguous(memory_format=torch.channels_last)
    return [F.conv2d(inputs[0], whole, padding=1)]


FORMS: dict[str, Form] = {"side by side": side_by_side, "groups": in_groups, "diagonal": on_the_diagonal}


def bench(networks: Sequence[int], device: torch.device, batch: int = BATCH) -> None:
    print(f"\n{'a convolution, in bfloat16':<26}{'networks':>14}" + "".join(f"{name:>14}" for name in FORMS) + "   (ms)")
    for stage, (channels, width) in STAGES.items():
        for number in networks:
            taken = (1000 * seconds(form, number, channels, width, device, batch) for form in FORMS.values())
            print(f"{stage:<26}{number:>14}" + "".join(f"{each:>14.3f}" for each in taken), flush=True)


def made_up(
    form: Form, networks: int, channels: int, width: int, device: torch.device, batch: int
) -> tuple[list[Tensor], list[Tensor]]:
    """Inputs as a form takes them, and weights; all want gradients."""
    torch.manual_seed(0)
    wide = torch.randn(batch, networks * channels, width, width, device=device, dtype=torch.bfloat16)
    weights = [torch.randn(channels, channels, 3, 3, device=device, dtype=torch.bfloat16) for _ in range(networks)]
    inputs = [*wide.chunk(networks, dim=1)] if form is side_by_side else [wide]
    found = ([x.contiguous(memory_format=torch.channels_last).requires_grad_() for x in part] for part in (inputs, weights))
    return tuple(found)  # type: ignore[return-value]


def seconds(form: Form, networks: int, channels: int, width: int, device: torch.device, batch: int = BATCH) -> float:
    """Of one forward and backward pass of all networks; on a GPU captured, so that the host does not count."""
    inputs, weights = made_up(form, networks, channels, width, device, batch)
    ahead = [torch.ones_like(x) for x in inputs]  # as many channels come out as go in

    def once() -> None:
        torch.autograd.grad(form(inputs, weights), [*inputs, *weights], ahead)

    run = captured(once)[0] if device.type == "cuda" else once
    taken = []
    for _ in range(ROUNDS):
        finish(device)
        started = time.perf_counter()
        for _ in range(PASSES):
            run()
        finish(device)
        taken.append((time.perf_counter() - started) / PASSES)
    return statistics.median(taken)


def captured(once: Callable[[], Result]) -> tuple[Callable[[], None], Result]:
    """What replays ``once``, and where its result lies then."""
    main = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    main.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(main):
        for _ in range(3):
            once()
    torch.cuda.current_stream().wait_stream(main)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=main):
        result = once()
    return graph.replay, result
