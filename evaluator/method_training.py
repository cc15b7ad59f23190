"""Training by a method itself, inside the sandbox: within the track's budget of epochs, and so that a kill loses little.

A method is code that runs from top to bottom; after a kill it runs again from the top. Everything that it does is
repeatable (one seed, one generator), so a training that ended before the kill may simply be skipped to where a checkpoint
was made: the model, the optimiser, the masks, the memory of the hooks and the generator are then as they were.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from evaluator.channels import silenced
from evaluator.checkpoints import Checkpoints
from evaluator.data.images import Images
from evaluator.errors import ContractError, InvalidOutcome
from evaluator.fused import fits
from evaluator.grid import Recipe
from evaluator.training import Hooks, Step, Trainee, train_together

if TYPE_CHECKING:
    from evaluator.job import Job
    from evaluator.layers import Layer

ForwardWeights = Callable[["Layer", Tensor], Tensor]
"""(layer, its weight) -> what the forward pass uses in its place."""

CHECKPOINT_SECONDS = 20.0
"""Between two checkpoints; a shorter training is repeated sooner than it is read back."""


@dataclass(frozen=True)
class Call:
    """What a method asks for; see :meth:`evaluator.contract.Job.train`."""

    epochs: int
    schedule: tuple[int, int] | None = None
    weights: ForwardWeights | None = None
    hooks: Hooks = field(default_factory=Hooks)
    learn: Sequence[Tensor] = ()


FEWEST_STEPS = 100
"""In a shorter call a captured step may save less than it takes to capture it."""


def replayable(model: nn.Module, call: Call) -> bool:
    """Whether a step is the recipe's own, on a network of the grid's layers, so that a GPU may replay it.

    Code of a method's that hung on to a step would not run in those that are replayed.
    """
    everywhere = torch.nn.modules.module._has_any_global_hook()  # type: ignore[no-untyped-call]
    if call.weights is not None or call.hooks != Hooks() or call.learn or everywhere:
        return False
    return all(map(_is_plain, model.modules()))


def _is_plain(module: nn.Module) -> bool:
    """Whether it is one of the grid's layers, and nobody has put code into it or its tensors."""
    own = any(map(callable, vars(module).values()))
    reads_back = isinstance(module, nn.BatchNorm2d) and module.momentum is None
    tensors = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
    odd = any(type(tensor) not in (nn.Parameter, Tensor) or _is_hooked(tensor) for tensor in tensors)
    return fits(module) and not own and not reads_back and not odd and not _is_hooked(module)


def _is_hooked(part: nn.Module | Tensor) -> bool:
    return any(getattr(part, name, None) for name in HOOKS)


HOOKS = (
    "_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks", "_post_accumulate_grad_hooks"
)  # fmt: skip
"""Where modules and tensors keep what is called in a step."""


