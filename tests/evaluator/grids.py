"""The shipped grid, and images made up for tests."""

from __future__ import annotations

import torch

from evaluator.data.images import Images
from evaluator.grid import load_grid
from tests.miniature import ROOT

GRID = load_grid(ROOT / "evaluator" / "grid")


def made_up(number: int, shape: tuple[int, int, int] = (1, 8, 8), classes: int = 10, seed: int = 0) -> Images:
    """``number`` random images with labels that depend on them."""
    random = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (number, *shape), generator=random, dtype=torch.uint8)
    labels = pixels.flatten(1).long().sum(1) % classes
    channels = (1, shape[0], 1, 1)
    return Images(pixels, labels, torch.full(channels, 1 / 64), torch.full(channels, -2.0))
