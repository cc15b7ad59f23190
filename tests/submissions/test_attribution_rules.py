"""Methods that share out what a network achieves among its channels: relevance, Shapley values."""

from __future__ import annotations

import copy
import itertools
import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evaluator.contract import Batch, ChannelGroup, Job
from evaluator.job import Goal
from tests.submissions.specimens import images, job, method, module, network, submission
from tests.submissions.watching import (
    assert_highest_stay,
    batch,
    every_network,
    lively,
    sequential,
    structured,
)

# -- relevance ------------------------------------------------------------------------------------------------------------


def as_matrix(layer: nn.Module, shape: torch.Size) -> Tensor:
    """(inputs, outputs) of what a convolution or linear layer does to an input of this shape, its bias left out."""
    units = torch.eye(math.prod(shape), dtype=torch.float64).view(-1, *shape)
    plain = copy.deepcopy(layer).double()
    plain.bias = None
    with torch.no_grad():
        return plain(units).flatten(1)


def hand_back(layer: nn.Module, entered: Tensor, relevance: Tensor) -> Tensor:
    """The relevance of what ``entered`` a layer (one image), from that of what left it, by the rules as they stand."""
    if isinstance(layer, nn.Conv2d | nn.Linear):
        parts = (entered.flatten()[:, None] * as_matrix(layer, entered.shape)).clamp(min=0)
        return (parts / parts.sum(0).clamp(min=1e-300) * relevance.flatten()).sum(1).view(entered.shape)
    if isinstance(layer, nn.AdaptiveAvgPool2d):
        shares = entered / entered.sum((1, 2), keepdim=True).clamp(min=1e-300)
        return shares * relevance
    if isinstance(layer, nn.MaxPool2d):
        _, winners = F.max_pool2d(entered, layer.kernel_size, return_indices=True)
        return torch.zeros_like(entered).flatten(1).scatter_(1, winners.flatten(1), relevance.flatten(1)).view(entered.shape)
    return relevance.view(entered.shape)  # activations, BatchNorm, Flatten


@pytest.mark.parametrize("kind", ["linear", "plain"])
def test_relevance_is_handed_back_layer_by_layer(kind: str) -> None:
    model = network(kind).double()
    inputs, labels = batch(5)
    work = job(network(kind), Goal(speedup=2))
    copied, _ = module("lrp").instrumented(work)
    measured = [name for name, layer in model.named_children() if isinstance(layer, nn.Conv2d | nn.Linear)]
    found = module("lrp").relevance(copied, [copied.get_submodule(name) for name in measured], (inputs, labels))
    for image, label in enumerate(labels.tolist()):
        values = [inputs[image].double()]
        with torch.no_grad():
            for layer in model:
                values.append(layer(values[-1].unsqueeze(0)).squeeze(0))
        relevance = torch.zeros_like(values[-1])
        relevance[label] = 1
        for (name, layer), entered in zip(reversed(list(model.named_children())), reversed(values[:-1]), strict=True):
            if name in measured:
                flow = found[measured.index(name)][image].double()
                torch.testing.assert_close(flow, relevance.view(flow.shape), rtol=1e-3, atol=1e-4)
            relevance = hand_back(layer, entered, relevance)


CUTS = {
    "linear": [["1"], ["3"]],
    "plain": [["0"], ["4"], ["9"]],
    "residual": [["stem.0"], ["conv1", "shortcut"], ["conv2", "shortcut"]],
    "depthwise": [["0"], ["3"], ["6"], ["8"]],
}
"""Layers that everything passes, or each together with what passes beside it."""


@pytest.mark.parametrize("kind", CUTS)
def test_relevance_is_conserved(kind: str) -> None:
    """The 1 that each image starts with is found again at every cut through the network."""
    model = lively(kind)
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d) and layer.groups > 1:
            layer.weight.data.abs_()  # in a corner all of a few weights may be negative, and nothing be there to share it
    copied, _ = module("lrp").instrumented(job(model, Goal(speedup=2)))
    for cut in CUTS[kind]:
        flows = module("lrp").relevance(copied, [copied.get_submodule(name) for name in cut], batch(40))
        total = sum(flow.flatten(1).sum(1) for flow in flows)
        torch.testing.assert_close(total, torch.ones(40), rtol=1e-3, atol=1e-3)


@every_network
def test_the_instrumented_network_computes_what_the_network_does(kind: str) -> None:
    work = structured(kind)
    copied, _ = module("lrp").instrumented(work)
    with torch.no_grad():
        torch.testing.assert_close(copied(batch()[0]), work.model(batch()[0]))


