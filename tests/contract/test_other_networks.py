"""Networks beyond those of the grid: taken as they are, or refused in words; not counted wrongly, and not without end."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evaluator.channels import channel_groups
from evaluator.counting import count
from evaluator.errors import GridError
from evaluator.job import Goal
from tests.submissions.specimens import CLASSES, images, job

SHAPE = (3, 6, 6)


class Network(nn.Module):
    """Three convolutions of 8 channels; ``between`` is done to what the second makes."""

    def __init__(self, between: Callable[[Tensor], Tensor] = torch.relu) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self._between = between
        self.classifier = nn.Linear(8, CLASSES)

    def between(self, x: Tensor) -> Tensor:
        return self._between(x)

    def forward(self, images: Tensor) -> Tensor:
        x = self.between(self.b(torch.relu(self.a(images))))
        return self.classifier(torch.relu(self.c(x)).mean((2, 3)))


PARTS: dict[str, Callable[[Tensor], Tensor]] = {
    "one added": lambda x: x + x[:, 1:2],
    "one multiplied": lambda x: x * x[:, 7:8],
    "half added": lambda x: x + x[:, 4:].repeat(1, 2, 1, 1),
}


@pytest.mark.parametrize("name", PARTS)
def test_part_of_the_channels_that_goes_into_all_has_an_end(name: str) -> None:
    with pytest.raises(GridError, match="cannot follow the channels"):
        channel_groups(Network(PARTS[name]).eval(), "classifier", SHAPE)


def test_an_answer_that_is_no_tensor_is_told() -> None:
    class Pair(Network):
        def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
            return super().forward(images), images

    for ask in (
        lambda model: channel_groups(model, "classifier", SHAPE),
        lambda model: count(model, "classifier", SHAPE, {}),
    ):
        with pytest.raises(GridError, match="answers with a tuple"):
            ask(Pair().eval())


def test_a_layer_that_cannot_be_counted_has_no_speedup() -> None:
    class Series(Network):
        def __init__(self) -> None:
            super().__init__()
            self.d = nn.Conv1d(8, 8, 3, padding=1)

        def between(self, x: Tensor) -> Tensor:
            return self.d(torch.relu(x).flatten(2)).view_as(x)

    with pytest.raises(GridError, match="Conv1d cannot be counted"):
        job(Series().eval(), Goal(speedup=1.5)).costs()


def test_a_weight_that_is_computed_is_refused() -> None:
    model = Network()
    nn.utils.parametrizations.weight_norm(model.b)
    with pytest.raises(GridError, match="computed from other parameters") as refused:
        job(model.eval(), Goal(keep=100))
    assert refused.value.where == "b"


def test_a_weight_of_two_layers_is_refused() -> None:
    model = Network()
    model.c.weight = model.b.weight
    with pytest.raises(GridError, match="its weight is that of b, too") as refused:
        job(model.eval(), Goal(keep=100))
    assert refused.value.where == "c"


def test_a_layer_that_is_not_called_is_named() -> None:
    model = Network()
    model.aside = nn.Linear(8, 8)
    work = job(model.eval(), Goal(keep=500))
    with pytest.raises(GridError, match="does not call it") as refused:
        work.visit_inputs(images().take(torch.arange(4))[0], lambda *_: None)
    assert refused.value.where == "aside"


class ByName(Network):
    """Calls its layers by the name of their argument."""

    def forward(self, images: Tensor) -> Tensor:
        x = self.between(self.b(input=torch.relu(self.a(input=images))))
        return self.classifier(torch.relu(self.c(input=x)).mean((2, 3)))


def test_layers_may_be_called_by_name() -> None:
    seen: list[list[Tensor]] = []
    by_name = ByName().eval()
    by_place = Network().eval()
    by_place.load_state_dict(by_name.state_dict())
    for model in (by_place, by_name):
        work, found = job(model, Goal(speedup=1.5)), []
        inputs = images().take(torch.arange(4))[0]
        work.visit_inputs(inputs, lambda _, entered, found=found: found.append(entered.clone()))  # type: ignore[misc]
        work.visit_channels(inputs, lambda *seen, found=found: found.append(seen[-1].clone()))  # type: ignore[misc]
        seen.append(found)
    assert len(seen[0]) == len(seen[1]) > 6
    assert all(torch.equal(here, there) for here, there in zip(*seen, strict=True))


class Recurrent(Network):
    """Uses a layer three times, each time on what it made before."""

    def forward(self, images: Tensor) -> Tensor:
        x = torch.relu(self.a(images))
        for _ in range(3):
            x = torch.relu(self.b(x))
        return self.classifier(torch.relu(self.c(x)).mean((2, 3)))


def test_a_layer_that_is_used_several_times_is_visited_at_its_first_use() -> None:
    model = Recurrent().eval()
    work, inputs = job(model, Goal(keep=500)), images().take(torch.arange(4))[0]
    seen: list[tuple[int, Tensor]] = []
    work.visit_inputs(inputs, lambda layer, entered: seen.append((layer.position, entered.clone())))
    assert [position for position, _ in seen] == [0, 1, 2]
    with torch.no_grad():
        torch.testing.assert_close(seen[1][1], torch.relu(model.a(inputs)))


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
def test_channels_pass_what_pads_with_what_lies_within(mode: str) -> None:
    """But for circular padding, which takes the rim apart and strings it together again."""
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 6, 3, padding=1, padding_mode=mode), nn.ReLU())
    model.extend([nn.AdaptiveAvgPool2d(1), nn.Flatten()])
    model.add_module("classifier", nn.Linear(6, CLASSES))
    found = job(model.eval(), Goal(speedup=1.5)).groups()
    assert [group.size for group in found] == ([6] if mode == "circular" else [8, 6])


@pytest.mark.parametrize("goal", [Goal(keep=0), Goal(pattern=(2, 4))])
def test_a_network_with_nothing_to_prune_is_refused(goal: Goal) -> None:
    alone = nn.Sequential(nn.Flatten())
    alone.add_module("classifier", nn.Linear(108, CLASSES))
    with pytest.raises(GridError, match="nothing to prune"):
        job(alone.eval(), goal)


# -- paths ----------------------------------------------------------------------------------------------------------------


def test_paths_pass_an_rms_norm() -> None:
    layers = nn.Sequential(nn.Flatten(), nn.Linear(108, 16), nn.RMSNorm(16))
    layers.add_module("classifier", nn.Linear(16, CLASSES))
    found = count(layers, "classifier", SHAPE, {})
    assert (found.effective, found.collapsed) == (found.kept, False)
    assert count(layers, "classifier", SHAPE, {0: torch.zeros(16, 108, dtype=torch.bool)}).collapsed


class Scaled(Network):
    """With a scale of its own between two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1, 8, 1, 1))

    def between(self, x: Tensor) -> Tensor:
        return self.scale * x


