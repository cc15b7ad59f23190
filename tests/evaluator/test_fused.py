"""Networks fused into a wide one: each is trained as it would be alone, and nothing of one reaches another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from evaluator.channels import channel_groups, remove_channels
from evaluator.fused import FEWEST, WIDE, Fused, _Convolutions, distances, fuse, in_form
from evaluator.grid import Recipe
from evaluator.networks import Architecture, architecture, prunable_layers
from evaluator.networks.resnet import resnet_cifar
from evaluator.training import Hooks, Step, Trainee, in_turn

RECIPE = Recipe(title="two epochs", lr=0.02, batch=6, epochs=2)
RESNET_8 = Architecture(lambda: resnet_cifar(8), "classifier", (3, 32, 32))
"""Has every layer that ResNet-20 has."""
NAMES = ("digits-mlp", "digits-cnn", "lenet-300-100", "lenet-5-caffe", "resnet-8")


def network(name: str) -> Architecture:
    return RESNET_8 if name == "resnet-8" else architecture(name)


def trainees(name: str, number: int = FEWEST, recipe: Recipe = RECIPE, **more: object) -> list[Trainee]:
    """Different networks, each with a mask of its own, but for the second, which has none; in float64."""
    kind = network(name)
    made = []
    for seed in range(number):
        torch.manual_seed(seed)
        model = kind.build().double()
        layers = [layer for _, layer in prunable_layers(model, kind.classifier)]
        masks: dict[nn.Parameter, Tensor] = {m.weight: torch.rand_like(m.weight) < 0.3 for m in layers if seed != 1}  # type: ignore[misc]
        form = torch.contiguous_format if name.startswith("digits") else torch.channels_last
        made.append(Trainee(model, recipe, masks=masks, memory_format=form, **more))  # type: ignore[arg-type]
    return made


def train(name: str, together: Sequence[Trainee], sizes: Sequence[int] = (6, 6, 4)) -> None:
    random = torch.Generator().manual_seed(3)
    advance = in_turn(together)
    for number, size in enumerate(sizes):
        inputs = torch.randn(size, *network(name).shape, generator=random, dtype=torch.float64)
        labels = torch.randint(0, 10, (size,), generator=random)
        for trainee in together:
            trainee.pace(0.02)
        advance(inputs, labels, Step(number, len(sizes), 0.02))


def sample(name: str) -> tuple[Tensor, Tensor]:
    """A whole batch."""
    random = torch.Generator().manual_seed(4)
    return torch.randn(6, *network(name).shape, generator=random, dtype=torch.float64), torch.arange(6)


def state(trainee: Trainee) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in trainee.model.state_dict().items()}


def assert_same(ones: Sequence[Trainee], others: Sequence[Trainee]) -> None:
    for one, other in zip(ones, others, strict=True):
        torch.testing.assert_close(state(one), state(other), rtol=1e-7, atol=1e-9)
        assert math.isclose(float(one.loss_sum), float(other.loss_sum), rel_tol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_each_is_trained_as_alone(name: str) -> None:
    fused, alone = trainees(name), trainees(name)
    (whole,) = fuse(fused)
    assert isinstance(whole, Fused)
    for each in ([whole], alone):
        train(name, each)
    assert_same(fused, alone)
    assert all("one of 4 networks" in trainee.form for trainee in fused)


def test_networks_that_lost_channels_are_trained_as_alone() -> None:
    """Other channels of each, as many of all."""
    kind = network("resnet-8")

    def small() -> list[Trainee]:
        made = []
        for trainee in trainees("resnet-8"):
            model = trainee.model.float()
            groups = channel_groups(model, kind.classifier, kind.shape)
            random = torch.Generator().manual_seed(len(made))
            kept = {g.position: torch.randperm(g.size, generator=random) < g.size // 3 for g in groups}
            made.append(Trainee(remove_channels(model, groups, kept).double(), RECIPE, memory_format=torch.channels_last))
        return made

    fused, alone = small(), small()
    for each in (fuse(fused), alone):
        train("resnet-8", each)
    assert "one of 4" in fused[0].form
    assert_same(fused, alone)


@pytest.mark.parametrize("name", ["lenet-5-caffe", "resnet-8"])
def test_compiled_it_is_the_same(name: str) -> None:
    """For batches of the size that it was compiled for; those of another are not compiled, and compute the same."""
    compiled: list[Any] = []

    def compiler(graph: Any, _: Any) -> Any:
        compiled.append(graph)
        return graph.forward

    fused, alone = trainees(name), trainees(name)
    whole = in_form("compiled", fused, partial(sample, name), compiler)  # type: ignore[arg-type]
    assert len(compiled) == 1
    for each in (whole, alone):
        train(name, each)
    assert len(compiled) == 1
    assert_same(fused, alone)
    assert "compiled" in fused[0].form


class Refused(torch.autograd.Function):
    @staticmethod
    def forward(_: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(_: Any, *gradients: Tensor) -> Tensor:
        raise RuntimeError("no kernel for the backward pass")


@pytest.mark.parametrize(
    ("when", "told"),
    [
        ("compiling", "C compiler"),
        ("backward", "no kernel for the backward"),
        ("wrong", "of their length from the usual"),
        ("lost", "of their length from the usual"),
    ],
)
def test_what_cannot_be_compiled_is_trained_as_it_is(when: str, told: str) -> None:
    def compiler(graph: Any, _: Any) -> Any:
        if when == "compiling":
            raise RuntimeError("Failed to find C compiler")
        if when == "wrong":
            return lambda *inputs: [-one for one in graph.forward(*inputs)]
        if when == "lost":  # of the last network alone
            return lambda *inputs: [torch.cat([one[:, :30], one[:, 30:] * math.nan], 1) for one in graph.forward(*inputs)]
        return lambda *inputs: [Refused.apply(one) for one in graph.forward(*inputs)]  # type: ignore[no-untyped-call]

    fused, alone = trainees("digits-cnn"), trainees("digits-cnn")
    whole = in_form("compiled", fused, partial(sample, "digits-cnn"), compiler)  # type: ignore[arg-type]
    for each in (whole, alone):
        train("digits-cnn", each)
    assert_same(fused, alone)
    assert "could not be compiled" in fused[0].form
    assert told in fused[0].form


def test_a_network_whose_gradients_are_nothing_to_go_by_does_not_keep_the_others_from_being_compiled() -> None:
    made = trainees("digits-cnn")
    with torch.no_grad():
        made[2].model.get_parameter("conv1.weight").fill_(math.nan)
    in_form("compiled", made, partial(sample, "digits-cnn"), "eager")
    assert made[0].form.endswith("compiled by eager")


@pytest.mark.parametrize("name", ["digits-cnn", "lenet-5-caffe", "resnet-8"])
def test_a_trial_leaves_no_trace(name: str) -> None:
    tried, untried = trainees(name), trainees(name)
    for each in (in_form("fused", tried, partial(sample, name)), fuse(untried)):
        train(name, each)
    for one, other in zip(tried, untried, strict=True):
        assert "in a wide one" in one.form
        assert all(torch.equal(a, b) for a, b in zip(state(one).values(), state(other).values(), strict=True))


class _Mixed(_Convolutions):
    """A kernel that gives a network the channels of its neighbour."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).roll(16, dims=1)