def test_relevance_heeds_signs() -> None:
    """A unit that speaks against the answer has none; the others share by what they say for it."""
    layers = (nn.Flatten(), nn.Linear(108, 3, bias=False), nn.ReLU())
    model = sequential(*layers, classifier=nn.Linear(3, 5, bias=False))
    model[1].weight.data.fill_(0.01)
    model.classifier.weight.data[:] = torch.tensor([3.0, 1.0, -3.0])
    copied, groups = module("lrp").instrumented(job(model, Goal(speedup=2)))
    bright = torch.ones(2, 3, 6, 6), torch.tensor([0, 3])
    (found,) = module("lrp").relevance(copied, [groups[0].slices[0].module], bright)
    torch.testing.assert_close(found, torch.tensor([[0.75, 0.25, 0.0]] * 2))


@pytest.mark.parametrize(("kind", "layers"), [("plain", "0 4"), ("residual", "stem.0 conv1 conv2"), ("depthwise", "0 3 6")])
def test_relevance_does_not_depend_on_the_sign_that_a_scale_has(kind: str, layers: str) -> None:
    """What a layer computes, the running mean and the scale negated, for every other channel: the same function."""
    model, names = lively(kind), layers.split()
    mirrored = copy.deepcopy(model)
    norms = [layer for layer in mirrored.modules() if isinstance(layer, nn.BatchNorm2d)]
    for layer, norm in zip((mirrored.get_submodule(name) for name in names), norms, strict=False):
        for values in (layer.weight, layer.bias, norm.running_mean, norm.weight):
            if values is not None:
                values.data[::2] *= -1
    found = []
    for one in (model, mirrored):
        copied, _ = module("lrp").instrumented(job(one, Goal(speedup=2)))
        found.append(module("lrp").relevance(copied, [copied.get_submodule(name) for name in names], batch()))
    with torch.no_grad():
        torch.testing.assert_close(mirrored(batch()[0]), model(batch()[0]))
    for here, there in zip(*found, strict=True):
        torch.testing.assert_close(here, there)


class Recurrent(nn.Module):
    """One convolution used twice, or two with the same weights."""

    def __init__(self, second: bool) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.again = nn.Conv2d(8, 8, 3, padding=1)
        self.last = nn.Conv2d(8, 8, 3, padding=1) if second else self.again
        self.classifier = nn.Linear(8, 5)

    def forward(self, images: Tensor) -> Tensor:
        middle = torch.relu(self.again(torch.relu(self.stem(images))))
        return self.classifier(torch.relu(self.last(middle)).mean((2, 3)))


def test_every_use_of_a_layer_counts() -> None:
    once, twice = Recurrent(second=True).eval(), Recurrent(second=False).eval()
    once.load_state_dict(twice.state_dict() | {f"last.{name}": value for name, value in twice.again.state_dict().items()})
    found = []
    for model, names in ((once, ("again", "last")), (twice, ("again",))):
        copied, _ = module("lrp").instrumented(job(model, Goal(speedup=1.1)))
        flows = module("lrp").relevance(copied, [copied.get_submodule(name) for name in names], batch())
        found.append(torch.cat(flows))
    torch.testing.assert_close(*found)


class Adding(Recurrent):
    """What the second convolution makes is added to, in its place or not."""

    def __init__(self, in_place: bool) -> None:
        super().__init__(second=False)
        self.in_place = in_place

    def forward(self, images: Tensor) -> Tensor:
        first = torch.relu(self.stem(images))
        second = self.again(first)
        both = second.add_(first) if self.in_place else second + first
        return self.classifier(torch.relu(both).mean((2, 3)))


def test_what_a_network_writes_over_an_output_is_not_the_layer_s() -> None:
    apart, in_place = Adding(in_place=False).eval(), Adding(in_place=True).eval()
    in_place.load_state_dict(apart.state_dict())
    found = []
    for model in (apart, in_place):
        copied, _ = module("lrp").instrumented(job(model, Goal(speedup=1.1)))
        found.append(module("lrp").relevance(copied, [copied.stem, copied.again], batch()))
    for here, there in zip(*found, strict=True):
        torch.testing.assert_close(here, there)


@pytest.mark.parametrize("in_place", [True, False])
def test_only_what_a_norm_takes_as_it_was_made_has_the_signs_of_its_scales(in_place: bool) -> None:
    model = sequential(
        *(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=in_place), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4)),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        classifier=nn.Linear(4, 5),
    )
    for norm in (model[2], model[4]):
        norm.weight.data[1::2] = -1
    lrp = module("lrp")
    signs = lrp.signs_of_scales(model, lrp.speckle(3, 6, 6))
    assert {layer: found.tolist() for layer, found in signs.items()} == {model[3]: [1, -1, 1, -1]}


