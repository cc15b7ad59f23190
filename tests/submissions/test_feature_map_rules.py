"""Methods that watch channels at work: ranks of maps, what the next layer misses, relevance, Shapley values."""

from __future__ import annotations

import copy
import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evaluator.contract import Batch, ChannelGroup, Job, Slice
from evaluator.job import Goal
from tests.submissions.specimens import NETWORKS, images, job, method, module, network, submission

SLUGS = ("hrank", "thinet", "lrp", "shapley")
every_network = pytest.mark.parametrize("kind", NETWORKS)


def structured(kind: str, speedup: float = 2, seed: int = 0) -> Job:
    return job(network(kind), Goal(speedup=speedup), seed=seed)


def batch(number: int = 16) -> Batch:
    return images().take(torch.arange(number))


def read_by(work: Job, piece: Slice, inputs: Tensor) -> Tensor:
    """What enters the module of a slice, as it is."""
    seen: list[Tensor] = []
    hook = piece.module.register_forward_pre_hook(lambda _, entered: seen.append(entered[0].clone()))
    with torch.no_grad():
        work.model(inputs)
    hook.remove()
    return seen[0]


def readers(group: ChannelGroup) -> list[Slice]:
    return [piece for piece in group.slices if piece.side == "in"]


def sequential(*parts: nn.Module, classifier: nn.Module) -> nn.Sequential:
    layers = nn.Sequential(*parts)
    layers.add_module("classifier", classifier)
    return layers.eval()


def assert_highest_stay(score: Tensor, mask: Tensor) -> None:
    if not mask.all():
        assert float(score[mask].min()) >= float(score[~mask].max())


def lively(kind: str) -> nn.Module:
    """A network in which hardly any unit is ever silent: all biases and shifts are 2."""
    model = network(kind)
    for part in model.modules():
        if getattr(part, "bias", None) is not None:
            part.bias.data.fill_(2)
    return model


@every_network
@pytest.mark.parametrize("slug", SLUGS)
def test_the_job_and_its_model_are_left_as_they_were(slug: str, kind: str) -> None:
    """Weights too, and no hook, gradient or replaced function stays behind."""
    work = job(network(kind), Goal(speedup=2), needs=submission(slug).metadata.needs)
    state = work.snapshot()
    method(slug).prune(work)
    assert all(torch.equal(tensor, state[name]) for name, tensor in work.model.state_dict().items())
    for part in work.model.modules():
        assert not part._forward_hooks
        assert not part._forward_pre_hooks
        assert "forward" not in vars(part)
    assert all(p.requires_grad and p.grad is None for p in work.model.parameters())


# -- ranks of feature maps ------------------------------------------------------------------------------------------------


def ranks_one_by_one(maps: Tensor) -> Tensor:
    """(channels,) mean over images of the number of singular values that count, by NumPy."""
    found = [[np.linalg.matrix_rank(np.atleast_2d(image_channel.numpy())) for image_channel in image] for image in maps]
    return torch.tensor(np.mean(found, axis=0))


def test_the_rank_of_a_constant_map_is_one_and_of_a_silent_one_zero() -> None:
    constant, silent, striped = torch.full((8, 8), 3.7), torch.zeros(8, 8), torch.arange(8.0).expand(8, 8)
    diagonal, two = torch.eye(8), torch.eye(8)[[0, 0, 0, 0, 1, 1, 1, 1]]
    maps = torch.stack([constant, silent, striped, diagonal, two, two * 1e-9, two * 1e9]).unsqueeze(0)
    assert module("hrank").mean_rank(maps).tolist() == [1, 0, 1, 8, 2, 2, 2]


@pytest.mark.parametrize(
    ("kind", "group", "made_by"),
    [
        ("plain", 0, "3"),  # read by a convolution behind the pooling
        ("plain", 1, "6"),  # behind the average there are no maps: what the ReLU makes
        ("plain", 2, "10"),  # a linear layer
        ("linear", 0, "2"),
        ("residual", 0, "stem"),  # read by two convolutions
        ("depthwise", 0, "5"),
    ],
)
def test_ranks_are_those_of_the_maps_behind_the_activation(kind: str, group: int, made_by: str) -> None:
    work = structured(kind)
    work.groups()  # looks through copies of the model, which would be seen as well
    seen: list[Tensor] = []
    hook = work.model.get_submodule(made_by).register_forward_hook(lambda _, __, output: seen.append(output.clone()))
    hrank, inputs = module("hrank"), batch()[0]
    found: list[Tensor] = []

    def visit(visited: ChannelGroup, piece: Slice, maps: Tensor) -> None:
        if visited.position == group and piece in hrank.places(visited):
            found.append(hrank.mean_rank(maps if piece.side == "in" else maps.clamp(min=0)))

    work.visit_channels(inputs, visit)
    hook.remove()
    assert found
    for ranks in found:
        assert torch.equal(ranks, ranks_one_by_one(seen[0]))