class MethodTraining:
    """What a method may train, and where it stands.

    Args:
        recipe: of the track.
        epochs: the most that the method gets in all.
        continuous: all calls together are one training, whose schedule spans ``epochs``: the rate and the optimiser's
            momentum go on from call to call. Otherwise each call goes through the schedule, and starts without momentum.
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
        _LEFT[self] = epochs
        self._calls = 0
        self._saved = time.monotonic()
        self._momentum: dict[Tensor, Tensor] = {}

    def __deepcopy__(self, _: dict[int, Any]) -> MethodTraining:
        return self  # a copy of the job trains on the same budget

    @property
    def left(self) -> int:
        """How many epochs may still be trained."""
        return _LEFT[self]

    def train(self, job: Job, call: Call) -> float:
        """See :meth:`evaluator.contract.Job.train`."""
        first, length = self._window(call)
        before = self.epochs - self.left
        _LEFT[self] -= call.epochs  # before the first step: a hook may raise, and what was trained until then is not undone
        name = f"call-{self._calls}"
        self._calls += 1
        recipe = self.recipe.model_copy(update={"epochs": length})
        run = _Run(job, call, recipe, self.memory_format, self._momentum)
        done, loss = run.resume(self.checkpoints.load(name))

        def after_epoch(number: int) -> None:
            if time.monotonic() - self._saved > CHECKPOINT_SECONDS:
                self.checkpoints.save(name, *run.state(number - first, len(self.images)))
                self._saved = time.monotonic()

        steps = call.epochs * math.ceil(len(self.images) / recipe.batch)
        if done < call.epochs:
            (loss,) = train_together(
                [run.trainee],
                self.images,
                recipe,
                seed=self.seed,
                after_epoch=after_epoch,
                epochs=range(first + done, first + call.epochs),
                order_from=before - first,
                capture="if it can be" if replayable(job.model, call) and steps >= FEWEST_STEPS else "never",
            )
        momentum = run.end()
        self._momentum = momentum if self.continuous else {}
        return loss

    def forget(self) -> None:
        """Drop the momentum: the network is no longer the one that it belongs to."""
        self._momentum = {}

    def _window(self, call: Call) -> tuple[int, int]:
        """(first epoch, length) of the schedule by which a call trains."""
        epochs = call.epochs
        if type(epochs) is not int or epochs < 1:  # a class of numbers may count as it likes
            raise ContractError(f"{epochs} is no number of epochs to train", fix="give a whole number of at least 1")
        if epochs > self.left:
            raise ContractError(
                f"{epochs} epochs of training are asked for, {self.left} of {self.epochs} are left",
                fix="divide job.epochs; job.epochs_left says what is left",
            )
        if not self.continuous:
            first, length = map(int, call.schedule or (0, epochs))
            if not 0 <= first <= length - epochs:
                raise ContractError(
                    f"{epochs} epochs from epoch {first} are no part of a schedule of {length}",
                    fix="schedule=(first, length) with first + epochs <= length",
                )
            return first, length
        if call.schedule is not None:
            raise ContractError(
                "on this track there is one schedule for all calls", fix="leave `schedule` out, or set stage: after"
            )
        return self.epochs - self.left, self.epochs


_LEFT: WeakKeyDictionary[MethodTraining, int] = WeakKeyDictionary()
"""How many epochs each may still train: kept beside it, where no attribute of a job leads."""


class _Run:
    """One call of ``Job.train``: the trainee, with the method's hooks, and all of its state as named tensors."""

    def __init__(
        self,
        job: Job,
        call: Call,
        recipe: Recipe,
        memory_format: torch.memory_format,
        momentum: Mapping[Tensor, Tensor],
    ) -> None:
        self.job = job
        self.learn = list(call.learn)
        self._hook = call.hooks.after_step
        self._known: dict[tuple[str, int], Tensor] = {}
        self._versions: dict[tuple[str, int], int] = {}
        self.trainee = Trainee(
            job.model,
            recipe,
            memory_format=memory_format,
            hooks=replace(
                call.hooks,
                forward=_with_weights(job, call.weights) if call.weights is not None else None,
                after_step=self._after_step if self._hook is not None else None,
            ),
            extra=self.learn,
        )
        self._learned = [*job.model.parameters(), *self.learn]
        for tensor in self._learned:
            started = momentum.get(tensor)
            self.trainee.optimizer.state[tensor]["momentum_buffer"] = (
                torch.zeros_like(tensor, requires_grad=False) if started is None else started
            )
        self._follow()

    def _after_step(self, step: Step) -> None:
        assert self._hook is not None
        self._hook(step)
        kept = self._kept()
        known = kept.keys() == self._known.keys() and all(kept[what] is mask for what, mask in self._known.items())
        if not known or self._versions != _versions(kept):
            self._follow()

    def _kept(self) -> dict[tuple[str, int], Tensor]:
        """What the method wants kept, of layers and of channel groups."""
        kept = {("layer", i): mask for i, mask in self.job.masks.items()}
        return kept | {("group", i): mask for i, mask in self.job.channels.items()}

    def _follow(self) -> None:
        job = self.job
        layers = {layer.position: layer.parameter for layer in job.layers()}
        for i, mask in job.masks.items():
            if i not in layers or mask.shape != layers[i].shape or mask.dtype != torch.bool:
                raise InvalidOutcome(f"job.masks[{i}] is no boolean tensor of the shape of layer {i}")
        self._known = self._kept()
        self._versions = _versions(self._known)
        factors: dict[nn.Parameter, Tensor] = {layers[i]: mask for i, mask in job.masks.items()}
        for parameter, stays in silenced(job.model, job.groups(), job.channels) if job.channels else ():
            rows = stays.view(-1, *[1] * (parameter.dim() - 1)).expand_as(parameter)
            factors[parameter] = factors[parameter] & rows if parameter in factors else rows
        self.trainee.mask(factors)

    def end(self) -> dict[Tensor, Tensor]:
        """Leave the model as a method may use it; returns the momentum, none for masked weights."""
        self.trainee.optimizer.zero_grad(set_to_none=True)
        self.job.model.eval()
        self.trainee.mask({})
        return {tensor: self.trainee.optimizer.state[tensor]["momentum_buffer"] for tensor in self._learned}

    def state(self, done: int, images: int) -> tuple[dict[str, Tensor], dict[str, str]]:
        """Everything that the rest of the training depends on."""
        job, momentum = self.job, self.trainee.optimizer.state
        tensors = {f"model.{name}": tensor for name, tensor in job.model.state_dict().items()}
        tensors |= {f"momentum.{i}": momentum[tensor]["momentum_buffer"] for i, tensor in enumerate(self._learned)}
        tensors |= {f"learned.{i}": tensor.detach() for i, tensor in enumerate(self.learn)}
        tensors |= {f"mask.{i}": mask for i, mask in job.masks.items()}
        tensors |= {f"channels.{i}": mask for i, mask in job.channels.items()}
        tensors |= {f"memory.{name}": tensor for name, tensor in job.memory.items()}
        tensors |= {"generator": job.generator.get_state(), "global": torch.get_rng_state()}
        if job.device.type == "cuda":
            tensors["cuda"] = torch.cuda.get_rng_state(job.device)
        return tensors, {"epochs": str(done), "loss": repr(float(self.trainee.loss_sum) / images)}

    def resume(self, saved: tuple[dict[str, Tensor], dict[str, str]] | None) -> tuple[int, float]:
        """Go to where a checkpoint was made; returns the epochs that are done, and the loss of the last one.

        The job's dictionaries, the learned tensors and the parameters stay the objects that a method's hooks hold.
        """
        if saved is None:
            return 0, float("nan")
        tensors, facts = saved
        job = self.job

        def part(prefix: str) -> dict[str, Tensor]:
            return {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}

        job.model.load_state_dict(part("model."))
        for name, tensor in part("learned.").items():
            self.learn[int(name)].detach().copy_(tensor)
        for kept, prefix in ((job.masks, "mask."), (job.channels, "channels.")):
            kept.clear()
            kept.update({int(name): mask.to(job.device) for name, mask in part(prefix).items()})
        job.memory.clear()
        job.memory.update({name: tensor.to(job.device) for name, tensor in part("memory.").items()})
        self._follow()
        for name, tensor in part("momentum.").items():
            self.trainee.optimizer.state[self._learned[int(name)]]["momentum_buffer"].copy_(tensor)
        job.generator.set_state(tensors["generator"])
        torch.set_rng_state(tensors["global"])
        if "cuda" in tensors:
            torch.cuda.set_rng_state(tensors["cuda"], job.device)
        return int(facts["epochs"]), float(facts["loss"])


def _versions(kept: Mapping[tuple[str, int], Tensor]) -> dict[tuple[str, int], int]:
    """How often each was changed in place."""
    return {what: mask._version for what, mask in kept.items()}


def _with_weights(job: Job, weights: ForwardWeights) -> Callable[[Tensor], Tensor]:
    """The model with other weights in its forward pass."""
    names = {id(p): name for name, p in job.model.named_parameters()}
    layers = [(names[id(layer.parameter)], layer) for layer in job.layers()]

    def forward(inputs: Tensor) -> Tensor:
        chosen = {name: weights(layer, layer.parameter) for name, layer in layers}
        logits: Tensor = torch.func.functional_call(job.model, chosen, (inputs,))
        return logits

    return forward
