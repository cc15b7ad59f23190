"""Training by a method itself, inside the sandbox: within the track's budget of epochs, and so that a kill loses little.

A method is code that runs from top to bottom; after a kill it runs again from the top. Everything that it does is
repeatable (one seed, one generator), so a training that ended before the kill may simply be skipped to where a checkpoint
was made: the model, the optimiser, the masks, the memory of the hooks and the generator are then as they were.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from evaluator.checkpoints import Checkpoints
from evaluator.data.images import Images
from evaluator.errors import ContractError
from evaluator.grid import Recipe
from evaluator.training import Hooks, Step, Trainee, train_together

if TYPE_CHECKING:
    from evaluator.job import Job
    from evaluator.layers import Layer

ForwardWeights = Callable[["Layer", Tensor], Tensor]
"""(layer, its weight) -> what the forward pass uses in its place."""

CHECKPOINT_SECONDS = 20.0
"""Between two checkpoints; a shorter training is repeated sooner than it is read back."""


class MethodTraining:
    """What a method may train, and where it stands.

    Args:
        recipe: of the track; its number of epochs is the schedule's length.
        epochs: the most that the method gets in all.
        continuous: all calls together go through the schedule once, instead of each call for itself.
        initial: the state of the network before any training.
        seed: of the order of the images.
    """

    def __init__(
        self,
        recipe: Recipe,
        epochs: int,
        *,
        continuous: bool,
        images: Images,
        initial: Mapping[str, Tensor],
        seed: int,
        memory_format: torch.memory_format = torch.contiguous_format,
        checkpoints: Checkpoints | None = None,
    ) -> None:
        self.recipe = recipe
        self.epochs = epochs
        self.continuous = continuous
        self.images = images
        self.initial = initial
        self.seed = seed
        self.memory_format = memory_format
        self.checkpoints = checkpoints or Checkpoints()
        self.used = 0
        self._calls = 0
        self._saved = time.monotonic()

    def train(self, job: Job, epochs: int, weights: ForwardWeights | None, hooks: Hooks, learn: Sequence[Tensor]) -> float:
        """See :meth:`evaluator.contract.Job.train`."""
        if epochs < 1 or epochs != int(epochs):
            raise ContractError(f"{epochs} is no number of epochs to train", fix="give a whole number of at least 1")
        if self.used + epochs > self.epochs:
            raise ContractError(
                f"{epochs} epochs of training are asked for, {self.epochs - self.used} of {self.epochs} are left",
                fix="divide job.epochs; job.epochs_left says what is left",
            )
        name = f"call-{self._calls}"
        self._calls += 1
        first, length = (self.used, self.recipe.epochs) if self.continuous else (0, epochs)
        recipe = self.recipe.model_copy(update={"epochs": length})
        run = _Run(job, recipe, self.memory_format, weights, hooks, learn)
        done, loss = run.resume(self.checkpoints.load(name))

        def after_epoch(number: int) -> None:
            run.loss = float(run.trainee.loss_sum) / len(self.images)
            if time.monotonic() - self._saved > CHECKPOINT_SECONDS:
                self.checkpoints.save(name, *run.state(number - first))
                self._saved = time.monotonic()

        if done < epochs:
            (loss,) = train_together(
                [run.trainee],
                self.images,
                recipe,
                seed=self.seed,
                memory_format=self.memory_format,
                after_epoch=after_epoch,
                epochs=range(first + done, first + epochs),
                order_from=self.used - first,
            )
        self.used += epochs
        job.model.eval()
        return loss


class _Run:
    """One call of ``Job.train``: the trainee, with the method's hooks, and all of its state as named tensors."""

    def __init__(
        self,
        job: Job,
        recipe: Recipe,
        memory_format: torch.memory_format,
        weights: ForwardWeights | None,
        hooks: Hooks,
        learn: Sequence[Tensor],
    ) -> None:
        self.job = job
        self.learn = list(learn)
        self.loss = float("nan")
        self._masks: dict[int, Tensor] = {}
        self._method_hook = hooks.after_step
        forward = _with_weights(job, weights) if weights is not None else None
        self.trainee = Trainee(
            job.model,
            recipe,
            memory_format=memory_format,
            hooks=replace(hooks, forward=forward, after_step=self._after_step if hooks.after_step else None),
            extra=self.learn,
        )
        self._follow_masks()

    def _after_step(self, step: Step) -> None:
        assert self._method_hook is not None
        with torch.no_grad():
            self._method_hook(step)
        if any(self._masks.get(i) is not mask for i, mask in self.job.masks.items()) or len(self._masks) > len(
            self.job.masks
        ):
            self._follow_masks()

    def _follow_masks(self) -> None:
        self._masks = dict(self.job.masks)
        layers = self.job.layers()
        self.trainee.mask({layers[i].parameter: mask for i, mask in self._masks.items()})

    def _learned(self) -> Iterator[tuple[str, Tensor]]:
        parameters = [*self.job.model.parameters(), *self.learn]
        return ((f"momentum.{i}", parameter) for i, parameter in enumerate(parameters))

    def state(self, done: int) -> tuple[dict[str, Tensor], dict[str, str]]:
        """Everything that the rest of the training depends on."""
        optimizer = self.trainee.optimizer.state
        tensors = {f"model.{name}": tensor for name, tensor in self.job.model.state_dict().items()}
        tensors |= {name: optimizer[p]["momentum_buffer"] for name, p in self._learned() if p in optimizer}
        tensors |= {f"learned.{i}": tensor.detach() for i, tensor in enumerate(self.learn)}
        tensors |= {f"mask.{i}": mask for i, mask in self.job.masks.items()}
        tensors |= {f"memory.{name}": tensor for name, tensor in self.job.memory.items()}
        tensors |= {"generator": self.job.generator.get_state(), "global": torch.get_rng_state()}
        return tensors, {"epochs": str(done), "loss": repr(self.loss)}

    def resume(self, saved: tuple[dict[str, Tensor], dict[str, str]] | None) -> tuple[int, float]:
        """Go to where a checkpoint was made; returns the epochs that are done, and the loss of the last one."""
        if saved is None:
            return 0, float("nan")
        tensors, facts = saved
        job = self.job

        def part(prefix: str) -> dict[str, Tensor]:
            return {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}

        job.model.load_state_dict(part("model."))
        with torch.no_grad():
            for i, tensor in part("learned.").items():
                self.learn[int(i)].copy_(tensor)
        job.masks = {int(i): mask.to(job.device) for i, mask in part("mask.").items()}
        job.memory = {name: tensor.to(job.device) for name, tensor in part("memory.").items()}
        self._follow_masks()
        for name, parameter in self._learned():
            if name in tensors:
                buffer = torch.empty_like(parameter, memory_format=torch.preserve_format)
                self.trainee.optimizer.state[parameter]["momentum_buffer"] = buffer.copy_(tensors[name])
        job.generator.set_state(tensors["generator"])
        torch.set_rng_state(tensors["global"])
        return int(facts["epochs"]), float(facts["loss"])


def _with_weights(job: Job, weights: ForwardWeights) -> Callable[[Tensor], Tensor]:
    """The model with other weights in its forward pass."""
    names = {id(p): name for name, p in job.model.named_parameters()}
    layers = [(names[id(layer.parameter)], layer) for layer in job.layers()]

    def forward(inputs: Tensor) -> Tensor:
        chosen = {name: weights(layer, layer.parameter) for name, layer in layers}
        logits: Tensor = torch.func.functional_call(job.model, chosen, (inputs,))
        return logits

    return forward