@every_network
def test_channels_of_highest_mean_rank_stay(kind: str) -> None:
    channels = method("hrank", batches=2, batch_size=20).prune(structured(kind)).channels
    work = structured(kind)
    inputs = torch.cat([one for one, _ in work.train_batches(2, 20)])
    hrank = module("hrank")
    for group in work.groups():
        if all(piece.side == "in" for piece in hrank.places(group)):
            ranks = sum(ranks_one_by_one(read_by(work, piece, inputs)) for piece in hrank.places(group))
            assert_highest_stay(ranks, channels[group.position])


def test_among_equal_ranks_the_first_channels_stay() -> None:
    """Maps of one pixel that are always active have all rank one."""
    model = network("linear")
    for layer in (model[1], model[3]):
        layer.weight.data.zero_()
        layer.bias.data.fill_(1)
    channels = method("hrank").prune(job(model, Goal(speedup=2))).channels
    for mask in channels.values():
        assert mask.tolist() == sorted(mask.tolist(), reverse=True)


def test_ranks_do_not_depend_on_the_scale_of_maps() -> None:
    model = network("plain")
    model[0].weight.data.mul_(2.0**12)
    model[0].bias.data.mul_(2.0**12)
    model[1].running_mean.mul_(2.0**12)
    model[1].weight.data.mul_(2.0**-7)
    model[1].bias.data.mul_(2.0**-7)
    model[1].eps = 0.0
    reference = network("plain")
    reference[1].eps = 0.0
    found, expected = (method("hrank").prune(job(m, Goal(speedup=2))).channels[0] for m in (model, reference))
    assert torch.equal(found, expected)


# -- reconstruction of the next layer -------------------------------------------------------------------------------------


def sampled(work: Job, piece: Slice, inputs: Tensor, samples: int = 5) -> tuple[Tensor, Tensor, Tensor]:
    """Positions, outputs, and what ThiNet finds that channels add there."""
    thinet, found = module("thinet"), []
    random = torch.Generator().manual_seed(8)

    def visit(_: ChannelGroup, visited: Slice, maps: Tensor) -> None:
        if visited == piece:
            positions = thinet.windows(piece, maps).shape[3]
            places = torch.randint(positions, (len(maps), samples), generator=random)
            outputs = torch.randint(len(piece.weight), (len(maps), samples), generator=random)
            found.append((places, outputs, thinet.contributions(piece, maps, places, outputs)))

    work.visit_channels(inputs, visit)
    return found[0]


def at(values: Tensor, positions: Tensor, outputs: Tensor) -> Tensor:
    """(images, samples) of what a layer made."""
    flat = values.flatten(2) if values.dim() > 2 else values.unsqueeze(2)
    return torch.stack([flat[i, o, p] for i, (o, p) in enumerate(zip(outputs, positions, strict=True))])


@every_network
def test_contributions_are_what_the_reader_makes_of_each_channel_alone(kind: str) -> None:
    work, inputs = structured(kind), batch(6)[0]
    for group in work.groups():
        for piece in readers(group):
            positions, outputs, found = sampled(work, piece, inputs)
            entered = read_by(work, piece, inputs)
            with torch.no_grad():
                bias = piece.module(torch.zeros_like(entered))
                for channel in range(group.size):
                    alone = torch.zeros_like(entered)
                    part = slice(channel * piece.width, (channel + 1) * piece.width)
                    alone[:, part] = entered[:, part]
                    expected = at(piece.module(alone) - bias, positions, outputs).double()
                    torch.testing.assert_close(found[..., channel], expected, rtol=1e-3, atol=1e-5)
                together = at(piece.module(entered) - bias, positions, outputs).double()
            torch.testing.assert_close(found.sum(2), together, rtol=1e-3, atol=1e-4)


