"""What a contributor reads: a method gets a :class:`Job` and answers with a :class:`Pruned`.

    from evaluator.contract import Job, Pruned, PruningMethod

    class GlobalMagnitude(PruningMethod):
        \"\"\"Keep the largest weights of the network, wherever they are (Han et al. 2015).\"\"\"

        def prune(self, job: Job) -> Pruned:
            return job.keep_highest({position: w.abs() for position, w in job.weights()}, scope="global")

A method has the idea; the evaluator owns counts, ties, masks, retraining and measuring. A method is never told which
network or data set it works on: prunable layers are known by their *position* in the network, from 0.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evaluator.checkpoints import Checkpoints
from evaluator.data.images import Images
from evaluator.errors import ContractError, InvalidOutcome
from evaluator.metadata import Needs
from evaluator.networks import Prunable, prunable_layers
from evaluator.selection import apportion, keep_top, keep_top_by_row, keep_top_globally

Scope = Literal["global", "layer", "row"]
Batch = tuple[Tensor, Tensor]
"""Images (N, C, H, W), float32 of zero mean and unit variance, and labels (N,), int64."""


class PruningMethod(ABC):
    """A pruning method: subclass it once in ``method.py`` and implement :meth:`prune`.

    The hyper-parameters of ``metadata.yaml`` are attributes of the instance; there is one set for all cells. Declare
    those that you use in the class body (``damping: float``), so that readers and type checkers see them.
    """

    def __init__(self, **hyperparameters: bool | int | float | str) -> None:
        for name, value in hyperparameters.items():
            setattr(self, name, value)

    @abstractmethod
    def prune(self, job: Job) -> Pruned:
        """Choose what to keep; usually ends in one of the ``job.keep_...`` helpers."""


@dataclass(frozen=True)
class Pruned:
    """The outcome: which weights are kept and, where a method updates them, their new values.

    Args:
        masks: position -> boolean tensor of the weight's shape, True where the weight is kept; one for every layer.
        weights: position -> new weight; layers that are left out keep the weights of the base model.
    """

    masks: Mapping[int, Tensor]
    weights: Mapping[int, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for position, mask in self.masks.items():
            if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
                raise InvalidOutcome(f"the mask of layer {position} is not a boolean tensor", fix="compare, e.g. score > t")


@dataclass(frozen=True)
class Layer:
    """A prunable layer of the job's model."""

    position: int
    module: Prunable

    @property
    def weight(self) -> Tensor:
        """(outputs, inputs / groups, ...); a view of the job's private model, which may be changed in place."""
        return self.module.weight.data

    @property
    def groups(self) -> int:
        return self.module.groups if isinstance(self.module, nn.Conv2d) else 1

    @property
    def matrix(self) -> Tensor:
        """The weight as the matrix that multiplies :meth:`patches`: (groups, outputs / groups, features)."""
        return self.weight.reshape(self.groups, self.weight.shape[0] // self.groups, -1)

    def patches(self, inputs: Tensor) -> Tensor:
        """What each row of :attr:`matrix` is multiplied with: (groups, samples x positions, features)."""
        if isinstance(self.module, nn.Linear):
            return inputs.reshape(1, -1, inputs.shape[-1])
        conv = self.module
        columns = F.unfold(inputs, conv.kernel_size, conv.dilation, conv.padding, conv.stride)  # type: ignore[arg-type]
        number, features, positions = columns.shape
        grouped = columns.view(number, self.groups, features // self.groups, positions)
        return grouped.permute(1, 0, 3, 2).reshape(self.groups, number * positions, features // self.groups)


class Job:
    """One cell, as a method sees it.

    Attributes:
        model: a private copy of the network in eval mode; what a method does to it reaches nobody.
        keep: how many prunable weights the outcome must keep, in all.
        density: the same as a share of the prunable weights, 0 to 1.
        generator: the source of all randomness, seeded by the cell's seed.
        device: where the model and the batches are.
    """

    def __init__(
        self,
        model: nn.Module,
        classifier: str,
        *,
        keep: int,
        train: Images,
        validation: Images,
        needs: Needs,
        generator: torch.Generator,
    ) -> None:
        self.model = model.eval()
        self.keep = keep
        self.generator = generator
        self.checkpoints = Checkpoints()  # those of the sandbox take their place, where a run can be resumed
        self.device = next(model.parameters()).device
        self._layers = [Layer(i, module) for i, (_, module) in enumerate(prunable_layers(model, classifier))]
        self._train = train
        self._validation = validation
        self._needs = needs

    @property
    def density(self) -> float:
        return self.keep / sum(layer.weight.numel() for layer in self._layers)

    def layers(self) -> list[Layer]:
        """The prunable layers by position."""
        return list(self._layers)

    def weights(self) -> Iterator[tuple[int, Tensor]]:
        """(position, weight) of every prunable layer."""
        return ((layer.position, layer.weight) for layer in self._layers)

    # -- data ---------------------------------------------------------------------------------------------------------

    def train_batches(self, count: int, size: int) -> Iterator[Batch]:
        """``count`` batches of ``size`` different training images, drawn with the job's generator."""
        return self._draw(self._train, count, size)

    def validation_batches(self, count: int, size: int) -> Iterator[Batch]:
        """As :meth:`train_batches`, from the validation images."""
        return self._draw(self._validation, count, size)

    def _draw(self, images: Images, count: int, size: int) -> Iterator[Batch]:
        if not self._needs.data:
            raise ContractError("the method reads data, but its metadata says that it does not", fix="set needs.data: true")
        order = torch.randperm(len(images), generator=self.generator).to(self.device)
        for number in range(count):
            start = number * size % max(len(images) - size + 1, 1)
            inputs, labels = images.take(order[start : start + size])
            yield inputs, labels if self._needs.labels else torch.full_like(labels, -1)

    # -- loss, gradients, activations ---------------------------------------------------------------------------------

    def loss_and_gradients(self, batch: Batch) -> tuple[float, dict[int, Tensor]]:
        """Mean cross-entropy of a batch (nats) and its gradient for every prunable weight, in eval mode."""
        needs = self._needs
        if not (needs.gradients and needs.labels):
            raise ContractError(
                "the method takes gradients, but its metadata says that it does not",
                fix="set needs.gradients and needs.labels to true",
            )
        self.model.eval()
        loss = F.cross_entropy(self.model(batch[0]), batch[1])
        weights = [layer.module.weight for layer in self._layers]
        gradients = torch.autograd.grad(loss, weights, allow_unused=True)
        filled = [torch.zeros_like(w) if g is None else g for w, g in zip(weights, gradients, strict=True)]
        return float(loss.detach()), dict(enumerate(filled))

    def visit_inputs(self, images: Tensor, visit: Callable[[Layer, Tensor], None]) -> None:
        """Run ``images`` through the model and call ``visit(layer, inputs)`` just before each prunable layer, in order.

        What ``visit`` does to the layer's weight holds for the layers behind it, so that they see pruned inputs.
        """

        def watch(layer: Layer) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
            def call(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
                visit(layer, inputs[0])  # whatever it returns must not become the layer's input

            return call

        self.model.eval()
        hooks = [layer.module.register_forward_pre_hook(watch(layer)) for layer in self._layers]
        try:
            with torch.no_grad():
                self.model(images)
        finally:
            for hook in hooks:
                hook.remove()

    # -- outcomes -----------------------------------------------------------------------------------------------------

    def allocate(self, densities: Mapping[int, float] | None = None) -> dict[int, int]:
        """How many weights to keep per layer, summing to :attr:`keep` exactly; the same density everywhere by default."""
        sizes = {layer.position: layer.weight.numel() for layer in self._layers}
        chosen = densities if densities is not None else dict.fromkeys(sizes, self.density)
        if set(chosen) != set(sizes):
            raise InvalidOutcome(f"densities for layers {sorted(chosen)}, but the layers are {sorted(sizes)}")
        return apportion(chosen, sizes, self.keep)

    def keep_highest(self, scores: Mapping[int, Tensor], scope: Scope | Mapping[int, float] = "global") -> Pruned:
        """Keep the weights with the highest scores, exactly as many as the target asks for.

        Args:
            scores: position -> tensor of the weight's shape; finite.
            scope: where weights compete: ``"global"``, within each ``"layer"`` or output ``"row"`` (the same density in
                each), or position -> density, 0 to 1, to compete within layers of those densities.

        Raises:
            InvalidOutcome: a score is missing, has another shape or is not finite, or the densities miss the target.
        """
        ordered = self._checked(scores)
        if scope == "global":
            return Pruned(keep_top_globally(ordered, self.keep))
        if scope in ("layer", "row"):
            within = keep_top if scope == "layer" else keep_top_by_row
            counts = self.allocate()
        elif isinstance(scope, Mapping):
            within, counts = keep_top, self.allocate(scope)
        else:
            raise ContractError(f"no scope {scope!r}", fix='"global", "layer", "row" or a density for each position')
        return Pruned({position: within(score, counts[position]) for position, score in ordered.items()})

    def _checked(self, scores: Mapping[int, Tensor]) -> dict[int, Tensor]:
        ordered = {}
        for layer in self._layers:
            score = scores.get(layer.position)
            if score is None or score.shape != layer.weight.shape:
                found = "no score" if score is None else f"a score of shape {tuple(score.shape)}"
                raise InvalidOutcome(f"{found} for layer {layer.position}, whose shape is {tuple(layer.weight.shape)}")
            if not bool(torch.isfinite(score).all()):
                raise InvalidOutcome(f"the scores of layer {layer.position} hold NaN or infinity")
            ordered[layer.position] = score.detach()
        return ordered
