"""Finds a network's channel groups with torch-pruning's dependency graph (Fang et al. 2023), and tries each one out.

The graph follows the gradient functions of one forward pass; where it does not know an operation it supposes that
channels pass unchanged. That is why no group is believed: in a copy with random weights, removing channels must give what
silencing them gives. The groups are therefore a property of the architecture and do not depend on its weights.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from evaluator.channels.groups import ChannelGroup, Side, Slice
from evaluator.channels.surgery import Kept, remove_channels, silence
from evaluator.counting import answer
from evaluator.errors import GridError

Shape = tuple[int, int, int]

_OBSTACLES = (
    *("ConstantPadNd", "Slice", "Split", "Unbind", "CatBackward", "Stack", "Expand", "Select", "Index"),  # channels move
    *("Bmm", "ScaledDotProduct", "Softmax", "LogSoftmax", "NormBackward"),  # channels mix
    *("Sigmoid", "Hardsigmoid", "LogSigmoid", "Softplus", "Exp", "Cos"),  # silence does not stay silent
)
"""Parts of the names of gradient functions, compared without case, that no group may touch."""


def channel_groups(model: nn.Module, classifier: str, shape: Shape) -> list[ChannelGroup]:
    """The groups whose channels can each be removed without changing anything else, in the network's order.

    Left out: the logits, and channels that pass grouped convolutions, LayerNorm or GroupNorm, concatenations, attention
    heads, padded shortcuts, activations that do not keep zero at zero, or a PReLU with a slope for each channel.

    Args:
        model: neither it nor its mode is changed; the slices refer to its modules.
        classifier: name of the layer that yields the logits.
        shape: (C, H, W) of one input.

    Raises:
        GridError: the network is beyond torch-pruning's understanding.
    """
    probe = _randomised(model)
    found = [slices for nodes in _traced(probe, shape) if (slices := _as_slices(nodes, classifier)) is not None]
    order = {name: index for index, (name, _) in enumerate(model.named_modules())}
    for slices in found:
        slices.sort(key=lambda piece: (order[piece.name], piece.side != "out"))
    found.sort(key=lambda slices: next(order[piece.name] for piece in slices if piece.side == "out"))
    numbered = [ChannelGroup(i, _channels(slices[0]), tuple(slices)) for i, slices in enumerate(found)]
    sound = numbered if _holds(probe, shape, numbered) else [group for group in numbered if _holds(probe, shape, [group])]
    modules: dict[str, Any] = dict(model.named_modules())
    return [
        ChannelGroup(i, group.size, tuple(Slice(p.name, modules[p.name], p.side, p.width) for p in group.slices))
        for i, group in enumerate(sound)
    ]


def _randomised(model: nn.Module) -> nn.Module:
    """A copy on the CPU, in double precision and eval mode, with random weights under which no channel is silent."""
    probe = copy.deepcopy(model).to("cpu", torch.float64).eval().requires_grad_()
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for module in probe.modules():
            for parameter in module.parameters(recurse=False):
                noise = torch.randn(parameter.shape, generator=random, dtype=torch.float64)
                spread = parameter[0].numel() ** -0.5 if parameter.dim() > 1 else 0.2
                parameter.copy_((1.0 if _is_scale(module, parameter) else 0.0) + spread * noise)
            if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is not None:
                module.running_mean.normal_(0, 0.2, generator=random)
                module.running_var.uniform_(0.5, 2, generator=random)  # type: ignore[union-attr]
    return probe


def _is_scale(module: nn.Module, parameter: Tensor) -> bool:
    norms = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm)
    return isinstance(module, norms) and parameter is module.weight


# -- the graph ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Node:
    """What a group of the graph touches: a module by its name, or an operation or loose parameter, whose name is empty.

    ``makes`` tells whether its outputs or its inputs are meant, ``channels`` which of them, in ascending order.
    """

    name: str
    what: Any
    makes: bool
    channels: list[int]


_PATIENCE = 20
"""How many times dependencies may be followed for each node of the graph; DenseNet-201 asks for 6, most for less than 2."""


class _Watched(list[Any]):
    """The dependencies of a node, which tell ``step`` whenever they are gone through."""

    def __init__(self, dependencies: list[Any], step: Callable[[], None]) -> None:
        super().__init__(dependencies)
        self._step = step

    def __iter__(self) -> Iterator[Any]:
        self._step()
        return super().__iter__()


def _traced(model: nn.Module, shape: Shape) -> list[list[_Node]]:
    """Every group of the dependency graph; the first node of each makes the group's channels."""
    import torch_pruning

    names: dict[object, str] = {module: name for name, module in model.named_modules()}
    graph = torch_pruning.DependencyGraph()

    def node(dependency: Any, channels: list[int]) -> _Node:
        what = dependency.target.module
        makes = graph.is_out_channel_pruning_fn(dependency.handler)
        return _Node(names.get(what, ""), what, makes, sorted(channels))

    steps = 0

    def step() -> None:
        nonlocal steps
        steps += 1
        if steps > _PATIENCE * len(graph.module2node):  # as where a part of the channels is added to all of them
            raise RuntimeError("a group has no end")

    found = []
    try:
        with torch.enable_grad():
            graph.build_dependency(model, torch.zeros(1, *shape, dtype=torch.float64), verbose=False)
            for entry in graph.module2node.values():
                entry.dependencies = _Watched(entry.dependencies, step)
            for group in graph.get_all_groups(root_module_types=(nn.Conv2d, nn.Linear)):
                found.append([node(dependency, channels) for dependency, channels in group])
                steps = 0
    except Exception as error:  # it fails in many ways, e.g. divides by zero where channels are shuffled
        message = f"torch-pruning cannot follow the channels of this network ({type(error).__name__}: {error})"
        raise GridError(message, where=type(model).__name__, fix="leave it out of the structured division") from error
    return found


