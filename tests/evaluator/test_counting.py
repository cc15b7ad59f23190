"""Counts against figures derived by hand or published (protocol, section 1)."""

from __future__ import annotations

import functools
from typing import NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from evaluator.counting import count, weight_uses
from evaluator.errors import GridError
from evaluator.networks import ARCHITECTURES, architecture, prunable_layers
from evaluator.networks.vit import VisionTransformer
from evaluator.records import Counts
from tests.evaluator.grids import GRID

LENET_300_100 = 784 * 300 + 300 + 300 * 100 + 100 + 100 * 10 + 10
LENET_5 = (25 * 20 + 20) + (20 * 25 * 50 + 50) + (800 * 500 + 500) + (500 * 10 + 10)
VGG_16_CONVOLUTIONS = [(3, 64, 32), (64, 64, 32), (64, 128, 16), (128, 128, 16), (128, 256, 8), *2 * [(256, 256, 8)],
                       (256, 512, 4), *2 * [(512, 512, 4)], *3 * [(512, 512, 2)]]  # fmt: skip
VGG_19_CONVOLUTIONS = [*VGG_16_CONVOLUTIONS, (256, 256, 8), (512, 512, 4), (512, 512, 2)]
"""(inputs, outputs, side of the picture) of each 3x3 convolution; the three more of VGG-19 are in its last three blocks."""
VIT_LAYER = 4 * 768 * 768 + 2 * 768 * 3072


def vgg(convolutions: list[tuple[int, int, int]], classes: int) -> tuple[int, int]:
    """Parameters and MACs: a convolution has no bias, its BatchNorm two parameters a channel."""
    parameters = sum(9 * i * o + 2 * o for i, o, _ in convolutions) + 512 * classes + classes
    return parameters, sum(9 * i * o * side**2 for i, o, side in convolutions) + 512 * classes


def resnet(blocks: int, classes: int) -> tuple[int, int]:
    """Parameters and MACs of a CIFAR ResNet with ``blocks`` blocks of two convolutions in each of three stages."""
    convolutions = [(3, 16, 32), *2 * blocks * [(16, 16, 32)]]
    for inputs, outputs, side in ((16, 32, 16), (32, 64, 8)):
        convolutions += [(inputs, outputs, side), *(2 * blocks - 1) * [(outputs, outputs, side)]]
    parameters = sum(9 * i * o + 2 * o for i, o, _ in convolutions) + 64 * classes + classes
    return parameters, sum(9 * i * o * side**2 for i, o, side in convolutions) + 64 * classes


class Convolution(NamedTuple):
    """One without bias, and the BatchNorm behind it; ``side`` of the picture that it makes."""

    inputs: int
    outputs: int
    kernel: int
    side: int
    groups: int = 1

    @property
    def weights(self) -> int:
        return self.kernel**2 * self.inputs // self.groups * self.outputs


def resnet_18() -> list[Convolution]:
    """Four stages of two blocks of two 3x3 convolutions; but in the first, a 1x1 convolution is the first shortcut."""
    made = [Convolution(3, 64, 7, 112)]
    for before, width, side in ((64, 64, 56), (64, 128, 28), (128, 256, 14), (256, 512, 7)):
        made += [Convolution(before, width, 3, side), *3 * [Convolution(width, width, 3, side)]]
        made += [Convolution(before, width, 1, side)] if before != width else []
    return made


def resnet_50() -> list[Convolution]:
    """Stages of 3, 4, 6 and 3 bottlenecks; the first of each halves the picture in its 3x3 convolution."""
    made, before, above = [Convolution(3, 64, 7, 112)], 64, 56
    for width, blocks, side in ((64, 3, 56), (128, 4, 28), (256, 6, 14), (512, 3, 7)):
        middle = [Convolution(width, width, 3, side), Convolution(width, 4 * width, 1, side)]
        made += [Convolution(before, width, 1, above), *middle, Convolution(before, 4 * width, 1, side)]
        made += (blocks - 1) * [Convolution(4 * width, width, 1, side), *middle]
        before, above = 4 * width, side
    return made