def test_a_channel_that_a_linear_layer_reads_pixel_by_pixel_adds_all_its_pixels() -> None:
    parts = (nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten())
    work = job(sequential(*parts, classifier=nn.Linear(64, 5)), Goal(speedup=2))
    (piece,) = readers(work.groups()[0])
    assert piece.width == 16
    inputs = batch(6)[0]
    positions, outputs, found = sampled(work, piece, inputs)
    assert not positions.any()
    weight = work.model.classifier.weight.detach().view(5, 4, 16)
    entered = read_by(work, piece, inputs).view(6, 4, 16)
    for image, sample, channel in itertools.product(range(6), range(5), range(4)):
        expected = float(weight[outputs[image, sample], channel] @ entered[image, channel])
        assert float(found[image, sample, channel]) == pytest.approx(expected, rel=1e-4, abs=1e-6)


def greedy(added: Tensor) -> list[int]:
    """The paper's algorithm, set by set: who goes first, second, ..."""
    gone: list[int] = []
    while len(gone) < added.shape[1]:
        left = [c for c in range(added.shape[1]) if c not in gone]
        gone.append(min(left, key=lambda c: float(added[:, [*gone, c]].sum(1).square().sum())))
    return gone


@every_network
def test_channels_go_in_the_order_of_the_greedy_algorithm(kind: str) -> None:
    work = structured(kind)
    for group in work.groups():
        added = torch.cat([sampled(work, piece, batch()[0])[2].flatten(0, 1) for piece in readers(group)])
        order = module("thinet").removal_order(added.T @ added)
        assert order.argsort().tolist() == greedy(added)


@every_network
def test_the_greedy_error_is_not_above_that_of_random_channels(kind: str) -> None:
    """At every number of channels, on outputs that were not used to choose."""
    work, random = structured(kind), torch.Generator().manual_seed(2)
    inputs = images(300).take(torch.arange(300))[0]
    for group in work.groups():
        added = torch.cat([sampled(work, piece, inputs)[2].flatten(0, 1) for piece in readers(group)])
        seen, unseen = added[::2], added[1::2]

        def error(gone: Tensor, unseen: Tensor = unseen) -> float:
            return float(unseen[:, gone].sum(1).square().mean())

        chosen = module("thinet").removal_order(seen.T @ seen).argsort()
        draws = [torch.randperm(group.size, generator=random) for _ in range(40)]
        for number in range(1, group.size):
            assert error(chosen[:number]) <= sum(error(draw[:number]) for draw in draws) / len(draws)


def test_channels_that_cancel_each_other_go_together() -> None:
    added = torch.tensor([[9.0, 1.0, -9.0, 2.0], [-5.0, 2.0, 5.0, 2.0]]).double()
    assert module("thinet").removal_order(added.T @ added).argsort().tolist()[:1] == [1]
    added = torch.tensor([[9.0, 9.5, -9.0, 8.0], [-5.0, 6.0, 5.0, 7.0]]).double()
    assert set(module("thinet").removal_order(added.T @ added).argsort().tolist()[:2]) == {0, 2}


@every_network
def test_channels_that_are_not_read_go_first(kind: str) -> None:
    model = lively(kind)
    idle = {group.position: torch.arange(group.size) % 3 == 1 for group in job(model, Goal(speedup=2)).groups()}
    for group in job(model, Goal(speedup=2)).groups():
        for piece in readers(group):
            layer = model.get_submodule(piece.name)
            layer.weight.data[:, idle[group.position].repeat_interleave(piece.width)] = 0
    channels = method("thinet").prune(job(model, Goal(speedup=1.3))).channels
    for position, mask in channels.items():
        if not mask.all():
            assert (~mask & idle[position]).any()
            assert mask[~idle[position]].all() or not mask[idle[position]].any()


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
    assert inversions <= 0.1 * sum(len(mask) for mask in channels.values())  # channels that would overshoot are passed over


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
    work, one = structured(kind), batch(12)
    random = torch.Generator().manual_seed(6)
    for group in work.groups():
        with module("shapley").game(work.model, group, one) as worth:
            for _ in range(3):
                present = torch.rand(group.size, generator=random) < 0.5
                found = float(worth(present.float().expand(12, -1)).mean())
                assert found == pytest.approx(achieved_by(work, group, present, one), rel=1e-4, abs=1e-6)


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
        work = job(Shared().eval(), Goal(speedup=2))
    for group in work.groups():
        with module("shapley").game(work.model, group, batch(8)) as worth:
            for channel in range(group.size):
                present = torch.arange(group.size) != channel
                for _ in range(2):
                    found = float(worth(present.float().expand(8, -1)).mean())
                    assert found == pytest.approx(achieved_by(work, group, present, batch(8)), rel=1e-4)
