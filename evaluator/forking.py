"""What a process does once before it forks the ones that compute, so that none of them has to do it anew."""

from __future__ import annotations

import gc

import torch


def get_ready(*, trains: bool) -> None:
    """Prepare this process to fork: it must not compute with several threads, nor touch a GPU, before or after."""
    torch.set_num_threads(1)
    if trains:
        _take_a_step()
    gc.collect()
    gc.freeze()


def _take_a_step() -> None:
    """The first optimiser imports half of PyTorch's compiler: a second and 150 MB."""
    weight = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=0.1, momentum=0.9, nesterov=True, fused=True)
    weight.grad = torch.zeros(1)  # without autograd, whose threads on a GPU no fork survives
    optimizer.step()
    optimizer.zero_grad()
