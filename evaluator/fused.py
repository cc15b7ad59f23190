"""Networks of one shape as a single wide one, which trains them all at once (horizontal fusion: Wang et al. 2021, HFTA).

The channels of each lie behind those of the one before it: convolutions are grouped, BatchNorm is only wider, and linear
layers multiply by as many matrices. No layer mixes two networks, and their losses are added, so that each gets its own
gradients. A GPU, which small networks leave mostly idle, then has larger kernels and fewer of them. Compiled, what lies
between two convolutions is one kernel.
"""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evaluator.data.prepare import cache_folder
from evaluator.grid.schema import GpuForm
from evaluator.memory import ran_out
from evaluator.networks.resnet import BasicBlock, PaddedShortcut, ResNet
from evaluator.training import Trainee

FEWEST = 4
"""Two of ResNet-20 take an H200 longer as a wide network than on a stream each, four do not."""
COMPILER = "inductor"
NOT_COMPILED = "which could not be compiled"
NOT_WIDE = "trained by itself, not in a wide network"
APART = 0.5
"""How far the gradients of one batch may be from the usual ones, of their length: those of a wide network in every network,
those that a compiler has made in the median one. It rounds elsewhere: of ResNet-20 gradients in bfloat16 are 0.02 to 0.26
from those in float32, but where 15 of 16 weights went at random 0.7 and more."""
SHAPES = 64
"""How many shapes of a network may be compiled in one process; beyond 8 PyTorch would give up."""


def in_form(
    form: GpuForm, trainees: Sequence[Trainee], sample: Callable[[], tuple[Tensor, Tensor]], compiler: str = COMPILER
) -> list[Trainee]:
    """What is trained in their place: one wide network for all of one shape, where the form says so and they are enough.

    What is trained are their networks' own tensors all the same. A wide network is tried on a batch, as is what a compiler
    makes of it: where it gives the networks other gradients than usual they are trained by themselves, or not compiled.

    Args:
        sample: a batch of training, images and labels, to try and to compile with.
    """
    if form == "streams":
        return [*trainees]
    together: list[Trainee] = []
    for trainee in fuse(trainees):
        if not isinstance(trainee, Fused):
            together.append(trainee)
        elif trainee.agrees(*(batch := sample())):
            if form == "compiled":
                trainee.compile(*batch, compiler)
            together.append(trainee)
        else:
            together += trainee.parted()
    return together


def fuse(trainees: Sequence[Trainee]) -> list[Trainee]:
    """One trainee in the place of all that are alike, if they are enough, and the others."""
    alike: dict[Hashable, list[Trainee]] = {}
    for trainee in trainees:
        alike.setdefault(_kind(trainee), []).append(trainee)
    together: list[Trainee] = []
    for same in alike.values():
        together += [Fused(same)] if len(same) >= FEWEST else same
    return together


def _kind(trainee: Trainee) -> Hashable:
    """What networks that can be fused have in common; where one cannot be, nothing that another has."""
    if not trainee.plain or not all(fits(module) for module in trainee.model.modules()):
        return id(trainee)
    shapes = tuple((name, tensor.shape) for name, tensor in trainee.model.state_dict().items())
    return repr(trainee.recipe), trainee.memory_format, shapes


def fits(module: nn.Module) -> bool:
    """Whether it is one of the layers of which wide networks are made."""
    plain = not isinstance(module, nn.Conv2d) or (module.groups == 1 and module.padding_mode == "zeros")
    return plain and type(module) in CHANNELWISE | WIDE.keys()


