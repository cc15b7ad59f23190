"""A split that does not fit in memory: pictures in a folder, decoded when they are asked for."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import repeat
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from evaluator.data.images import Images
from evaluator.data.listing import path_of
from evaluator.errors import DataError

RESIZED = 256 / 224
"""Shorter side of a picture before its middle is cut out, relative to the side of that."""
ATTEMPTS = 10
AREA = (0.08, 1.0)
RATIO = (math.log(3 / 4), math.log(4 / 3))
"""Of a random part: its share of the picture, and the logarithm of width to height (Szegedy et al. 2015)."""
THREADS = min(os.cpu_count() or 1, 16)

Cut = Callable[[Image.Image], Image.Image]
Box = tuple[int, int, int, int]
"""Left, upper, right, lower."""


@dataclass(frozen=True)
class Streamed(Images):
    """As :class:`Images`, but ``pixels`` is empty: it only tells shape and device.

    Args:
        folder: holds the pictures.
        rows: (N, width) uint8 on the CPU: path and size of each, as :mod:`evaluator.data.listing` writes them.
    """

    folder: Path
    rows: Tensor

    def at(self, index: Tensor | slice) -> Tensor:
        """The middle of each picture."""
        return self._read(index, repeat(partial(middle, side=self.pixels.shape[2])))

    def resized_crops(self, index: Tensor, random: torch.Generator) -> Tensor:
        draws = torch.rand(len(index), 4 * ATTEMPTS + 1, generator=random).tolist()
        return self._read(index, [partial(random_part, side=self.pixels.shape[2], draws=row) for row in draws])

    def _read(self, index: Tensor | slice, cuts: Iterable[Cut]) -> Tensor:
        rows = self.rows[index.cpu() if isinstance(index, Tensor) else index].numpy()
        with ThreadPoolExecutor(THREADS) as pool:  # decoding does not hold Python's lock
            pictures = list(pool.map(self._decode, (row.tobytes() for row in rows), cuts))
        return torch.from_numpy(np.stack(pictures)).to(self.pixels.device).permute(0, 3, 1, 2)

    def _decode(self, row: bytes, cut: Cut) -> NDArray[np.uint8]:
        """Height x width x 3. Raises DataError for a picture that is missing or damaged, or of another size in bytes."""
        name, size = path_of(row)
        path = self.folder / name
        try:
            if path.stat().st_size != size:
                raise DataError("not the picture that was listed", where=path, fix="get the data anew")
            with Image.open(path) as picture:
                return np.asarray(cut(picture.convert("RGB")))
        except OSError as error:
            raise DataError(f"cannot be decoded ({error})", where=path, fix="get the data anew") from None


def middle(picture: Image.Image, side: int) -> Image.Image:
    """A square of ``side`` pixels from the middle, after the shorter side was resized to 8/7 of that."""
    short = round(side * RESIZED)
    width, height = (short * length // min(picture.size) for length in picture.size)
    resized = picture.resize((width, height), Image.Resampling.BILINEAR)
    left, upper = round((width - side) / 2), round((height - side) / 2)
    return resized.crop((left, upper, left + side, upper + side))


def random_part(picture: Image.Image, side: int, draws: Sequence[float]) -> Image.Image:
    """A random part, resized to a square of ``side`` pixels, and in half of all cases mirrored.

    Args:
        draws: 4 x ATTEMPTS + 1 random numbers, from 0 to 1.
    """
    part = picture.resize((side, side), Image.Resampling.BILINEAR, box=random_box(picture.size, draws))
    return part.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if draws[-1] < 0.5 else part


def random_box(size: tuple[int, int], draws: Sequence[float]) -> Box:
    """Of several attempts the first that lies within the picture; else its middle, in the nearest ratio allowed."""
    width, height = size
    for attempt in range(ATTEMPTS):
        share, stretch, across, down = draws[4 * attempt : 4 * attempt + 4]
        area = width * height * (AREA[0] + share * (AREA[1] - AREA[0]))
        ratio = math.exp(RATIO[0] + stretch * (RATIO[1] - RATIO[0]))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            left, upper = int(across * (width - w + 1)), int(down * (height - h + 1))
            return left, upper, left + w, upper + h
    ratio = min(max(width / height, math.exp(RATIO[0])), math.exp(RATIO[1]))
    w, h = min(width, round(height * ratio)), min(height, round(width / ratio))
    left, upper = (width - w) // 2, (height - h) // 2
    return left, upper, left + w, upper + h