STRANGE: dict[str, Callable[[], nn.Module]] = {
    "a scale": Scaled,
    "a norm that is no module": lambda: Network(lambda x: F.group_norm(x, 2)),
    "a difference": lambda: Network(lambda x: x - x.flip(1)),
}


@pytest.mark.parametrize("name", STRANGE)
def test_what_no_path_can_be_followed_through_is_not_called_collapsed(name: str) -> None:
    with pytest.raises(GridError, match="paths cannot be followed"):
        count(STRANGE[name]().eval(), "classifier", SHAPE, {})


def test_a_layer_that_is_not_used_blocks_no_path() -> None:
    model = Network()
    model.aside = nn.Linear(8, 8)
    found = count(model.eval(), "classifier", SHAPE, {})
    assert (found.kept - found.effective, found.collapsed) == (64, False)


def test_a_kernel_that_sees_padding_alone_has_weights_on_no_path() -> None:
    """Of 3x3 on a map of one point, all but the middle."""
    found = count(Network(lambda x: x.mean((2, 3), keepdim=True)).eval(), "classifier", SHAPE, {})
    assert (found.kept - found.effective, found.collapsed) == (8 * 8 * 8, False)


def test_frozen_layers_are_on_paths_and_hold_no_parameters_that_count() -> None:
    frozen, free = Network().eval(), Network().eval()
    frozen.b.requires_grad_(False)
    weights = frozen.b.weight.numel()
    masks = {1: torch.rand(8, 8, 3, 3, generator=torch.Generator().manual_seed(0)) < 0.5}
    here, there = (count(model, "classifier", SHAPE, masks) for model in (frozen, free))
    assert (here.macs, here.macs_kept, here.collapsed) == (there.macs, there.macs_kept, False)
    assert here.parameters == there.parameters - weights - len(frozen.b.bias)
    assert here.kept == here.effective == here.parameters