class Fused(Trainee):
    """Networks of one shape in training. Their tensors become parts of its own, which stay as long as any of them does.

    Args:
        trainees: of one recipe and one memory format, before their first step; each keeps its masks.
    """

    def __init__(self, trainees: Sequence[Trainee]) -> None:
        first, models = trainees[0], [trainee.model for trainee in trainees]
        wide = copy.deepcopy(first.model)
        for name, module in first.model.named_modules():
            if type(module) in WIDE:
                wide.set_submodule(name, WIDE[type(module)]([model.get_submodule(name) for model in models]))
        states = [model.state_dict(keep_vars=True) for model in models]
        masks = {
            parameter: torch.cat([trainee.mask_of(state[name]) for trainee, state in zip(trainees, states, strict=True)])
            for name, parameter in wide.named_parameters()
        }
        masks = {parameter: mask for parameter, mask in masks.items() if not bool(mask.all())}
        super().__init__(wide, first.recipe, masks=masks, memory_format=first.memory_format)
        self.trainees = trainees
        self.loss_sum = torch.zeros(len(trainees), device=self.loss_sum.device)
        for trainee, own in zip(trainees, self.loss_sum, strict=True):
            trainee.loss_sum = own
        for name, whole in wide.state_dict().items():
            for state, own in zip(states, whole.chunk(len(models)), strict=True):
                state[name].data = own.view_as(state[name]) if state[name].dim() == 0 else own
        self._say("")

    def _say(self, how: str) -> None:
        for trainee in (self, *self.trainees):
            trainee.form = f"trained as one of {len(self.trainees)} networks in a wide one{how}"

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Of (N, networks * classes) logits and (N,) labels, the mean loss of each network."""
        number = len(self.loss_sum)
        of_each = labels[:, None].expand(-1, number)
        losses = F.cross_entropy(logits.reshape(of_each.numel(), -1), of_each.flatten(), reduction="none")
        return losses.view_as(of_each).mean(0)

    def agrees(self, images: Tensor, labels: Tensor) -> bool:
        """Whether a batch gives the networks the gradients that they have alone; if not, the ``form`` of each says so."""
        wrong = self._tried(lambda: self.from_alone(images, labels), torch.max)
        if wrong:
            for trainee in self.trainees:
                trainee.form = f"{NOT_WIDE} ({wrong})"
        return not wrong

    def from_alone(self, images: Tensor, labels: Tensor) -> Tensor:
        """How far the gradients of a batch are from those of each network alone; see :func:`distances`."""
        alone = torch.cat([_flat(trainee, images, labels, trainee.model) for trainee in self.trainees])
        return distances(self._gradients(images, labels, self.model), alone)

    def compile(self, images: Tensor, labels: Tensor, compiler: str = COMPILER) -> None:
        """Compile forward and backward pass for batches as large as this one; each network's ``form`` says whether it could.

        Without a C compiler, say, or where it yields other gradients, the wide network stays as it is.
        """
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_folder() / "compiled"))  # which is read at import
        import torch._dynamo
        import torch._inductor.config

        torch._dynamo.config.recompile_limit = SHAPES
        torch._inductor.config.deterministic = True  # no kernel is chosen by the clock
        compiled = torch.compile(self.model, backend=compiler, dynamic=False, fullgraph=True)
        gradients = partial(self._gradients, images, labels)
        if wrong := self._tried(lambda: distances(gradients(compiled), gradients(self.model)), _typical):
            self._say(f", {NOT_COMPILED} ({wrong})")
            return
        size, model = len(images), self.model
        self._forward = lambda x: compiled(x) if len(x) == size else model(x)
        self._say(f", compiled by {compiler}")

    def parted(self) -> Sequence[Trainee]:
        """The networks, with memory of their own again."""
        for trainee in self.trainees:
            trainee.loss_sum = torch.zeros_like(trainee.loss_sum)
            for tensor in trainee.model.state_dict(keep_vars=True).values():
                tensor.data = tensor.data.clone()
        return self.trainees

    def _tried(self, measured: Callable[[], Tensor], which: Callable[[Tensor], Tensor]) -> str:
        """What is wrong with the distances of gradients, if anything; the networks are then as before.

        Args:
            which: of them has to be small enough.
        """
        before = {name: tensor.clone() for name, tensor in self.model.named_buffers()}
        try:
            apart = float(which(measured()))
        except Exception as error:
            said = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            if ran_out(error, said):
                raise
            return said
        finally:
            for trainee in (self, *self.trainees):
                trainee.optimizer.zero_grad(set_to_none=True)
            with torch.no_grad():
                for name, tensor in self.model.named_buffers():
                    tensor.copy_(before[name])
        return "" if apart < APART else f"its gradients are {apart:.2g} of their length from the usual ones"

    def _gradients(self, images: Tensor, labels: Tensor, forward: Callable[[Tensor], Tensor]) -> Tensor:
        return _flat(self, images, labels, forward, len(self.trainees))


def distances(mine: Tensor, usual: Tensor) -> Tensor:
    """How far the gradients of each network are from the usual ones, of their length; of (networks, parameters of each).

    Networks whose usual gradients are no numbers are left out; others that have none are infinitely far.
    """
    known = usual.isfinite().all(dim=1)
    if not bool(known.any()):
        return usual.new_zeros(1)
    mine, usual = mine[known], usual[known]
    apart = (mine - usual).norm(dim=1) / usual.norm(dim=1)
    return torch.where((mine == usual).all(dim=1), 0.0, apart).nan_to_num(math.inf, posinf=math.inf)


def _typical(apart: Tensor) -> Tensor:
    """The median, unless one is infinite: rounding makes no number of that."""
    return apart.max() if bool(apart.isinf().any()) else apart.median()


def _flat(trainee: Trainee, images: Tensor, labels: Tensor, forward: Callable[[Tensor], Tensor], number: int = 1) -> Tensor:
    """The gradients of ``number`` networks, (number, parameters of each)."""
    trainee.gradients(images, labels, forward)
    return torch.cat([cast(Tensor, p.grad).reshape(number, -1) for p in trainee.model.parameters()], dim=1)


class _Layers(nn.Module):
    """Weights and biases of layers of one shape."""

    def __init__(self, layers: Sequence[Any]) -> None:
        super().__init__()
        self.number = len(layers)
        self.weight = nn.Parameter(torch.cat([layer.weight.detach() for layer in layers]))
        biases = [layer.bias.detach() for layer in layers if layer.bias is not None]
        self.bias = nn.Parameter(torch.cat(biases)) if biases else None


class _Convolutions(_Layers):
    def __init__(self, layers: Sequence[nn.Conv2d]) -> None:
        super().__init__(layers)
        like = layers[0]
        self.stride, self.padding, self.dilation = like.stride, like.padding, like.dilation

    def forward(self, x: Tensor) -> Tensor:
        groups = x.shape[1] // self.weight.shape[1]  # a single one for the images, which all networks have in common
        return F.conv2d(x, self.weight, self.bias, self.stride, self.padding, self.dilation, groups)


class _Linears(_Layers):
    def forward(self, x: Tensor) -> Tensor:
        if x.shape[1] == self.weight.shape[1]:
            return F.linear(x, self.weight, self.bias)
        each = x.reshape(len(x), self.number, -1).transpose(0, 1)
        weights = self.weight.view(self.number, -1, self.weight.shape[1]).mT
        if self.bias is None:
            y = torch.bmm(each, weights)
        else:
            y = torch.baddbmm(self.bias.view(self.number, 1, -1), each, weights)
        return y.transpose(0, 1).flatten(1)


class _BatchNorms(nn.BatchNorm2d):
    def __init__(self, layers: Sequence[nn.BatchNorm2d]) -> None:
        super().__init__(len(layers) * layers[0].num_features, layers[0].eps, layers[0].momentum)
        for name in ("weight", "bias"):
            setattr(self, name, nn.Parameter(torch.cat([getattr(layer, name).detach() for layer in layers])))
        for name in ("running_mean", "running_var"):
            setattr(self, name, torch.cat([getattr(layer, name) for layer in layers]))
        self.num_batches_tracked = torch.stack([cast(Tensor, layer.num_batches_tracked) for layer in layers])


class _Shortcuts(nn.Module):
    """Zeros around the channels of each network."""

    def __init__(self, shortcuts: Sequence[PaddedShortcut]) -> None:
        super().__init__()
        self.number, self.stride, self.padding = len(shortcuts), shortcuts[0].stride, shortcuts[0].padding

    def forward(self, x: Tensor) -> Tensor:
        pixels = x[:, :, :: self.stride, :: self.stride].permute(0, 2, 3, 1)
        each = pixels.reshape(*pixels.shape[:3], self.number, -1)
        return F.pad(each, (self.padding, self.padding)).flatten(3).permute(0, 3, 1, 2)


WIDE: dict[type[nn.Module], Callable[[Any], nn.Module]] = {
    nn.Conv2d: _Convolutions,
    nn.Linear: _Linears,
    nn.BatchNorm2d: _BatchNorms,
    PaddedShortcut: _Shortcuts,
}
"""Layers whose channels are not all treated alike, and what takes the place of several."""

CHANNELWISE = frozenset(
    {nn.Sequential, ResNet, BasicBlock, nn.ReLU, nn.Identity, nn.Flatten, nn.MaxPool2d, nn.AdaptiveAvgPool2d}
)
"""Modules that do the same to any number of channels."""
