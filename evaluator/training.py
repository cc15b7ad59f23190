"""The only training loop: base models, retraining and whatever a method trains itself all go through it.

Data are uint8 and are augmented by batch; weights are masked after the step, never in the forward pass
(which gives the same numbers); nothing is read back from the device within an epoch. The order of images and their
augmentation depend on seed and epoch alone, never on the cell: differences between cells are paired, and any number of
networks can be trained side by side on the same batches, each as it would be alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evaluator.canonical import seed_of
from evaluator.data.images import Images
from evaluator.grid import Recipe
from evaluator.optimizer import Sgd

MEMORY_FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}

Masks = Mapping[nn.Parameter, Tensor]
"""Parameters that keep zeros, with boolean tensors of their shape, True where the weight is kept."""

Capture = Literal["always", "if it can be", "never"]


def stream(*parts: object) -> torch.Generator:
    """A random stream of its own for each purpose: seeded by the digest of what it is for, on the CPU."""
    return torch.Generator().manual_seed(seed_of(*parts))


@dataclass(frozen=True)
class Step:
    """Where a training stands: step ``number`` of ``steps``, both counted over the whole schedule, from 0."""

    number: int
    steps: int
    lr: float

    @property
    def progress(self) -> float:
        """Share of the schedule that is behind, 0 to 1."""
        return self.number / self.steps


@dataclass(frozen=True)
class Hooks:
    """What may be added to a step.

    Args:
        forward: in place of calling the model; images to logits.
        penalty: added to the loss.
        after_backward: sees, and may change, the gradients (those of masked weights too).
        after_step: after the optimiser's step; masked weights are zero by then.

    The latter two run without autograd.
    """

    forward: Callable[[Tensor], Tensor] | None = None
    penalty: Callable[[Step], Tensor] | None = None
    after_backward: Callable[[Step], None] | None = None
    after_step: Callable[[Step], None] | None = None


class Trainee:
    """One network in training by a recipe: its optimiser, its masks, and the sum of its losses on the device.

    ``form`` says in words how it is trained, where that is not by itself.

    Args:
        extra: tensors beyond the network's parameters that are learned as well, without weight decay.
    """

    def __init__(
        self,
        model: nn.Module,
        recipe: Recipe,
        *,
        masks: Masks | None = None,
        memory_format: torch.memory_format = torch.contiguous_format,
        hooks: Hooks | None = None,
        extra: Sequence[Tensor] = (),
    ) -> None:
        self.model = model.train().to(memory_format=memory_format)
        self.memory_format = memory_format
        self.recipe = recipe
        self.hooks = hooks or Hooks()
        self.form = ""
        self._forward = self.hooks.forward or model
        device = next(model.parameters()).device
        self._masked: list[Tensor] = []
        self._factors: list[Tensor] = []
        groups: list[dict[str, Any]] = [{"params": [*model.parameters()]}]
        if extra:
            groups.append({"params": [*extra], "weight_decay": 0.0})
        self.optimizer = Sgd(
            groups,
            lr=torch.tensor(recipe.lr, device=device) if device.type == "cuda" else recipe.lr,
            momentum=recipe.momentum,
            nesterov=recipe.nesterov,
            weight_decay=recipe.weight_decay,
            fused=True,
        )
        self.loss_sum = torch.zeros((), device=device)
        self.mask(masks or {})

    def mask(self, masks: Masks) -> None:
        """Mask from now on; a weight that was masked before and is not now starts from zero and without momentum."""
        for parameter, factor in zip(self._masked, self._factors, strict=True):
            momentum = self.optimizer.state.get(parameter, {}).get("momentum_buffer")
            if momentum is not None:
                momentum.mul_(factor)
        self._masked = list(masks)
        self._factors = [mask.to(p).contiguous(memory_format=_format_of(p)) for p, mask in masks.items()]
        self._zero()

    def pace(self, lr: float) -> None:
        """Set the learning rate; on a GPU in place, where a captured step reads it."""
        for group in self.optimizer.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(lr)
            else:
                group["lr"] = lr

    def step(self, inputs: Tensor, labels: Tensor, step: Step) -> None:
        """One step of the optimiser on one batch, at the pace that was set; reads nothing back from the device."""
        hooks = self.hooks
        added = None if hooks.penalty is None else partial(hooks.penalty, step)
        loss = self.gradients(inputs, labels, self._forward, added)
        if hooks.after_backward is not None:
            with torch.no_grad():
                hooks.after_backward(step)
        self.optimizer.step()
        self._zero()
        if hooks.after_step is not None:
            with torch.no_grad():
                hooks.after_step(step)
            self._zero()
        self.loss_sum += loss.detach() * len(labels)

    def gradients(
        self,
        inputs: Tensor,
        labels: Tensor,
        forward: Callable[[Tensor], Tensor],
        penalty: Callable[[], Tensor] | None = None,
    ) -> Tensor:
        """Give the parameters the gradients of one batch; returns the losses, less the penalty."""
        bfloat16 = self.recipe.precision == "bfloat16"
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=bfloat16, cache_enabled=False):
            loss = self.loss(forward(inputs), labels)
        self.optimizer.zero_grad(set_to_none=True)
        whole = loss.sum()
        (whole if penalty is None else whole + penalty()).backward()  # type: ignore[no-untyped-call]
        return loss

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The mean cross-entropy of (N, classes) logits and (N,) labels, in nats."""
        return F.cross_entropy(logits, labels)

    def mask_of(self, parameter: Tensor) -> Tensor:
        """Boolean, True where ``parameter`` is trained."""
        for masked, factor in zip(self._masked, self._factors, strict=True):
            if masked is parameter:
                return factor.bool()
        return torch.ones_like(parameter, dtype=torch.bool)

    @property
    def plain(self) -> bool:
        """Whether nothing is added to the network's own steps, and none has been taken yet."""
        return self.hooks == Hooks() and len(self.optimizer.param_groups) == 1 and not self.optimizer.state

    def _zero(self) -> None:
        if self._masked:
            with torch.no_grad():
                torch._foreach_mul_(self._masked, self._factors)


