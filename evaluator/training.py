"""The only training loop: base models, retraining and whatever a method may train all go through it.

Data are uint8 and are augmented by batch; weights are masked after the step, never in the forward pass
(which gives the same numbers); nothing is read back from the device within an epoch. The order of images and their
augmentation depend on data set, seed and epoch alone, never on the cell, so that differences between cells are paired.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evaluator.canonical import digest
from evaluator.data.images import Images
from evaluator.grid import Recipe

MEMORY_FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


def stream(*parts: object) -> torch.Generator:
    """A random stream of its own for each purpose: seeded by the digest of what it is for, on the CPU."""
    return torch.Generator().manual_seed(int(digest([str(part) for part in parts])[:15], 16))


def train(
    model: nn.Module,
    images: Images,
    recipe: Recipe,
    *,
    seed: int,
    masks: Mapping[nn.Parameter, Tensor] | None = None,
    memory_format: torch.memory_format = torch.contiguous_format,
    after_epoch: Callable[[int], None] = lambda _: None,
) -> float:
    """Train ``model`` in place for ``recipe.epochs`` epochs.

    Args:
        masks: parameters that keep zeros, with boolean tensors, True where the weight is kept.
        after_epoch: called with the number of epochs done, from 1.

    Returns:
        The mean cross-entropy over the last epoch, in nats.
    """
    model.train().to(memory_format=memory_format)
    masked: list[Tensor] = list(masks or {})
    factors: list[Tensor] = [mask.to(p).contiguous(memory_format=_format_of(p)) for p, mask in (masks or {}).items()]
    optimizer = torch.optim.SGD(
        model.parameters(),
        lr=recipe.lr,
        momentum=recipe.momentum,
        nesterov=recipe.nesterov,
        weight_decay=recipe.weight_decay,
        fused=True,
    )
    device = images.pixels.device
    steps = math.ceil(len(images) / recipe.batch)
    loss_sum = torch.zeros((), device=device)
    for epoch in range(recipe.epochs):
        random = stream("order", seed, epoch)
        order = torch.randperm(len(images), generator=random).to(device)
        loss_sum.zero_()
        for step, index in enumerate(torch.split(order, recipe.batch)):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(recipe, epoch * steps + step, recipe.epochs * steps)
            inputs, labels = _batch(images, index, recipe, random, memory_format)
            with torch.autocast(device.type, torch.bfloat16, enabled=recipe.precision == "bfloat16"):
                loss = F.cross_entropy(model(inputs), labels)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            if masked:
                with torch.no_grad():
                    torch._foreach_mul_(masked, factors)
            loss_sum += loss.detach() * len(labels)
        after_epoch(epoch + 1)
        model.train()
    return float(loss_sum) / len(images)


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """The rate at ``step`` (from 0) of ``steps``; cosine falls from ``lr`` towards 0 (Loshchilov and Hutter 2017, eq. 5)."""
    if recipe.schedule == "constant":
        return recipe.lr
    return recipe.lr * 0.5 * (1 + math.cos(math.pi * step / steps))


def _batch(
    images: Images, index: Tensor, recipe: Recipe, random: torch.Generator, memory_format: torch.memory_format
) -> tuple[Tensor, Tensor]:
    if recipe.augment == "flip-resized-crop":
        pixels = images.resized_crops(index, random)
    elif recipe.augment == "flip-crop":
        pixels = flip_and_crop(images.at(index), random)
    else:
        pixels = images.at(index)
    return images.normalise(pixels, memory_format), images.labels[index]


def flip_and_crop(pixels: Tensor, random: torch.Generator, padding: int = 4) -> Tensor:
    """Mirror half of the images and shift each by up to ``padding`` pixels into zeros; (N, C, H, W) uint8."""
    number, _, height, width = pixels.shape
    draws = torch.rand(3, number, generator=random).to(pixels.device)
    shifts = (draws[:2] * (2 * padding + 1)).long()
    columns = torch.arange(width, device=pixels.device).expand(number, width)
    columns = torch.where(draws[2, :, None] < 0.5, columns.flip(1), columns) + shifts[0, :, None]
    rows = torch.arange(height, device=pixels.device) + shifts[1, :, None]
    padded = F.pad(pixels, (padding,) * 4)
    which = torch.arange(number, device=pixels.device)[:, None, None]
    return padded.permute(0, 2, 3, 1)[which, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _format_of(parameter: Tensor) -> torch.memory_format:
    channels_last = parameter.dim() == 4 and parameter.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if channels_last else torch.contiguous_format
