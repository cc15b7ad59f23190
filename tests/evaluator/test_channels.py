"""Channel groups: what is removed is what is silenced, costs are what counting says, and targets are met."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from evaluator.channels import (
    channel_costs,
    channel_groups,
    remove_channels,
    silence,
)
from evaluator.counting import count
from evaluator.errors import GridError, InvalidOutcome
from tests.evaluator.channel_networks import BUILD, SMALL, Shape, costs, drawn, groups, network, numbers, vision
from tests.evaluator.grids import GRID


@pytest.fixture(scope="module", autouse=True)
def _forget() -> Iterator[None]:
    """The networks take gigabytes, and the tests after these none of them."""
    yield
    for kept in (network, groups, costs):
        kept.cache_clear()


# -- what the groups are --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("digits-mlp", 2), ("lenet-5-caffe", 3), ("resnet-20", 9), ("resnet-56", 27), ("vgg-cifar", 13), ("transformer", 2),
        ("resnet18", 4 + 8), ("resnet50", 1 + 4 + 2 * 16), ("mobilenet_v2", 25), ("vgg16_bn", 13 + 2),
    ],
)  # fmt: skip
def test_every_group_is_found(name: str, number: int) -> None:
    """ResNets of torchvision: the stem and each stage's residual stream, and what lies within blocks."""
    found = groups(name)
    assert [group.position for group in found] == list(range(number))
    order = [module for module, _ in network(name)[0].named_modules()]
    first = [order.index(next(piece.name for piece in group.slices if piece.side == "out")) for group in found]
    assert first == sorted(first)


@pytest.mark.parametrize("name", sorted(BUILD))
def test_the_logits_the_input_and_mixed_channels_are_in_no_group(name: str) -> None:
    model, classifier, _ = network(name)
    modules = dict(model.named_modules())
    places = [(piece.name, piece.side) for group in groups(name) for piece in group.slices]
    assert len(places) == len(set(places))
    assert (classifier, "out") not in places
    assert next(module for module, kind in modules.items() if isinstance(kind, nn.Conv2d | nn.Linear)) not in [
        place for place, side in places if side == "in"
    ]
    for group in groups(name):
        for piece in group.slices:
            assert piece.module is modules[piece.name]
            if isinstance(piece.module, nn.Conv2d) and piece.module.groups > 1:
                assert piece.side == "through"


def test_of_a_block_with_a_padded_shortcut_only_the_inner_channels_are_a_group() -> None:
    for group in groups("resnet-20"):
        (maker,) = [piece.name for piece in group.slices if piece.side == "out"]
        block = maker.removesuffix("conv1")
        assert [(p.name, p.side) for p in group.slices] == [
            (f"{block}conv1", "out"), (f"{block}bn1", "norm"), (f"{block}conv2", "in"),
        ]  # fmt: skip


def test_of_a_transformer_the_hidden_channels_of_the_mlps_are_the_groups() -> None:
    found = [[(piece.name, piece.side) for piece in group.slices] for group in groups("transformer")]
    assert found == [[(f"blocks.{i}.up", "out"), (f"blocks.{i}.down", "in")] for i in range(2)]


@pytest.mark.parametrize(
    "between",
    [nn.Sigmoid(), nn.Hardsigmoid(), nn.Softplus(), nn.Hardtanh(1, 2), nn.GroupNorm(2, 8), nn.InstanceNorm2d(8),
     nn.PixelShuffle(2), nn.PReLU(8), nn.BatchNorm2d(8, affine=False), nn.Softmax2d(), nn.Conv2d(8, 8, 1, groups=2)],
    ids=lambda module: type(module).__name__,
)  # fmt: skip
def test_channels_that_cannot_simply_be_removed_are_left_out(between: nn.Module) -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), between, nn.LazyConv2d(6, 1), nn.ReLU(), nn.Flatten(), nn.LazyLinear(2))
    model(torch.zeros(2, 3, 6, 6))
    (group,) = channel_groups(model, "5", (3, 6, 6))
    assert [(piece.name, piece.side) for piece in group.slices] == [("2", "out"), ("5", "in")]


@pytest.mark.parametrize(
    "between",
    [nn.PReLU(), nn.LeakyReLU(), nn.ReLU6(), nn.ELU(), nn.SiLU(), nn.GELU(), nn.Tanh(), nn.Hardswish(), nn.Dropout(),
     nn.AvgPool2d(2), nn.ReflectionPad2d(1)],
    ids=lambda module: type(module).__name__,
)  # fmt: skip
def test_channels_pass_what_treats_them_alike_and_keeps_zero(between: nn.Module) -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), between, nn.LazyConv2d(6, 1), nn.ReLU(), nn.Flatten(), nn.LazyLinear(2)).eval()
    model(torch.zeros(2, 3, 6, 6))
    first, _ = channel_groups(model, "5", (3, 6, 6))
    assert [(piece.name, piece.side) for piece in first.slices] == [("0", "out"), ("2", "in")]


