"""What a process does once before it forks the ones that compute."""

from __future__ import annotations

import gc

import torch


def get_ready() -> None:
    """Prepare this process to fork: it must not compute with several threads, nor touch a GPU, before or after.

    It may have imported PyTorch with garbage collection disabled, which is a seventh faster; from here on it is enabled.
    """
    torch.set_num_threads(1)
    gc.freeze()  # before any collection: what was imported stays, and its pages stay shared
    gc.enable()