class _Late(_Convolutions):
    """A kernel that goes wrong at the last group alone."""

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        return torch.cat([y[:, :-4], y[:, -4:].flip(1)], 1)


class _Lost(_Convolutions):
    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        return torch.cat([y[:, :20], torch.full_like(y[:, 20:], math.nan)], 1)


class _Refused(_Convolutions):
    def forward(self, x: Tensor) -> Tensor:
        raise RuntimeError("no kernel for so many groups")


@pytest.mark.parametrize(
    ("layer", "told"),
    [
        *((layer, "of their length from the usual") for layer in (_Mixed, _Late, _Lost)),
        (_Refused, "so many groups"),
    ],
)
def test_a_wide_network_with_other_gradients_is_not_used(monkeypatch: pytest.MonkeyPatch, layer: Any, told: str) -> None:
    """Be it but one network that has them; each is then trained by itself, as if there had been no other."""
    broken, alone = trainees("digits-cnn"), trainees("digits-cnn")
    monkeypatch.setitem(WIDE, nn.Conv2d, layer)
    together = in_form("compiled", broken, partial(sample, "digits-cnn"), "eager")
    assert together == broken
    for trainee in broken:
        for tensor in (*trainee.model.state_dict(keep_vars=True).values(), trainee.loss_sum):
            assert tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size()
            assert tensor.grad is None
    for each in (together, alone):
        train("digits-cnn", each)
    assert_same(broken, alone)
    assert broken[0].form.startswith("trained by itself, not in a wide network")
    assert told in broken[0].form


def test_gradients_of_a_trial_are_gone_after_it() -> None:
    made = trainees("digits-cnn")
    (whole,) = in_form("compiled", made, partial(sample, "digits-cnn"), "eager")
    assert all(parameter.grad is None for one in (whole, *made) for parameter in one.model.parameters())