def test_what_the_graph_misunderstands_is_left_out_by_the_trial() -> None:
    """Adding one is an addition like any other to the graph; and tokens are flattened with the channels last."""

    class Shifted(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            y = self[0](x) + 1
            tokens = torch.relu(self[2](torch.relu(self[1](y)).flatten(2).mT))
            return self[3](tokens.flatten(1))

    model = Shifted(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 6, 1), nn.Linear(6, 4), nn.Linear(4 * 9, 2))
    found = channel_groups(model, "3", (3, 3, 3))
    assert [group.slices[0].name for group in found] == ["1"]


@pytest.mark.parametrize("special", range(4))
def test_a_channel_that_is_read_by_its_number_is_found_whichever_it_is(special: int) -> None:
    """The graph does not see it; each half of the channels is tried, so that every channel goes once."""

    class Reads(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            y = torch.relu(self[0](x)).mean((2, 3))
            weight = torch.zeros(y.shape[1], 1, dtype=y.dtype)
            weight[min(special, len(weight) - 1)] = 1
            return self[2](torch.relu(self[1](y))) + y.detach() @ weight

    model = Reads(nn.Conv2d(3, 4, 1), nn.Linear(4, 6), nn.Linear(6, 2))
    assert [[p.name for p in group.slices] for group in channel_groups(model, "2", (3, 3, 3))] == [["1", "2"]]


def test_a_network_that_the_graph_cannot_follow_is_refused() -> None:
    with pytest.raises(GridError, match="cannot follow"):
        channel_groups(vision("shufflenet_v2_x0_5").eval(), "fc", (3, 64, 64))


def test_groups_depend_on_the_architecture_alone_and_leave_the_model_as_it_was() -> None:
    model = copy.deepcopy(network("residual")[0]).train().requires_grad_(False)
    nn.init.zeros_(model.bn2.weight)
    before = copy.deepcopy(model.state_dict())
    with torch.no_grad():
        found = channel_groups(model, "classifier", (3, 6, 6))
    shapes = [[(p.name, p.side, p.width) for p in group.slices] for group in found]
    assert shapes == [[(p.name, p.side, p.width) for p in group.slices] for group in groups("residual")]
    assert model.training
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_weights_are_arranged_by_channel() -> None:
    conv2, linear1 = (network("lenet-5-caffe")[0].get_submodule(name) for name in ("conv2", "linear1"))
    (filters,), (readers,) = groups("lenet-5-caffe")[1].filters, groups("lenet-5-caffe")[1].readers
    assert torch.equal(filters, conv2.weight.flatten(1))
    assert torch.equal(readers[3], linear1.weight[:, 48:64].flatten())
    assert filters.data_ptr() == conv2.weight.data_ptr()
    (columns,) = groups("lenet-5-caffe")[0].readers
    assert torch.equal(columns[7], conv2.weight[:, 7].flatten())
    stem = groups("residual")[0]
    assert [reader.shape for reader in stem.readers] == [(6, 90), (6, 10)]
    assert torch.equal(stem.scales[0], network("residual")[0].stem[1].weight)
    gradient = torch.randn(500, 800)
    assert torch.equal(groups("lenet-5-caffe")[1].slices[1].by_channel(gradient)[49], gradient[:, 784:].flatten())


# -- removing and silencing -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(BUILD))
def test_removing_channels_is_silencing_them(name: str) -> None:
    model, _, shape = network(name)
    kept = drawn(name, 1)
    smaller, silent = remove_channels(model, groups(name), kept), copy.deepcopy(model)
    silence(silent, groups(name), kept)
    images = torch.randn(2, *shape, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        removed, silenced, dense = smaller(images), silent(images), model(images)
    scale = max(float(silenced.abs().max()), 1)
    assert float((removed - silenced).abs().max()) < 1e-5 * scale
    assert not torch.allclose(silenced, dense)


@pytest.mark.parametrize("name", ["residual", "depthwise"])
def test_silence_and_absence_learn_alike_in_train_mode(name: str) -> None:
    """Batch statistics of one channel do not depend on another, so gradients agree too."""
    model, _, shape = copy.deepcopy(network(name))
    kept = {0: torch.arange(groups(name)[0].size) % 2 == 0}
    smaller = remove_channels(model, groups(name), kept).train()
    silence(model, groups(name), kept)
    images = torch.randn(4, *shape, generator=torch.Generator().manual_seed(2))
    for network_ in (smaller, model.train()):
        network_(images).square().sum().backward()
    assert torch.allclose(smaller.classifier.weight.grad, model.classifier.weight.grad, atol=1e-4)


def test_materialised_layers_tell_their_new_sizes() -> None:
    model, classifier, shape = network("depthwise")
    smaller = remove_channels(model, channel_groups(model, classifier, shape), {0: torch.arange(12) < 5})
    convs = [smaller.get_submodule(name) for name in "036"]
    assert [(conv.in_channels, conv.out_channels, conv.groups) for conv in convs] == [(3, 5, 1), (5, 5, 5), (5, 16, 1)]
    assert smaller.get_submodule("1").num_features == 5
    assert model.get_submodule("0").out_channels == 12


@pytest.mark.parametrize(
    "kept",
    [{9: torch.ones(30) > 0}, {0: torch.ones(30)}, {0: torch.ones(20) > 0}, {0: torch.zeros(30) > 0}],
    ids=["no such group", "not boolean", "wrong size", "nothing kept"],
)
def test_masks_that_are_no_outcome_are_refused(kept: dict[int, Tensor]) -> None:
    model, *_ = network("linear")
    for change in (remove_channels, silence):
        with pytest.raises(InvalidOutcome):
            change(copy.deepcopy(model), groups("linear"), kept)


# -- costs ----------------------------------------------------------------------------------------------------------------


def observed(model: nn.Module, shape: Shape) -> tuple[int, int]:
    """MACs and parameters counted otherwise than ours: at each layer that runs, from the size of what it reads."""
    macs: list[int] = []

    def look(layer: nn.Module, inputs: tuple[Tensor], _: Tensor) -> None:
        if isinstance(layer, nn.Linear):
            macs.append(inputs[0].numel() // layer.in_features * layer.in_features * layer.out_features)
        elif isinstance(layer, nn.Conv2d):
            macs.append(layer.out_channels * (layer.in_channels // layer.groups))
            sides = zip(inputs[0].shape[2:], layer.kernel_size, layer.stride, layer.padding, layer.dilation, strict=True)
            for side, kernel, stride, padding, dilation in sides:
                places = (side + 2 * int(padding) - dilation * (kernel - 1) - 1) // stride + 1
                macs[-1] *= kernel * places

    hooks = [module.register_forward_hook(look) for module in model.modules()]
    with torch.no_grad():
        model.eval()(torch.zeros(1, *shape))
    for hook in hooks:
        hook.remove()
    return sum(macs), sum(parameter.numel() for parameter in model.parameters())


def assert_costs_are_counted(name: str, seed: int) -> None:
    model, classifier, shape = network(name)
    kept = drawn(name, seed)
    small = remove_channels(model, groups(name), kept)
    counts = count(small, classifier, shape, {})
    assert (counts.macs, counts.parameters) == observed(small, shape)
    assert costs(name).macs(numbers(kept)) == counts.macs == counts.macs_kept
    assert costs(name).parameters(numbers(kept)) == counts.parameters == counts.kept


@pytest.mark.parametrize("name", ["resnet-56", "vgg-cifar", "resnet18", "resnet50", "mobilenet_v2"])
def test_costs_are_what_counting_says(name: str) -> None:
    assert_costs_are_counted(name, 3)


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(SMALL), st.integers(0, 2**32 - 1))
def test_costs_are_what_counting_says_whatever_is_kept(name: str, seed: int) -> None:
    assert_costs_are_counted(name, seed)


def test_frozen_parameters_do_not_count() -> None:
    model = copy.deepcopy(network("plain")[0])
    model.get_submodule("0").weight.requires_grad_(False)
    frozen = channel_costs(model, (3, 6, 6), groups("plain"))
    assert frozen.parameters({}) == sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert frozen.macs({}) == costs("plain").macs({})


@pytest.mark.parametrize(("share", "speedup"), [(0.3, 1.452), (0.5, 1.993), (0.7, 3.593)])
def test_uniform_pruning_of_resnet_56_gives_the_published_speedups(share: float, speedup: float) -> None:
    """With this share of the first convolution's filters removed in each block, rounded up (Wang et al. 2023)."""
    kept = {group.position: group.size - math.ceil(share * group.size) for group in groups("resnet-56")}
    assert round(costs("resnet-56").speedup(kept), 3) == speedup


@pytest.mark.parametrize("name", sorted(GRID.architectures))
def test_the_grid_states_the_highest_speedup_that_channels_allow(name: str) -> None:
    """Rounded down, so that a target at the very end is not taken for feasible."""
    assert GRID.architectures[name].highest_speedup == math.floor(costs(name).highest_speedup * 1000) / 1000