def train(
    model: nn.Module,
    images: Images,
    recipe: Recipe,
    *,
    seed: int,
    masks: Masks | None = None,
    memory_format: torch.memory_format = torch.contiguous_format,
    after_epoch: Callable[[int], None] = lambda _: None,
) -> float:
    """Train one network in place by a whole recipe; see :func:`train_together`."""
    trainee = Trainee(model, recipe, masks=masks, memory_format=memory_format)
    return train_together([trainee], images, recipe, seed=seed, after_epoch=after_epoch)[0]


def train_together(
    trainees: Sequence[Trainee],
    images: Images,
    recipe: Recipe,
    *,
    seed: int,
    after_epoch: Callable[[int], None] = lambda _: None,
    epochs: range | None = None,
    order_from: int = 0,
    capture: Capture = "always",
) -> list[float]:
    """Train networks side by side on the same batches, in place.

    Args:
        after_epoch: called with the number of epochs done, from 1.
        epochs: which of the recipe's epochs to run; all by default. The schedule counts all of them.
        order_from: how many epochs were trained before by another schedule: no two epochs go through the images alike.
        capture: when a GPU replays one captured step. Code of others that hangs on to a network would not be in it.

    Returns:
        For each network the mean cross-entropy over the last epoch, in nats.
    """
    steps = math.ceil(len(images) / recipe.batch)
    total = recipe.epochs * steps
    advance = stepper(trainees, capture)
    for epoch in range(recipe.epochs) if epochs is None else epochs:
        for trainee in trainees:
            trainee.model.train()
            trainee.loss_sum.zero_()
        for number, (inputs, labels) in enumerate(
            batches(images, recipe, stream("order", seed, order_from + epoch), trainees[0].memory_format), epoch * steps
        ):
            step = Step(number, total, learning_rate(recipe, number, total))
            for trainee in trainees:
                trainee.pace(step.lr)
            advance(inputs, labels, step)
        after_epoch(epoch + 1)
    return [float(loss) / len(images) for trainee in trainees for loss in trainee.loss_sum.view(-1)]


Advance = Callable[[Tensor, Tensor, Step], None]
"""Takes a step with a batch: images, labels, and which step it is."""


def stepper(trainees: Sequence[Trainee], capture: Capture = "always") -> Advance:
    """What takes one step of all: on a GPU one captured graph, a stream for each; else each in its turn."""
    if capture == "never" or not trainees[0].loss_sum.is_cuda:
        return in_turn(trainees)
    from evaluator.graphs import Graphs

    return Graphs(trainees, needed=capture == "always").step


def in_turn(trainees: Sequence[Trainee]) -> Advance:
    def advance(inputs: Tensor, labels: Tensor, step: Step) -> None:
        for trainee in trainees:
            trainee.step(inputs, labels, step)

    return advance


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """The rate at ``step`` (from 0) of ``steps``; cosine falls from ``lr`` towards 0 (Loshchilov and Hutter 2017, eq. 5).

    A recipe that is the tail of a longer one begins where that one would be by then (Renda et al. 2020).
    """
    if recipe.schedule == "constant":
        return recipe.lr
    if recipe.tail_of is not None:
        whole = steps * recipe.tail_of / recipe.epochs
        step, steps = step + whole - steps, whole  # type: ignore[assignment]
    return recipe.lr * 0.5 * (1 + math.cos(math.pi * step / steps))


def batches(
    images: Images, recipe: Recipe, random: torch.Generator, memory_format: torch.memory_format = torch.contiguous_format
) -> Iterator[tuple[Tensor, Tensor]]:
    """The batches of one epoch: images, normalised and augmented by the recipe, and labels; each once, in random order."""
    device = images.labels.device
    order = torch.randperm(len(images), generator=random).to(device)
    draws = torch.rand(len(images), 3, generator=random).to(device) if recipe.augment == "flip-crop" else None
    for start in range(0, len(images), recipe.batch):
        index = order[start : start + recipe.batch]
        pixels = images.resized_crops(index, random) if recipe.augment == "flip-resized-crop" else images.at(index)
        if draws is not None:
            pixels = flip_and_crop(pixels, draws[start : start + recipe.batch])
        yield images.normalise(pixels, memory_format), images.labels[index]


def flip_and_crop(pixels: Tensor, draws: Tensor, padding: int = 4) -> Tensor:
    """Mirror half of the images and shift each by up to ``padding`` pixels into zeros.

    Args:
        pixels: (N, C, H, W) uint8.
        draws: (N, 3) uniform in 0..1: what shifts an image to the side and down, and whether it is mirrored.
    """
    number, _, height, width = pixels.shape
    shifts = (draws[:, :2] * (2 * padding + 1)).long()
    columns = torch.arange(width, device=pixels.device).expand(number, width)
    columns = torch.where(draws[:, 2:] < 0.5, columns.flip(1), columns) + shifts[:, :1]
    rows = torch.arange(height, device=pixels.device) + shifts[:, 1:]
    padded = F.pad(pixels, (padding,) * 4)
    which = torch.arange(number, device=pixels.device)[:, None, None]
    return padded.permute(0, 2, 3, 1)[which, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _format_of(parameter: Tensor) -> torch.memory_format:
    channels_last = parameter.dim() == 4 and parameter.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if channels_last else torch.contiguous_format