@pytest.mark.parametrize("seed", range(12))
def test_relevance_is_the_same_where_a_relu_works_in_place(seed: int) -> None:
    """Also where nothing of its input is negative, so that what it writes is what was there."""

    def model(*, in_place: bool) -> nn.Sequential:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            parts = nn.Conv2d(3, 4, 3), nn.ReLU(inplace=in_place), nn.BatchNorm2d(4), nn.ReLU6(inplace=in_place)
            made = sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), classifier=nn.Linear(4, 5))
        made[0].bias.data.fill_(5.0 if seed % 2 else 0.0)
        made[2].weight.data[1::2] = -1
        return made

    flows = []
    for in_place in (False, True):
        copied, _ = module("lrp").instrumented(job(model(in_place=in_place), Goal(speedup=1.5)))
        flows.append(module("lrp").relevance(copied, [copied[0]], batch())[0])
    torch.testing.assert_close(*flows)


def test_a_filter_that_has_decayed_to_nothing_does_no_harm() -> None:
    """Below the smallest normal numbers, with a shift behind it that keeps the channel alive."""
    model = lively("plain")
    model[4].weight.data[::3] *= 1e-40
    copied, groups = module("lrp").instrumented(job(model, Goal(speedup=2)))
    for group in groups:
        (flow,) = module("lrp").relevance(copied, [group.slices[0].module], batch())
        assert torch.isfinite(flow).all()
        assert float(flow.sum()) <= 16 * (1 + 1e-3)


def test_relevance_does_not_depend_on_how_units_are_scaled() -> None:
    model, scales = network("linear"), torch.logspace(-3, 3, 30)
    model[1].weight.data *= scales[:, None]
    model[1].bias.data *= scales
    model[3].weight.data /= scales
    found, expected = (method("lrp").prune(job(m, Goal(speedup=2))).channels for m in (model, network("linear")))
    assert all(torch.equal(found[p], expected[p]) for p in expected)


@every_network
def test_channels_of_largest_relevance_stay(kind: str) -> None:
    """One threshold for all: those that go have less than those that stay, the best of each group aside."""
    channels = method("lrp", batches=2, batch_size=20).prune(structured(kind)).channels
    work = structured(kind)
    copied, groups = module("lrp").instrumented(work)
    batches = list(work.train_batches(2, 20))
    scores = {}
    for group in groups:
        scores[group.position] = torch.zeros(group.size)
        for piece in group.slices:
            if piece.side == "out":
                for one in batches:
                    (flow,) = module("lrp").relevance(copied, [piece.module], one)
                    scores[group.position] += flow.abs().reshape(20, group.size, -1).sum((0, 2))
    removed = [scores[p][~mask] for p, mask in channels.items()]
    kept = [scores[p][mask & (torch.arange(len(mask)) != scores[p].argmax())] for p, mask in channels.items()]
    inversions = sum(int((torch.cat(kept) < score * (1 - 1e-4)).any()) for score in torch.cat(removed))
    assert inversions <= 0.1 * sum(len(mask) for mask in channels.values())  # where the order of scores would overshoot


# -- Shapley values -------------------------------------------------------------------------------------------------------


def achieved_by(work: Job, group: ChannelGroup, present: Tensor, one: Batch) -> float:
    """Mean probability of the labels when the group's other channels are silenced by their own parameters."""
    model = copy.deepcopy(work.model)
    parts = [p for piece in group.slices if piece.side != "in" for p in model.get_submodule(piece.name).parameters(False)]
    with torch.no_grad():
        for parameter in parts:
            parameter[~present] = 0
        return float(torch.softmax(model(one[0]), 1)[torch.arange(len(one[1])), one[1]].mean())


@every_network
def test_values_sum_to_what_all_channels_achieve_together(kind: str) -> None:
    """The axiom of efficiency, which holds for every sample of orders: v(all) - v(none)."""
    work, one = structured(kind), batch(12)
    random = torch.Generator().manual_seed(3)
    for group in work.groups():
        orders = torch.rand(12, group.size, generator=random).argsort(1)
        with module("shapley").game(work.model, group, one) as worth:
            found = module("shapley").mean_contributions(worth, orders)
        nobody = torch.zeros(group.size, dtype=torch.bool)
        expected = achieved_by(work, group, ~nobody, one) - achieved_by(work, group, nobody, one)
        assert float(found.sum()) == pytest.approx(expected, rel=1e-4, abs=1e-6)


