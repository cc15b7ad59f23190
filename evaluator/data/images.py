"""A split held in memory as uint8, and batches of it as normalised floats on a device."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from evaluator.grid import Dataset


@dataclass(frozen=True)
class Images:
    """``pixels`` (N, C, H, W) uint8 and ``labels`` (N,) int64 on one device, with the data set's normalisation."""

    pixels: Tensor
    labels: Tensor
    scale: Tensor
    shift: Tensor

    @classmethod
    def load(cls, path: Path, dataset: Dataset, device: torch.device) -> Images:
        tensors = load_file(path)
        mean, std = torch.tensor(dataset.mean), torch.tensor(dataset.std)
        shape = (1, -1, 1, 1)
        return cls(
            # cloned: a file's tensors lie at any address, and kernels choose their path by alignment
            pixels=tensors["images"].clone().to(device),
            labels=tensors["labels"].to(torch.int64).to(device),
            scale=(1 / (dataset.maximum * std)).view(shape).to(device),
            shift=(-mean / std).view(shape).to(device),
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of one image: channels, height, width."""
        _, channels, height, width = self.pixels.shape
        return channels, height, width

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: Tensor, memory_format: torch.memory_format = torch.contiguous_format) -> tuple[Tensor, Tensor]:
        """The images at ``index`` as (float32 of zero mean and unit variance, labels)."""
        return self.normalise(self.pixels[index], memory_format), self.labels[index]

    def normalise(self, pixels: Tensor, memory_format: torch.memory_format = torch.contiguous_format) -> Tensor:
        return pixels.to(torch.float32, memory_format=memory_format).mul_(self.scale).add_(self.shift)

    def in_order(
        self, size: int, memory_format: torch.memory_format = torch.contiguous_format
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Every image once, in order, in batches of at most ``size``."""
        for start in range(0, len(self), size):
            part = slice(start, start + size)
            yield self.normalise(self.pixels[part], memory_format), self.labels[part]