def mobilenet_v2() -> list[Convolution]:
    """Table 2 of Sandler et al. 2018: widen by a factor (in all blocks but the first), 3x3 for each channel, narrow."""
    made, before, side = [Convolution(3, 32, 3, 112)], 32, 112
    table = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
    for factor, width, blocks, first_stride in table:
        for stride in (first_stride, *(blocks - 1) * [1]):
            wide = factor * before
            made += [Convolution(before, wide, 1, side)] if factor > 1 else []
            side //= stride
            made += [Convolution(wide, wide, 3, side, groups=wide), Convolution(wide, width, 1, side)]
            before = width
    return [*made, Convolution(320, 1280, 1, 7)]


@functools.cache
def dense(name: str) -> Counts:
    """Of a network of the grid; those for ImageNet take their time."""
    kind = architecture(name)
    return count(kind.build(), kind.classifier, kind.shape, {})


LENET_5_MACS = 25 * 20 * 24 * 24 + 20 * 25 * 50 * 8 * 8 + 800 * 500 + 500 * 10


@pytest.mark.parametrize(
    ("name", "parameters", "macs"),
    [
        ("resnet-20", 269_722, 40_551_040),
        ("resnet-56", 853_018, 125_485_696),
        ("resnet-56-100", *resnet(9, 100)),
        ("resnet-110", *resnet(18, 10)),
        ("vgg-16-bn", *vgg(VGG_16_CONVOLUTIONS, 10)),
        ("vgg-19-bn-100", *vgg(VGG_19_CONVOLUTIONS, 100)),
        ("vit-b-16", 86_567_656, 768 * 3 * 16**2 * 196 + 12 * VIT_LAYER * 197 + 768 * 1000),
        ("lenet-300-100", LENET_300_100, 784 * 300 + 300 * 100 + 100 * 10),
        ("lenet-5-caffe", LENET_5, LENET_5_MACS),
    ],
)
def test_dense_counts_are_the_published_ones(name: str, parameters: int, macs: int) -> None:
    counts = dense(name)
    assert (counts.parameters, counts.macs) == (parameters, macs)
    assert (counts.kept, counts.effective, counts.macs_kept) == (parameters, parameters, macs)
    assert counts.compression == counts.speedup == 1
    assert not counts.collapsed


@pytest.mark.parametrize("name", sorted(GRID.architectures))
def test_the_grid_states_the_counts_that_the_code_has(name: str) -> None:
    counts, stated = dense(name), GRID.architectures[name]
    prunable = sum(layer.total for layer in counts.layers)
    assert (counts.parameters, prunable, counts.macs) == (stated.parameters, stated.prunable, stated.macs)


@pytest.mark.parametrize(
    ("name", "parameters", "billions"),
    [("resnet-18", 11_689_512, 1.814), ("resnet-50", 25_557_032, 4.089), ("mobilenet-v2", 3_504_872, 0.301)],
)
def test_torchvisions_networks_have_the_documented_counts(name: str, parameters: int, billions: float) -> None:
    """Torchvision's documentation calls a multiply-accumulate a FLOP and gives thousands of millions to three places."""
    stated = GRID.architectures[name]
    assert (stated.parameters, round(stated.macs / 1e9, 3)) == (parameters, billions)


@pytest.mark.parametrize(
    ("name", "convolutions", "features", "macs"),
    [
        ("resnet-18", resnet_18(), 512, 1_814_073_344),
        ("resnet-50", resnet_50(), 2048, 4_089_184_256),
        ("mobilenet-v2", mobilenet_v2(), 1280, 300_774_272),
    ],
)
def test_torchvisions_networks_have_the_counts_that_are_derived_by_hand(
    name: str, convolutions: list[Convolution], features: int, macs: int
) -> None:
    """To the last one; that the code counts what the grid states is tested above."""
    stated = GRID.architectures[name]
    assert stated.macs == macs == sum(one.weights * one.side**2 for one in convolutions) + features * 1000
    assert stated.parameters == sum(one.weights + 2 * one.outputs for one in convolutions) + features * 1000 + 1000