@every_network
def test_a_coalition_is_worth_what_the_network_does_with_the_others_silenced(kind: str) -> None:
    """Whatever is computed once only, in front of the readers of the group."""
    work, plain, one = structured(kind), structured(kind), batch(12)
    random = torch.Generator().manual_seed(6)
    for group in work.groups():
        with module("shapley").game(work.model, group, one) as worth:
            for _ in range(3):
                present = torch.rand(group.size, generator=random) < 0.5
                found = float(worth(present.float().expand(12, -1)).mean())
                assert found == pytest.approx(achieved_by(plain, group, present, one), rel=1e-4, abs=1e-6)


def exact_values(work: Job, group: ChannelGroup, one: Batch) -> Tensor:
    """phi_c = sum over S without c of |S|! (n - |S| - 1)! / n! (v(S + c) - v(S)), coalition by coalition."""
    size = group.size

    def worth(coalition: tuple[int, ...]) -> float:
        kept = torch.zeros(size, dtype=torch.bool)
        kept[list(coalition)] = True
        return achieved_by(work, group, kept, one)

    found = torch.zeros(size, dtype=torch.float64)
    for channel in range(size):
        others = [c for c in range(size) if c != channel]
        for number in range(size):
            weight = math.factorial(number) * math.factorial(size - number - 1) / math.factorial(size)
            for coalition in itertools.combinations(others, number):
                found[channel] += weight * (worth((*coalition, channel)) - worth(coalition))
    return found


def tiny_networks() -> dict[str, nn.Module]:
    """Groups of four channels; in the second two channels are twins and one is not read."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        linear = sequential(nn.Flatten(), nn.Linear(108, 4), nn.ReLU(), classifier=nn.Linear(4, 5))
        convolution = (nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten())
        twins = sequential(*convolution, classifier=nn.Linear(16, 5))
    twins[0].weight.data[1] = twins[0].weight.data[0]
    twins[0].bias.data[1] = twins[0].bias.data[0]
    twins.classifier.weight.data[:, 4:8] = twins.classifier.weight.data[:, 0:4]
    twins.classifier.weight.data[:, 12:] = 0
    return {"linear": linear, "twins": twins}


@pytest.mark.parametrize("kind", tiny_networks())
def test_with_all_orders_the_values_are_exact(kind: str) -> None:
    work = job(tiny_networks()[kind], Goal(speedup=2))
    (group,) = work.groups()
    orders = torch.tensor(list(itertools.permutations(range(4))))
    for image in range(3):
        inputs, labels = images().take(torch.tensor([image]))
        with module("shapley").game(work.model, group, (inputs.repeat(24, 1, 1, 1), labels.repeat(24))) as worth:
            found = module("shapley").mean_contributions(worth, orders)
        torch.testing.assert_close(found, exact_values(work, group, (inputs, labels)), rtol=1e-4, atol=1e-6)
        if kind == "twins":
            assert float(found[0]) == pytest.approx(float(found[1]), abs=1e-6)
            assert float(found[3]) == pytest.approx(0, abs=1e-6)


@every_network
def test_channels_of_largest_value_stay(kind: str) -> None:
    channels = method("shapley").prune(structured(kind)).channels
    work, shapley = structured(kind), module("shapley")
    settings = submission("shapley").metadata.hyperparameters
    totals = {group.position: torch.zeros(group.size, dtype=torch.float64) for group in work.groups()}
    for one in work.validation_batches(int(settings["batches"]), int(settings["batch_size"])):
        for group in work.groups():
            orders = torch.rand(len(one[0]), group.size, generator=work.generator).argsort(1)
            with shapley.game(work.model, group, one) as worth:
                totals[group.position] += shapley.mean_contributions(worth, orders)
    for position, mask in channels.items():
        assert_highest_stay(totals[position], mask)


def test_a_module_that_is_used_again_behind_the_group_is_not_kept_from_running() -> None:
    class Shared(nn.Module):
        """One ReLU for everything, and a sum that is written over what a layer made."""

        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1)
            self.third = nn.Conv2d(6, 6, 3, padding=1)
            self.relu = nn.ReLU(inplace=True)
            self.classifier = nn.Linear(6, 5)

        def forward(self, x: Tensor) -> Tensor:
            x = self.relu(self.first(x))
            y = self.relu(self.second(x))
            y = self.third(y)
            y += x
            return self.classifier(self.relu(y).mean((2, 3)))

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = Shared().eval()
    work, plain = job(model, Goal(speedup=2)), job(copy.deepcopy(model), Goal(speedup=2))
    for group in work.groups():
        with module("shapley").game(work.model, group, batch(8)) as worth:
            for channel in range(group.size):
                present = torch.arange(group.size) != channel
                for _ in range(2):
                    found = float(worth(present.float().expand(8, -1)).mean())
                    assert found == pytest.approx(achieved_by(plain, group, present, batch(8)), rel=1e-4)