def _as_slices(nodes: list[_Node], classifier: str) -> list[Slice] | None:
    """None where something stands in the way of removing the channels."""
    size = len(nodes[0].channels)
    slices: dict[tuple[str, Side], Slice] = {}
    for node in nodes:
        if not node.name:
            if _is_obstacle(node.what):
                return None
            continue
        if isinstance(node.what, nn.PReLU) and node.what.num_parameters == 1:
            continue
        side = _side(node.what, node.makes)
        if side is None or (node.name == classifier and side != "in"):
            return None
        piece = Slice(node.name, node.what, side, max(len(node.channels) // size, 1) if side == "in" else 1)
        if _channels(piece) != size or node.channels != list(range(size * piece.width)):
            return None
        slices[node.name, side] = piece
    return list(slices.values()) if any(side == "out" for _, side in slices) else None


def _is_obstacle(operation: Any) -> bool:
    from torch_pruning import ops

    if isinstance(operation, ops._ReshapeOp):
        return False
    if not isinstance(operation, ops._ElementWiseOp):  # the logits, a loose parameter, channels cut or strung together
        return True
    name = str(operation._grad_fn).lower()
    return any(part.lower() in name for part in _OBSTACLES)


def _side(module: nn.Module, makes: bool) -> Side | None:
    """None for a module whose channels cannot be removed."""
    if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
        return "norm" if module.affine else None
    if isinstance(module, nn.Conv2d) and module.groups > 1:
        return "through" if module.groups == module.in_channels == module.out_channels else None
    if isinstance(module, nn.Conv2d | nn.Linear):
        return "out" if makes else "in"
    return None


def _channels(piece: Slice) -> int:
    """How many channels the layer has on the slice's side."""
    return piece.weight.shape[1 if piece.side == "in" else 0] // piece.width


# -- the trial ------------------------------------------------------------------------------------------------------------


def _holds(probe: nn.Module, shape: Shape, groups: list[ChannelGroup]) -> bool:
    """Whether the network without a random half of each group computes what it does with that half silent.

    Tried with either half, so that every channel goes once and every channel stays once.
    """
    random = torch.Generator().manual_seed(1)
    half = {g.position: torch.randperm(g.size, generator=random) < g.size // 2 for g in groups if g.size > 1}
    images = torch.randn(2, *shape, generator=random, dtype=torch.float64)
    return all(_agree(probe, groups, kept, images) for kept in (half, {p: ~mask for p, mask in half.items()}))


def _agree(probe: nn.Module, groups: list[ChannelGroup], kept: Kept, images: Tensor) -> bool:
    silent = copy.deepcopy(probe)
    silence(silent, groups, kept)
    try:
        with torch.no_grad():
            smaller: Tensor = remove_channels(probe, groups, kept)(images)
            expected = answer(silent, images)
    except (RuntimeError, ValueError, AssertionError):  # shapes that no longer fit together
        return False
    answers = not torch.allclose(expected[1:], expected[:1])  # a network that is dead proves nothing
    return answers and smaller.shape == expected.shape and torch.allclose(smaller, expected, rtol=1e-8, atol=1e-8)