def test_grouped_convolutions_count_once_per_group() -> None:
    """A 32-channel 3x3 depthwise convolution on 8x8 maps has 18,432 MACs (ShrinkBench says 589,824)."""
    model = nn.Sequential(nn.Conv2d(32, 32, 3, padding=1, groups=32, bias=False))
    assert weight_uses(model, (32, 8, 8))["0"] * model[0].weight.numel() == 18_432


def test_stride_and_real_padding_are_respected() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 5, stride=2, padding=1))
    assert weight_uses(model, (3, 11, 9)) == {"0": 5 * 4}


def _two_layers() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))


def test_weights_that_no_path_joins_are_not_effective() -> None:
    """Unit 1 of the first layer has no input left, so what leaves it is dead; unit 0 of the second feeds nothing."""
    model = _two_layers()
    masks = {
        0: torch.tensor([[True, True, False], [False, False, False]]),
        1: torch.tensor([[False, True], [True, True]]),
    }
    counts = count(model, "4", (1, 1, 3), masks)
    # kept: 2 + 3 prunable, the classifier's 4, and 6 biases; dead: 0->(1,0), 1->1 and the classifier's column of unit 0
    assert counts.kept == 2 + 3 + 4 + 6
    assert counts.effective == counts.kept - 4
    assert not counts.collapsed


def test_a_network_without_any_path_has_collapsed() -> None:
    masks = {1: torch.zeros(2, 2, dtype=torch.bool)}
    counts = count(_two_layers(), "4", (1, 1, 3), masks)
    assert counts.collapsed
    assert counts.effective == 6  # the biases


def test_a_residual_network_survives_an_empty_block() -> None:
    kind = architecture("resnet-20")
    model = kind.build()
    masks = {1: torch.zeros(16, 16, 3, 3, dtype=torch.bool)}
    counts = count(model, kind.classifier, kind.shape, masks)
    assert not counts.collapsed
    assert counts.effective == counts.kept - 16 * 16 * 9  # the other convolution of the block is cut off


def small_transformer() -> VisionTransformer:
    return VisionTransformer(side=16, patch=8, width=8, depth=2, heads=2, classes=3)


def test_the_projections_of_attention_count_once_a_token() -> None:
    """Four patches and the class token; the products of queries, keys and values with each other are not counted."""
    uses = weight_uses(small_transformer(), (3, 16, 16))
    assert uses.pop("patches") == 4
    assert uses.pop("classifier") == 1
    assert set(uses.values()) == {5}


def test_values_pass_without_queries_and_keys() -> None:
    """Then every token looks at every other alike; the keys and queries that are left have nothing to say."""
    model = small_transformer()
    names = [name for name, _ in prunable_layers(model, "classifier")]
    empty = torch.zeros(8, 8, dtype=torch.bool)
    counts = count(model, "classifier", (3, 16, 16), {names.index("blocks.0.attention.query"): empty})
    assert not counts.collapsed
    assert counts.effective == counts.kept - 8 * 8  # the keys of that block


def test_a_transformer_without_patches_has_collapsed() -> None:
    """What is left are constants: its token and positions."""
    counts = count(small_transformer(), "classifier", (3, 16, 16), {0: torch.zeros(8, 3, 8, 8, dtype=torch.bool)})
    assert counts.collapsed


def test_zero_values_are_not_pruned_weights() -> None:
    """ShrinkBench counts zero-valued biases as pruned; here only masks count."""
    kind = architecture("lenet-300-100")
    model = kind.build()
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    assert count(model, kind.classifier, kind.shape, {}).compression == 1