def test_distances_are_those_of_networks_whose_gradients_are_known() -> None:
    nan = math.nan
    usual = torch.tensor([[3.0, 4.0], [0.0, 0.0], [nan, 1.0], [1.0, 0.0], [0.0, 0.0]])
    mine = torch.tensor([[3.0, 3.0], [0.0, 0.0], [2.0, 1.0], [nan, 0.0], [0.0, 1.0]])
    first, second, third, fourth = distances(mine, usual).tolist()
    assert (first, second) == (pytest.approx(0.2), 0.0)
    assert third == fourth == math.inf
    assert distances(mine[2:3], usual[2:3]).tolist() == [0.0]


def test_too_little_memory_for_a_trial_is_told_as_that(monkeypatch: pytest.MonkeyPatch) -> None:
    class Greedy(_Convolutions):
        def forward(self, x: Tensor) -> Tensor:
            raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setitem(WIDE, nn.Conv2d, Greedy)
    with pytest.raises(torch.OutOfMemoryError):
        in_form("fused", trainees("digits-cnn"), partial(sample, "digits-cnn"))


def test_too_little_memory_to_compile_is_told_as_that() -> None:
    def compiler(*_: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(Exception, match="out of memory"):
        in_form("compiled", trainees("digits-cnn"), partial(sample, "digits-cnn"), compiler)  # type: ignore[arg-type]


def test_on_streams_each_is_for_itself() -> None:
    made = trainees("digits-cnn")
    assert in_form("streams", made, partial(sample, "digits-cnn")) == made
    (whole,) = in_form("fused", made, partial(sample, "digits-cnn"))
    assert isinstance(whole, Fused)
    assert "compiled" not in made[0].form


@pytest.mark.parametrize("name", ["lenet-300-100", "resnet-8"])
def test_in_bfloat16_logits_are_as_precise_as_those_of_each(name: str) -> None:
    made = trainees(name, recipe=RECIPE.model_copy(update={"precision": "bfloat16"}))
    for trainee in made:
        trainee.model.float()
    inputs = sample(name)[0].float()
    with torch.autocast("cpu", torch.bfloat16):
        each = [trainee.model(inputs) for trainee in made]
        (whole,) = fuse(made)
        together = whole.model(inputs)
    assert together.dtype == each[0].dtype == torch.bfloat16
    torch.testing.assert_close(together, torch.cat(each, dim=1), rtol=0.05, atol=0.1)


@pytest.mark.parametrize("name", ["digits-cnn", "resnet-8"])
def test_masked_weights_stay_zero_and_those_of_a_neighbour_do_not(name: str) -> None:
    made = trainees(name)
    kind = network(name)
    kept = [[layer.weight != 0 for _, layer in prunable_layers(t.model, kind.classifier)] for t in made]
    train(name, fuse(made))
    for trainee, masks in zip(made, kept, strict=True):
        for (_, layer), mask in zip(prunable_layers(trainee.model, kind.classifier), masks, strict=True):
            assert torch.equal(layer.weight != 0, mask)
    assert all(bool(mask.all()) for mask in kept[1])


def test_what_goes_wrong_in_one_network_does_not_reach_another() -> None:
    made, same = trainees("resnet-8"), trainees("resnet-8")
    with torch.no_grad():
        made[2].model.get_parameter("conv1.weight").fill_(math.nan)
    for each in (made, same):
        train("resnet-8", fuse(each))
    for number in (0, 1, 3):
        assert all(
            torch.equal(a, b) for a, b in zip(state(made[number]).values(), state(same[number]).values(), strict=True)
        )
    assert math.isnan(float(made[2].loss_sum))


def test_fused_are_those_of_one_shape_that_are_enough() -> None:
    kind = network("resnet-8")
    groups = channel_groups(kind.build(), kind.classifier, kind.shape)
    small = remove_channels(kind.build(), groups, {group.position: torch.arange(group.size) > 0 for group in groups})
    odd = Trainee(small, RECIPE, memory_format=torch.channels_last)
    wide, left = fuse([*trainees("resnet-8", FEWEST), odd])
    assert isinstance(wide, Fused)
    assert left is odd
    few = trainees("resnet-8", FEWEST - 1)
    assert fuse(few) == few


@pytest.mark.parametrize("hooks", [Hooks(forward=lambda x: x.flatten(1)[:, :10]), Hooks(after_step=lambda step: None)])
def test_what_has_hooks_stays_by_itself(hooks: Hooks) -> None:
    made = trainees("digits-cnn", FEWEST, hooks=hooks)
    assert fuse(made) == made


def test_what_was_trained_before_stays_by_itself() -> None:
    """Its momentum would be lost."""
    made = trainees("digits-cnn")
    train("digits-cnn", made)
    assert fuse(made) == made


def test_a_network_of_other_modules_stays_by_itself() -> None:
    made = [Trainee(network("mobilenet-v2").build(), RECIPE) for _ in range(FEWEST)]
    assert fuse(made) == made
