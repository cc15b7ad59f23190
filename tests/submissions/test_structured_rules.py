"""Methods that remove channels: what can be known of their outcome without training."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evaluator.channels import remove_channels
from evaluator.contract import ChannelGroup, Job
from evaluator.job import Goal
from evaluator.networks import architecture
from tests.evaluator.grids import GRID, made_up
from tests.submissions.specimens import (
    EPOCHS,
    EVERYTHING,
    NETWORKS,
    TYPICAL,
    job,
    method,
    module,
    network,
    of_division,
    outcome,
    permission,
    submission,
)

every_network = pytest.mark.parametrize("kind", NETWORKS)
WITHIN_GROUPS = [slug for slug in of_division("structured") if submission(slug).metadata.facets.scope == "group"]
ONE_THRESHOLD = {"bn-scale": "scale", "depgraph": "group_norms"}


def structured(kind: str, speedup: float = 2, seed: int = 0) -> Job:
    return job(network(kind), Goal(speedup=speedup), seed=seed)


def on_the_grid(name: str, speedup: float, slug: str, images: int = 100) -> Job:
    """A job on a network of the grid, with random weights and images."""
    kind = architecture(name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        model = kind.build()
    goal, needs = Goal(speedup=speedup), submission(slug).metadata.needs
    data = made_up(images, kind.shape)
    random = torch.Generator().manual_seed(0)
    training = permission(model, EPOCHS, data=data) if needs.training_epochs else None
    return Job(model, kind.classifier, goal, train=data, validation=data, needs=needs, generator=random, training=training)


def assert_highest_stay(score: Tensor, mask: Tensor) -> None:
    if not mask.all():
        assert float(score[mask].min()) >= float(score[~mask].max()) * (1 - 1e-6)


def filters_of(group: ChannelGroup, channel: int) -> Tensor:
    """All weights that make a channel, read from the modules one by one."""
    return torch.cat([p.module.weight.detach()[channel].flatten() for p in group.slices if p.side == "out"])


# -- all of them ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slug", of_division("structured"))
@pytest.mark.parametrize("name", ["digits-mlp", "digits-cnn", "lenet-5-caffe"])
def test_networks_of_the_grid_are_as_fast_as_asked_for_within_its_tolerance(slug: str, name: str) -> None:
    for speedup in (1.5, 2, 3):
        work = on_the_grid(name, speedup, slug)
        channels = method(slug).prune(work).channels
        found = work.costs().speedup({position: int(mask.sum()) for position, mask in channels.items()})
        assert found == pytest.approx(speedup, rel=GRID.targets["structured"].tolerance)


@every_network
@pytest.mark.parametrize("slug", WITHIN_GROUPS)
def test_where_channels_compete_within_groups_all_groups_keep_the_same_share(slug: str, kind: str) -> None:
    masks = list(outcome(slug, kind, TYPICAL["structured"]).channels.values())
    shares = [float(mask.float().mean()) for mask in masks]
    slack = [0.5 / len(mask) for mask in masks]
    assert max(s - e for s, e in zip(shares, slack, strict=True)) <= min(s + e for s, e in zip(shares, slack, strict=True))


@every_network
@pytest.mark.parametrize("slug", sorted(ONE_THRESHOLD))
def test_where_channels_compete_everywhere_the_highest_of_all_stay(slug: str, kind: str) -> None:
    """At a speedup that the plain order of scores meets; the best of a group stays whatever its score."""
    work = structured(kind)
    scores = {group.position: getattr(module(slug), ONE_THRESHOLD[slug])(group) for group in work.groups()}
    ranking = sorted(
        (float(s), p, k) for p, score in scores.items() for k, s in enumerate(score) if k != int(score.argmax())
    )
    removed = [(p, k) for _, p, k in ranking[: len(ranking) // 4]]
    numbers = {p: len(score) - sum(q == p for q, _ in removed) for p, score in scores.items()}
    channels = method(slug).prune(structured(kind, work.costs().speedup(numbers))).channels
    assert {(p, k) for p, mask in channels.items() for k, stays in enumerate(mask) if not stays} == set(removed)


# -- norms ----------------------------------------------------------------------------------------------------------------


@every_network
@pytest.mark.parametrize(("slug", "order"), [("l1-filter", 1), ("l2-filter", 2)])
def test_filters_of_largest_norm_stay(slug: str, order: int, kind: str) -> None:
    channels = outcome(slug, kind).channels
    for group in structured(kind).groups():
        norms = [float((filters_of(group, k).abs() ** order).sum()) for k in range(group.size)]
        assert_highest_stay(torch.tensor(norms), channels[group.position])


@pytest.mark.parametrize(("share", "speedup", "off"), [(0.3, 1.452, 0), (0.5, 1.993, 0), (0.7, 3.593, 1)])
def test_l1_removes_a_share_of_each_block_of_resnet_56_at_the_published_speedup(
    share: float, speedup: float, off: int
) -> None:
    """So many filters of each block's first convolution (Wang et al. 2023, Table 6).

    At 3.593 widths a channel away from those come as near to it.
    """
    work = on_the_grid("resnet-56", speedup, "l1-filter")
    channels = method("l1-filter").prune(work).channels
    kept = {position: int(mask.sum()) for position, mask in channels.items()}
    assert all(abs(kept[g.position] - g.size + math.ceil(share * g.size)) <= off for g in work.groups())
    assert work.costs().speedup(kept) == pytest.approx(speedup, rel=0.002)


@every_network
def test_random_filters_depend_on_the_seed_alone(kind: str) -> None:
    draws = [
        method("random-filter").prune(job(network(kind, weights), Goal(speedup=2), seed=seed)).channels
        for weights, seed in [(0, 5), (1, 5), (0, 6)]
    ]
    assert all(torch.equal(draws[0][p], draws[1][p]) for p in draws[0])
    assert not all(torch.equal(draws[0][p], draws[2][p]) for p in draws[0])


def seeded(work: Job, seed: int) -> Job:
    """The same job with other draws: its groups, which take long to find, are the same."""
    work.generator.manual_seed(seed)
    return work


def test_random_filters_are_uniform_within_a_group() -> None:
    """Over 300 seeds each channel stays about as often as any other of its group."""
    work = structured("plain")
    draws = [method("random-filter").prune(seeded(work, seed)).channels for seed in range(300)]
    for position, mask in draws[0].items():
        share = float(mask.float().mean())
        counts = torch.stack([draw[position] for draw in draws]).sum(0).double()
        assert float(((counts - 300 * share) / math.sqrt(300 * share * (1 - share) + 1e-9)).abs().max()) < 4


# -- BatchNorm scales -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["plain", "residual", "depthwise"])
def test_the_order_of_batchnorm_scales_is_that_of_their_magnitude(kind: str) -> None:
    """Neither signs nor filters matter where there is one BatchNorm."""
    expected = outcome("bn-scale", kind).channels
    model = network(kind)
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.weight.data[::2] *= -1
    found = method("bn-scale").prune(job(model, Goal(speedup=2))).channels
    assert all(torch.equal(found[p], expected[p]) for p in expected)
    for group in structured(kind).groups():
        if len(group.scales) == 1:
            assert torch.equal(module("bn-scale").scale(group), group.scales[0].abs())


def test_without_a_batchnorm_the_norm_of_the_filter_stands_in() -> None:
    for group in structured("linear").groups():
        expected = torch.stack([filters_of(group, k).norm() for k in range(group.size)])
        torch.testing.assert_close(module("bn-scale").scale(group), expected)


# -- geometric median -----------------------------------------------------------------------------------------------------


def group_of(filters: list[list[float]]) -> ChannelGroup:
    """The first group of a network whose first layer has these filters."""
    layers = nn.Sequential(nn.Flatten(), nn.Linear(len(filters[0]), len(filters)), nn.ReLU())
    layers.add_module("classifier", nn.Linear(len(filters), 2))
    layers[1].weight.data.copy_(torch.tensor(filters))
    data = made_up(10, (1, 1, len(filters[0])), 2)
    random = torch.Generator()
    work = Job(layers, "classifier", Goal(speedup=1), train=data, validation=data, needs=EVERYTHING, generator=random)
    return work.groups()[0]


def test_the_most_central_filter_has_the_lowest_score_however_large_it_is() -> None:
    found = module("fpgm").distances(group_of([[0.0, 9.0], [1.0, 9.0], [2.5, 9.0], [10.0, 9.0], [0.5, 0.1]]))
    assert int(found.argmin()) == 1
    assert found[0] == pytest.approx(1 + 2.5 + 10 + math.hypot(0.5, 8.9))


def test_distances_heed_signs() -> None:
    """Torch-Pruning takes magnitudes first: then -1 would be as good a neighbour of 1 as 1 itself."""
    found = module("fpgm").distances(group_of([[1.0], [1.25], [-1.0], [1.5]]))
    assert found.tolist() == [2.75, 2.75, 6.75, 3.25]


@every_network
def test_fpgm_keeps_the_filters_with_the_largest_sum_of_distances(kind: str) -> None:
    channels = outcome("fpgm", kind).channels
    for group in structured(kind).groups():
        rows = [filters_of(group, k).double() for k in range(group.size)]
        sums = torch.stack([sum(((row - other).square().sum().sqrt() for other in rows), torch.zeros(())) for row in rows])
        assert_highest_stay(sums, channels[group.position])


# -- Taylor expansion -----------------------------------------------------------------------------------------------------


@every_network
def test_taylor_scores_are_the_squared_gradients_of_gates(kind: str) -> None:
    """z = 1 is multiplied with the channels behind each BatchNorm, or behind the layer; the score is (dL/dz)^2."""
    work = structured(kind)
    batch = next(work.train_batches(1, 32))
    found = module("taylor-one-shot").contributions(work, batch)
    for group in work.groups():
        gate = torch.ones(group.size, requires_grad=True)

        def multiply(_: nn.Module, __: object, output: Tensor, gate: Tensor = gate) -> Tensor:
            return output * gate.view(-1, *(1,) * (output.dim() - 2))

        normed = [piece for piece in group.slices if piece.side == "norm"]
        makers = normed or [piece for piece in group.slices if piece.side == "out"]
        hooks = [piece.module.register_forward_hook(multiply) for piece in makers]
        F.cross_entropy(work.model(batch[0]), batch[1]).backward()
        for hook in hooks:
            hook.remove()
        torch.testing.assert_close(found[group.position], gate.grad.double().square(), rtol=1e-3, atol=1e-9)


@every_network
def test_taylor_leaves_batchnorm_statistics_alone(kind: str) -> None:
    model = network(kind)
    work = job(model, Goal(speedup=2))
    method("taylor-one-shot").prune(work)
    for name, tensor in model.named_buffers():
        assert torch.equal(tensor, dict(work.model.named_buffers())[name])


def test_taylor_adds_up_minibatches() -> None:
    """The mean of squares, not the square of the mean, which is near zero at a minimum of the loss."""
    work = structured("plain")
    one, two = [module("taylor-one-shot").contributions(work, batch) for batch in work.train_batches(2, 16)]
    channels = method("taylor-one-shot", batches=2, batch_size=16).prune(structured("plain")).channels
    expected = work.keep_channels({p: a + b for p, (a, b) in enumerate(zip(one, two, strict=True))}).channels
    assert all(torch.equal(channels[p], expected[p]) for p in expected)


# -- group norms ----------------------------------------------------------------------------------------------------------


@every_network
def test_the_group_norm_is_that_of_all_that_goes_with_a_channel(kind: str) -> None:
    """Groups are closed under dependency: the norm is what the network loses when the channel is really removed."""
    work = structured(kind)

    def squares(model: nn.Module) -> float:
        return sum(float(p.detach().double().square().sum()) for name, p in model.named_parameters() if "bias" not in name)

    for group in work.groups():
        without = [{group.position: torch.arange(group.size) != k} for k in range(group.size)]
        lost = torch.tensor([squares(work.model) - squares(remove_channels(work.model, [group], kept)) for kept in without])
        found = module("depgraph").group_norms(group)
        torch.testing.assert_close(found, lost.double() / lost.double().mean(), rtol=1e-5, atol=1e-6)
        assert float(found.mean()) == pytest.approx(1)


# -- candidates -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["digits-mlp", "digits-cnn"])
def test_candidates_of_eagleeye_meet_the_target_with_different_shares(name: str) -> None:
    work = on_the_grid(name, 2, "eagleeye")
    drawn = [module("eagleeye").candidate(work).channels for _ in range(20)]
    numbers = [{position: int(mask.sum()) for position, mask in channels.items()} for channels in drawn]
    assert all(work.costs().speedup(kept) == pytest.approx(2, rel=0.05) for kept in numbers)
    assert len({tuple(kept.values()) for kept in numbers}) > 5
    for channels in drawn:
        for group in work.groups():
            assert_highest_stay(group.filters[0].abs().sum(1), channels[group.position])


@pytest.mark.parametrize("kind", ["linear", "residual"])
def test_eagleeye_takes_the_candidate_that_validates_best(kind: str) -> None:
    eagle = module("eagleeye")
    settings = {"candidates": 6, "batches": 4, "batch_size": 25}
    found = method("eagleeye", **settings).prune(structured(kind)).channels
    work = structured(kind)
    calibration, validation = list(work.train_batches(4, 25)), list(work.validation_batches(4, 25))
    tried = [eagle.candidate(work).channels for _ in range(6)]
    shares = [eagle.accuracy(work.without_channels(channels), calibration, validation) for channels in tried]
    best = tried[shares.index(max(shares))]
    assert all(torch.equal(found[p], best[p]) for p in best)


def test_adaptive_batchnorm_changes_statistics_of_the_candidate_only() -> None:
    work = structured("residual")
    state = work.snapshot()
    candidate = work.without_channels(module("eagleeye").candidate(work).channels)
    parameters = {name: p.clone() for name, p in candidate.named_parameters()}
    before = candidate.bn1.running_mean.clone()
    module("eagleeye").accuracy(candidate, list(work.train_batches(3, 16)), list(work.validation_batches(1, 16)))
    assert not torch.equal(candidate.bn1.running_mean, before)
    assert all(torch.equal(p, parameters[name]) for name, p in candidate.named_parameters())
    assert all(torch.equal(tensor, state[name]) for name, tensor in work.model.state_dict().items())
    assert not any(part.training for part in candidate.modules())
