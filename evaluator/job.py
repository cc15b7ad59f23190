"""One cell, as a method sees it: the network, the data, the target, and helpers that turn scores into an outcome."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evaluator.channels import ChannelGroup, Costs, Kept, channel_costs, channel_groups, remove_channels, solve
from evaluator.checkpoints import Checkpoints
from evaluator.data.images import Images
from evaluator.errors import ContractError, GridError, InvalidOutcome
from evaluator.layers import Layer
from evaluator.metadata import Needs
from evaluator.method_training import Call, ForwardWeights, MethodTraining
from evaluator.networks import prunable_layers
from evaluator.observation import VisitChannels, VisitInputs, batch_statistics, visit_channels, visit_inputs
from evaluator.outcome import Pruned
from evaluator.scores import checked
from evaluator.selection import apportion, keep_n_of_m, keep_top, keep_top_by_row, keep_top_globally
from evaluator.training import Hooks, Step

Scope = Literal["global", "layer", "row"]
Batch = tuple[Tensor, Tensor]
"""Images (N, C, H, W), float32 of zero mean and unit variance, and labels (N,), int64."""


@dataclass(frozen=True)
class Goal:
    """What a cell's target asks for; one of the three.

    Args:
        keep: so many prunable weights.
        speedup: MACs of the dense network by those of the pruned one, channels removed.
        pattern: (n, m), n of every m neighbours.
    """

    keep: int | None = None
    speedup: float | None = None
    pattern: tuple[int, int] | None = None


class Job:
    """One cell, as a method sees it.

    Attributes:
        model: a private copy of the network in eval mode; what a method does to it reaches nobody, except on a track with
            training, where the model is part of the outcome.
        shape: of one image: channels, height, width.
        speedup: the target where channels are removed: MACs of the dense network by those of the pruned one; else None.
        pattern: (n, m) where n of every m neighbours are kept; else None.
        epochs: how many epochs of training the method has in all; 0 on a track without training.
        masks: what :meth:`train` keeps at zero: position -> boolean tensor, True where the weight is kept. Empty at first.
        channels: what :meth:`train` keeps silent: position of a group -> boolean tensor (channels,), True where the channel
            stays. Filters, biases, scales and shifts of the others are held at zero. Empty at first.
        memory: tensors that hooks of :meth:`train` remember from step to step. An interrupted training goes on from its
            model, ``masks``, ``channels``, ``memory``, ``learn`` and ``generator``: a hook must keep nothing elsewhere.
        generator: the source of all randomness, seeded by the cell's seed. It is on the CPU, whatever the device: draw
            there, then ``.to(job.device)``.
        device: where the model and the batches are.
        checkpoints: where long work without :meth:`train` may save what it has; training does so by itself.
    """

    def __init__(
        self,
        model: nn.Module,
        classifier: str,
        goal: Goal,
        *,
        train: Images,
        validation: Images,
        needs: Needs,
        generator: torch.Generator,
        training: MethodTraining | None = None,
    ) -> None:
        self.model = model.eval()
        self.speedup = goal.speedup
        self.pattern = goal.pattern
        self.shape = train.shape
        self.generator = generator
        self.checkpoints = Checkpoints()  # those of the sandbox take their place, where a run can be resumed
        self.device = next(model.parameters()).device
        self.masks: dict[int, Tensor] = {}
        self.channels: dict[int, Tensor] = {}
        self.memory: dict[str, Tensor] = {}
        self._classifier = classifier
        self._names = [name for name, _ in prunable_layers(model, classifier)]
        self._layers = [Layer(i, module) for i, (_, module) in enumerate(prunable_layers(model, classifier))]
        self._groups: list[ChannelGroup] | None = None
        if goal.speedup is None and not self._layers:
            what = "there is nothing to prune: this network has no Conv2d or Linear layer but its classifier"
            raise GridError(what, where=type(model).__name__, fix="take a network with hidden layers")
        self._keep = goal.keep
        if goal.pattern is not None:
            self._keep = sum(int(mask.sum()) for mask in self._patterned(goal.pattern).values())
        self._train = train
        self._validation = validation
        self._needs = needs
        self._training = training

    @property
    def keep(self) -> int:
        """How many prunable weights the outcome must keep, in all."""
        if self._keep is None:
            raise ContractError("this cell's target is a speedup, not a number of weights", fix="use job.keep_channels")
        return self._keep

    @property
    def total(self) -> int:
        """How many prunable weights there are."""
        return sum(layer.weight.numel() for layer in self._layers)

    @property
    def density(self) -> float:
        """:attr:`keep` as a share of the prunable weights, 0 to 1."""
        return self.keep / self.total

    def layers(self) -> list[Layer]:
        """The prunable layers by position."""
        return list(self._layers)

    def weights(self) -> Iterator[tuple[int, Tensor]]:
        """(position, weight) of every prunable layer."""
        return ((layer.position, layer.weight) for layer in self._layers)

    def groups(self) -> list[ChannelGroup]:
        """The channel groups by position: what can be removed where the target is a speedup.

        Raises:
            InvalidOutcome: the target is a speedup above 1, and the network has no channels that could go.
        """
        if self._groups is None:
            self._groups = channel_groups(self.model, self._classifier, self.shape)
        if not self._groups and (self.speedup or 1) > 1:
            raise InvalidOutcome(f"a speedup of {self.speedup:g} is out of reach: no channel of this network can be removed")
        return list(self._groups)

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

    def loss(self, batch: Batch) -> Tensor:
        """Mean cross-entropy of a batch (nats), to be differentiated; in the mode that the model is in."""
        needs = self._needs
        if not (needs.gradients and needs.labels):
            raise ContractError(
                "the method takes gradients, but its metadata says that it does not",
                fix="set needs.gradients and needs.labels to true; without true labels, use torch.autograd.grad",
            )
        return F.cross_entropy(self.model(batch[0]), batch[1])

    def loss_and_gradients(self, batch: Batch) -> tuple[float, dict[int, Tensor]]:
        """Mean cross-entropy of a batch (nats) and its gradient for every prunable weight, in eval mode."""
        self.model.eval()
        return self._differentiate(batch)

    def loss_and_gradients_by_batch(self, batch: Batch) -> tuple[float, dict[int, Tensor]]:
        """As :meth:`loss_and_gradients`, but BatchNorm takes the batch's own statistics, which it does not remember.

        For networks that were never trained, whose running statistics mean nothing.
        """
        with self.batch_statistics():
            return self._differentiate(batch)

    def _differentiate(self, batch: Batch) -> tuple[float, dict[int, Tensor]]:
        loss = self.loss(batch)
        weights = [layer.module.weight for layer in self._layers]
        gradients = torch.autograd.grad(loss, weights, allow_unused=True)
        filled = [torch.zeros_like(w) if g is None else g for w, g in zip(weights, gradients, strict=True)]
        return float(loss.detach()), dict(enumerate(filled))

    def batch_statistics(self) -> AbstractContextManager[None]:
        """Inside, BatchNorm normalises by each batch's own statistics and leaves its running ones alone."""
        return batch_statistics(self.model)

    def visit_inputs(self, images: Tensor, visit: VisitInputs) -> None:
        """Run ``images`` through the model and call ``visit(layer, inputs)`` just before each prunable layer, in order.

        A layer that the network uses several times is visited at its first use. What ``visit`` does to the layer's weight
        holds for the layers behind it, so that they see pruned inputs.
        """
        visit_inputs(self.model, self._layers, images, visit)

    def visit_channels(self, images: Tensor, visit: VisitChannels) -> None:
        """Run ``images`` through the model and call ``visit(group, slice, maps)`` wherever channels of a group pass.

        ``maps`` is (images, channels, ...): what the slice's module reads on the side ``"in"``, what it makes on the
        others. Where several layers make the channels, as around a shortcut, each is visited, and who reads them sees
        their sum. Clone what is to be kept: the network may write over it.
        """
        visit_channels(self.model, self.groups(), images, visit)

    # -- training -----------------------------------------------------------------------------------------------------

    @property
    def epochs(self) -> int:
        return self._training.epochs if self._training else 0

    @property
    def epochs_left(self) -> int:
        """How many epochs of training are not used yet."""
        return self._training.left if self._training else 0

    def train(
        self,
        epochs: int,
        *,
        schedule: tuple[int, int] | None = None,
        weights: ForwardWeights | None = None,
        penalty: Callable[[Step], Tensor] | None = None,
        after_backward: Callable[[Step], None] | None = None,
        after_step: Callable[[Step], None] | None = None,
        learn: Sequence[Tensor] = (),
    ) -> float:
        """Train the job's model by the track's recipe on all training images; what is outside ``masks`` and ``channels``
        stays zero.

        On the sparse-training track all calls together are one training of :attr:`epochs` epochs. On the iterative track
        each call goes through the recipe's schedule by itself. ``step.progress`` (0 to 1) tells hooks where it stands.

        Args:
            schedule: (first, length): go through a schedule of ``length`` epochs from epoch ``first`` on, instead of a
                whole one; for rewinding, on the iterative track.
            weights: what the forward pass uses in place of a layer's weight, from (layer, weight); differentiable.
            penalty: added to the loss of each step.
            after_backward: may read and change gradients (``layer.parameter.grad``), those of masked weights too.
            after_step: after the optimiser's step; may assign new ``job.masks[position]`` or ``job.channels[position]``.
                What comes back then is zero and without momentum; a channel learns only after it is given weights. The
                step's gradients can still be read.
            learn: tensors of the method's own, with ``requires_grad``, that are learned along, without weight decay.

        Returns:
            The mean cross-entropy over the last epoch, in nats.

        Raises:
            ContractError: the track has no training, the metadata does not say that the method uses data and labels,
                or fewer epochs are left.
        """
        if self._training is None:
            raise ContractError(
                "the method trains, but this is no track with training",
                fix="set needs.training_epochs, and stage: during, or after for the iterative track",
            )
        if not (self._needs.data and self._needs.labels):
            raise ContractError(
                "the method trains, but its metadata says that it uses no labelled data",
                fix="set needs.data and needs.labels to true",
            )
        hooks = Hooks(None, penalty, after_backward, after_step)
        return self._training.train(self, Call(epochs, schedule, weights, hooks, tuple(learn)))

    def snapshot(self) -> dict[str, Tensor]:
        """A copy of the model's whole state, for :meth:`restore`."""
        return {name: tensor.clone() for name, tensor in self.model.state_dict().items()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Put the model back to a :meth:`snapshot`; what is trained from there starts without momentum."""
        self.model.load_state_dict(state)
        if self._training is not None:
            self._training.forget()

    def initialise(self) -> None:
        """Put the model back to the weights from which its training began: those that the cell's seed gives."""
        if self._training is None:
            raise ContractError(
                "initial weights are there on tracks with training only", fix="set needs.training_epochs, and stage: after"
            )
        self.restore(self._training.initial)

    # -- outcomes -----------------------------------------------------------------------------------------------------

    def allocate(self, densities: Mapping[int, float] | None = None) -> dict[int, int]:
        """How many weights to keep per layer, summing to :attr:`keep` exactly; the same density everywhere by default."""
        return self._apportion(densities, self.keep)

    def _apportion(self, densities: Mapping[int, float] | None, keep: int) -> dict[int, int]:
        sizes = {layer.position: layer.weight.numel() for layer in self._layers}
        chosen = densities if densities is not None else dict.fromkeys(sizes, keep / self.total)
        if set(chosen) != set(sizes):
            raise InvalidOutcome(f"densities for layers {sorted(chosen)}, but the layers are {sorted(sizes)}")
        return apportion(chosen, sizes, keep)

    def keep_highest(
        self, scores: Mapping[int, Tensor], scope: Scope | Mapping[int, float] = "global", *, keep: int | None = None
    ) -> Pruned:
        """Keep the weights with the highest scores, exactly as many as the target asks for.

        Args:
            scores: position -> tensor of the weight's shape; finite.
            scope: where weights compete: ``"global"``, within each ``"layer"`` or output ``"row"`` (the same density in
                each), or position -> density, 0 to 1, to compete within layers of those densities.
            keep: how many to keep instead, on the way to the target.

        Raises:
            InvalidOutcome: a score is missing, has another shape or is not finite, or the densities miss the target.
        """
        ordered = self._checked(scores)
        keep = self.keep if keep is None else keep
        if scope == "global":
            return Pruned(keep_top_globally(ordered, keep))
        if scope in ("layer", "row"):
            within = keep_top if scope == "layer" else keep_top_by_row
            counts = self._apportion(None, keep)
        elif isinstance(scope, Mapping):
            within, counts = keep_top, self._apportion(scope, keep)
        else:
            raise ContractError(f"no scope {scope!r}", fix='"global", "layer", "row" or a density for each position')
        return Pruned({position: within(score, counts[position]) for position, score in ordered.items()})

    def keep_n_of_m(self, scores: Mapping[int, Tensor]) -> Pruned:
        """Keep the n highest-scored of every m neighbours along the input, as :attr:`pattern` says.

        Layers whose inputs cannot be divided by m stay dense.

        Raises:
            ContractError: the cell's target is no pattern.
            InvalidOutcome: as in :meth:`keep_highest`.
        """
        if self.pattern is None:
            raise ContractError("this cell's target is no pattern", fix="set division: semi-structured")
        return Pruned(self._patterned(self.pattern, self._checked(scores)))

    def _patterned(self, pattern: tuple[int, int], scores: Mapping[int, Tensor] | None = None) -> dict[int, Tensor]:
        scores = scores if scores is not None else dict(self.weights())
        return {position: keep_n_of_m(score, *pattern) for position, score in scores.items()}

    def keep_channels(
        self, scores: Mapping[int, Tensor], scope: Literal["global", "group"] = "global", *, speedup: float | None = None
    ) -> Pruned:
        """Keep the channels with the highest scores, so many that the network gets as much faster as the target asks for.

        In a network of few channels their order may miss the speedup by more than the 5 % that the grid tolerates: then as
        few as come near are kept, or go, against the order between groups; within a group never.

        Args:
            scores: position of a group -> tensor (channels,); finite.
            scope: whether channels compete everywhere, or each group keeps the same share. One of each always stays.
            speedup: to reach instead, on the way to the target.

        Raises:
            ContractError: the cell's target is no speedup.
            InvalidOutcome: a score is missing, has another shape or is not finite, or the speedup cannot be reached.
        """
        wanted = speedup if speedup is not None else self.speedup
        if wanted is None:
            raise ContractError("this cell's target is no speedup", fix="set division: structured")
        return Pruned(channels=solve(scores, self.costs(), wanted, scope))

    def without_channels(self, kept: Kept) -> nn.Module:
        """A copy of the model, in eval mode, that has only the channels of ``kept``: to see how a candidate does.

        Args:
            kept: position of a group -> boolean tensor (channels,); a group that is missing stays whole.
        """
        return remove_channels(self.model, self.groups(), kept).eval()

    def costs(self) -> Costs:
        """MACs and parameters of the network by how many channels each group keeps."""
        return channel_costs(self.model, self.shape, self.groups())

    def _checked(self, scores: Mapping[int, Tensor]) -> dict[int, Tensor]:
        return checked(scores, {layer.position: layer.weight.shape for layer in self._layers}, "layer")
