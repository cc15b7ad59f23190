"""A split held in memory as uint8, and batches of it as normalised floats on a device."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
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
        """The images of a prepared file; on the CPU its pixels stay in the file, mapped into all processes at once."""
        tensors = load_file(path)
        pixels, labels = tensors["images"], tensors["labels"].to(torch.int64)
        mean, std = torch.tensor(dataset.mean), torch.tensor(dataset.std)
        scale, shift = (part.view(1, -1, 1, 1) for part in (1 / (dataset.maximum * std), -mean / std))
        if pixels.dim() == 2:
            from evaluator.data.streamed import Streamed

            empty = pixels.new_empty((0, *dataset.shape))
            return Streamed(empty, labels, scale, shift, path.parent / "pictures", pixels).to(device)
        return cls(pixels, labels, scale, shift).to(device)

    def to(self, device: torch.device | str) -> Images:
        return replace(self, **{part.name: getattr(self, part.name).to(device) for part in fields(Images)})

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of one image: channels, height, width."""
        _, channels, height, width = self.pixels.shape
        return channels, height, width

    def __len__(self) -> int:
        return len(self.labels)

    def at(self, index: Tensor | slice) -> Tensor:
        """The pixels at ``index``: (n, C, H, W) uint8 on the device."""
        return self.pixels[index]

    def resized_crops(self, index: Tensor, random: torch.Generator) -> Tensor:
        """As :meth:`at`, but of random parts of the pictures; only where they are decoded on demand."""
        raise NotImplementedError("these images have lost their original size")

    def take(self, index: Tensor, memory_format: torch.memory_format = torch.contiguous_format) -> tuple[Tensor, Tensor]:
        """The images at ``index`` as (float32 of zero mean and unit variance, labels)."""
        return self.normalise(self.at(index), memory_format), self.labels[index]

    def normalise(self, pixels: Tensor, memory_format: torch.memory_format = torch.contiguous_format) -> Tensor:
        return pixels.to(torch.float32, memory_format=memory_format).mul_(self.scale).add_(self.shift)

    def in_order(
        self, size: int, memory_format: torch.memory_format = torch.contiguous_format
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Every image once, in order, in batches of at most ``size``."""
        for start in range(0, len(self), size):
            part = slice(start, start + size)
            yield self.normalise(self.at(part), memory_format), self.labels[part]
