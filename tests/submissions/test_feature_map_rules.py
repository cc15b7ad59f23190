"""Methods that watch channels at work: ranks of their maps, and what the next layer misses without them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evaluator.contract import ChannelGroup, Job, Slice
from evaluator.job import Goal
from tests.submissions.specimens import IMAGES, images, job, method, module, network, submission
from tests.submissions.watching import (
    assert_highest_stay,
    batch,
    every_network,
    lively,
    read_by,
    readers,
    sequential,
    structured,
)

SLUGS = ("hrank", "thinet", "lrp", "shapley")


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
    ranks = {group.position: torch.zeros(group.size) for group in work.groups()}

    def visit(group: ChannelGroup, piece: Slice, maps: Tensor) -> None:
        """What the layer or its BatchNorm makes is seen before the activation."""
        if piece in module("hrank").places(group):
            ranks[group.position] += ranks_one_by_one(maps if piece.side == "in" else F.relu(maps))

    work.visit_channels(inputs, visit)
    for position, mask in channels.items():
        assert_highest_stay(ranks[position], mask)


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
def test_thinet_samples_a_few_outputs_of_every_image_and_reader(kind: str) -> None:
    """What is drawn for two batches, drawn again; the outcome is that of all these outputs together."""
    channels = method("thinet", batches=2, batch_size=5, samples=4).prune(structured(kind)).channels
    work, thinet = structured(kind), module("thinet")
    added: dict[int, list[Tensor]] = {group.position: [] for group in work.groups()}

    def visit(group: ChannelGroup, piece: Slice, maps: Tensor) -> None:
        if piece.side == "in":
            positions, filters = thinet.windows(piece, maps).shape[3], len(piece.module.weight)
            draws = [torch.randint(number, (5, 4), generator=work.generator) for number in (positions, filters)]
            added[group.position].append(thinet.contributions(piece, maps, *draws).flatten(0, 1))

    for inputs, _ in work.train_batches(2, 5):
        work.visit_channels(inputs, visit)
    for group in work.groups():
        rows = torch.cat(added[group.position])
        assert len(rows) == 2 * 5 * 4 * len(readers(group))
        assert_highest_stay(thinet.removal_order(rows.T @ rows), channels[group.position])


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
    work = job(model, Goal(speedup=1.3))

    def silent(group: ChannelGroup, piece: Slice, maps: Tensor) -> None:
        if piece.side == "in":  # what never carries anything is as good as not read
            idle[group.position] |= ~maps.transpose(0, 1).flatten(1).any(1)

    work.visit_channels(images().take(torch.arange(IMAGES))[0], silent)
    channels = method("thinet").prune(work).channels
    for position, mask in channels.items():
        if not mask.all():
            assert (~mask & idle[position]).any()
            assert mask[~idle[position]].all() or not mask[idle[position]].any()