def test_the_classifier_is_not_prunable() -> None:
    for kind in ARCHITECTURES.values():
        model = kind.build()
        names = [name for name, _ in prunable_layers(model, kind.classifier)]
        assert kind.classifier in dict(model.named_modules())
        assert kind.classifier not in names


@pytest.mark.parametrize(
    "pool",
    [
        nn.MaxPool2d(2),
        nn.MaxPool2d(3, stride=2, padding=1),
        nn.MaxPool2d(2, stride=1, dilation=2),
        nn.MaxPool2d((3, 2), stride=(2, 3), padding=(1, 0), ceil_mode=True),
    ],
)
@pytest.mark.parametrize("norm", [nn.BatchNorm2d(4), nn.GroupNorm(2, 4), nn.InstanceNorm2d(4, affine=True)])
def test_everything_in_a_dense_network_is_effective(pool: nn.Module, norm: nn.Module) -> None:
    """Whatever the signs in its norms, and whichever pixel a pooling would have let pass."""
    nn.init.constant_(norm.weight, -1.0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), norm, nn.LeakyReLU(), pool, nn.LazyConv2d(3, 3, padding=1))
    model.extend([nn.Tanh(), nn.Flatten(), nn.LazyLinear(5), nn.BatchNorm1d(5), nn.Linear(5, 2)])
    nn.init.constant_(model[8].weight, -2.0)
    model.eval()(torch.zeros(1, 1, 9, 8))
    counts = count(model, "9", (1, 9, 8), {})
    assert counts.effective == counts.kept == counts.parameters
    assert not counts.collapsed


def test_layers_that_are_never_run_cost_nothing() -> None:
    class Spare(nn.Sequential):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self[1](x)

    counts = count(Spare(nn.Linear(4, 4), nn.Linear(4, 2)), "1", (1, 1, 4), {})
    assert counts.macs == 8
    assert counts.effective == counts.parameters - 16


def test_what_does_not_learn_is_no_parameter_masked_or_not() -> None:
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(4, 3, bias=False), nn.Linear(3, 3, bias=False), nn.Linear(3, 2, bias=False)
    )
    model[1].requires_grad_(False)
    masks = {0: torch.tensor([[True, True, False, False]] * 3), 1: ~torch.eye(3, dtype=torch.bool)}
    counts = count(model, "3", (1, 2, 2), masks)
    assert (counts.parameters, counts.kept, counts.effective) == (9 + 6, 6 + 6, 6 + 6)
    assert (counts.macs, counts.macs_kept) == (12 + 9 + 6, 6 + 6 + 6)


def test_a_layer_that_cannot_be_counted_is_refused() -> None:
    model = nn.Sequential(nn.ConvTranspose2d(1, 1, 3), nn.Flatten(), nn.Linear(36, 2))
    with pytest.raises(GridError, match="cannot be counted"):
        count(model, "2", (1, 4, 4), {})
    packed = nn.TransformerEncoderLayer(4, 2)
    with pytest.raises(GridError, match="MultiheadAttention cannot be counted"):
        count(packed, "linear2", (1, 1, 4), {})


@settings(max_examples=25, deadline=None)
@given(st.floats(0, 1), st.integers(0, 2**32 - 1))
def test_effective_never_exceeds_kept(density: float, seed: int) -> None:
    kind = architecture("digits-cnn")
    random = torch.Generator().manual_seed(seed)
    model = kind.build()
    masks = {
        i: torch.rand(m.weight.shape, generator=random) < density
        for i, (_, m) in enumerate(prunable_layers(model, kind.classifier))
    }
    counts = count(model, kind.classifier, kind.shape, masks)
    assert 0 < counts.effective <= counts.kept <= counts.parameters
    assert counts.kept == counts.parameters - sum(layer.total - layer.kept for layer in counts.layers)
