"""The rule that searches for widths: TAS."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evaluator.contract import Job, Step
from evaluator.job import Goal
from evaluator.networks import architecture
from tests.evaluator.grids import made_up
from tests.submissions.channel_training import (
    every_network,
    numbers,
    sparse_training,
    spy,
)
from tests.submissions.specimens import EVERYTHING, method, module, permission


def averages(given: int, made: int) -> list[list[float]]:
    """Row i averages the channels from floor(i given / made) up to ceil((i + 1) given / made)."""
    rows = []
    for i in range(made):
        first, last = i * given // made, -(-(i + 1) * given // made)
        rows.append([1 / (last - first) if first <= j < last else 0.0 for j in range(given)])
    return rows


@pytest.mark.parametrize(("given", "made"), [(1, 1), (1, 4), (2, 4), (3, 4), (3, 5), (5, 5), (4, 7)])
def test_fragments_are_interpolated_along_the_channels(given: int, made: int) -> None:
    found = module("tas").interpolation(given, made, 8)
    expected = torch.zeros(8, 8)
    expected[:made, :given] = torch.tensor(averages(given, made))
    torch.testing.assert_close(found, expected)


def test_a_fragment_of_the_larger_width_stays_as_it_is() -> None:
    found = module("tas").aggregation([3, 5], torch.tensor([0.0, 1.0]), 6)
    assert torch.equal(found, torch.diag(torch.tensor([1.0, 1, 1, 1, 1, 0])))


@pytest.mark.parametrize("name", ["digits-cnn", "lenet-5-caffe"])
def test_layers_read_the_mixture_of_channels(name: str) -> None:
    """For kernels, and for a Linear that reads the pixels of maps one channel after the other."""
    kind = architecture(name)
    data = made_up(4, kind.shape)
    random = torch.Generator().manual_seed(0)
    work = Job(
        kind.build(), kind.classifier, Goal(speedup=2), train=data, validation=data, needs=EVERYTHING, generator=random
    )
    readers = [(group, piece) for group in work.groups() for piece in group.slices if piece.side == "in"]
    assert readers
    for group, piece in readers:
        matrix = torch.randn(group.size, group.size, generator=random)
        maps = torch.randn(3, group.size, piece.width, generator=random)
        mixed = torch.stack([sum(matrix[i, j] * maps[:, j] for j in range(group.size)) for i in range(group.size)], 1)
        values, expected = maps.flatten(1), mixed.flatten(1)
        if isinstance(piece.module, nn.Conv2d):
            values, expected = (t.view(3, group.size, 1, 1).expand(3, -1, 2, 3) for t in (values, expected))
        torch.testing.assert_close(module("tas").across(matrix, piece, values), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("found", "sign"), [(106, 1), (104, 0), (100, 0), (96, 0), (94, -1)])
def test_the_cost_has_the_sign_of_the_distance_to_the_target(found: float, sign: int) -> None:
    expected = torch.tensor(300.0, requires_grad=True)
    loss = module("tas").cost_loss(expected, found, 100, 0.05)
    assert float(loss.detach()) == pytest.approx(sign * math.log(300))
    loss.backward()
    assert float(expected.grad) == pytest.approx(sign / 300)


def searched(work: Job, monkeypatch: pytest.MonkeyPatch, **changes: float) -> tuple[Tensor, list[dict[str, Tensor]]]:
    """The logits that a search learns, and what it remembers after each step of it."""
    learned: list[Tensor] = []
    seen: list[dict[str, Tensor]] = []

    def see(number: int, options) -> None:
        if number:
            assert not options
            return
        learned.extend(options["learn"])
        hook = options["after_step"]
        seen.append(dict(work.memory))

        def after_step(step: Step) -> None:
            hook(step)
            seen.append(dict(work.memory))

        options["after_step"] = after_step

    spy(work, monkeypatch, see)
    method("tas", **changes).prune(work)
    (logits,) = learned
    return logits.detach(), seen


@every_network
def test_probabilities_sum_to_one_and_two_different_choices_are_drawn(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    work = sparse_training(kind)
    logits, seen = searched(work, monkeypatch, share=0.5)
    assert logits.shape == (len(work.groups()), 8)
    assert logits.any(), "the distributions are learned"
    torch.testing.assert_close(logits.softmax(1).sum(1), torch.ones(len(logits)))
    assert len(seen) == 2 * 4 + 1  # before the first step, and after each of two epochs
    for memory in seen:
        shares = ((logits.log_softmax(1) + memory["noise"]) / memory["tau"]).gather(1, memory["drawn"]).softmax(1)
        torch.testing.assert_close(shares.sum(1), torch.ones(len(logits)))
        assert all(one != other for one, other in memory["drawn"].tolist())
        matrix = module("tas").aggregation([2, 4], shares[0], 6)
        torch.testing.assert_close(matrix.sum(1), torch.tensor([1.0, 1, 1, 1, 0, 0]))
    taus = [float(memory["tau"]) for memory in seen]
    assert taus == sorted(taus, reverse=True)
    assert (taus[0], taus[-1]) == (5, pytest.approx(5 - 4.9 * 7 / 8))


def test_draws_follow_the_probabilities() -> None:
    """The likeliest of the perturbed choices is drawn first as often as softmax(logits) says: the Gumbel-max trick."""
    work = sparse_training("linear")
    captured: dict[str, object] = {}

    def stop(epochs, **options):
        captured.update(options)
        raise InterruptedError

    work.train = stop  # type: ignore[method-assign]
    with pytest.raises(InterruptedError):
        method("tas", coldest=0.01).search(work)
    (logits,) = captured["learn"]  # type: ignore[misc]
    wanted = torch.tensor([0.4, 0.25, 0.15, 0.1, 0.04, 0.03, 0.02, 0.01])
    logits.detach().copy_(wanted.log().expand_as(logits))
    draw = captured["after_step"]
    counts, number = torch.zeros(8), 1500
    for _ in range(number):
        draw(Step(1, 1, 0.0))  # type: ignore[operator]
        counts += F.one_hot(work.memory["drawn"][:, 0], 8).sum(0)
    share = counts / counts.sum()
    assert torch.all((share - wanted).abs() < 4 * (wanted * (1 - wanted) / counts.sum()).sqrt() + 1e-3)


@every_network
def test_the_expected_cost_is_that_at_expected_widths(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And its gradient lowers the logits of wide choices where the network found is too large, or raises them."""
    work = sparse_training(kind)
    costs = work.costs()
    widths = torch.tensor([[max(round(g.size * r / 10), 1) for r in range(3, 11)] for g in work.groups()])

    def see(number: int, options) -> None:
        if number:
            return
        (logits,) = options["learn"]
        for best, sign in ((7, 1), (0, -1)):
            with torch.no_grad():
                logits.zero_()[:, best] = 0.5
            loss = options["penalty"](Step(0, 1, 0.0))
            expected = (logits.detach().softmax(1) * widths).sum(1)
            macs = costs.macs(dict(enumerate(expected.tolist())))
            assert float(loss.detach()) == pytest.approx(2 * sign * math.log(macs), rel=1e-5)
            (gradient,) = torch.autograd.grad(loss, logits)
            assert torch.all(sign * (gradient[:, 7] - gradient[:, 0]) >= 0)
            assert gradient.any()
        with torch.no_grad():
            logits.zero_()

    spy(work, monkeypatch, see)
    method("tas").prune(work)


def test_the_expected_cost_is_the_mean_over_all_networks_where_widths_are_independent() -> None:
    costs = sparse_training("linear").costs()
    p = torch.tensor([[0.2, 0.8], [0.7, 0.3]])
    widths = torch.tensor([[10.0, 30.0], [5.0, 20.0]])
    mean = sum(
        float(p[0, i] * p[1, j]) * costs.macs({0: int(widths[0, i]), 1: int(widths[1, j])})
        for i, j in itertools.product(range(2), repeat=2)
    )
    assert float(costs.macs(dict(enumerate((p * widths).sum(1))))) == pytest.approx(mean)


def test_a_network_in_search_computes_with_aggregated_fragments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Element by element: relu, then the two fragments, pooled and weighted, then the next layer."""
    work = sparse_training("linear")
    compared = []

    def aggregated(values: Tensor, position: int, logits: Tensor) -> Tensor:
        one, other = work.memory["drawn"][position].tolist()
        size = values.shape[1]
        widths = [max(round(size * (3 + k) / 10), 1) for k in (one, other)]
        scores = (logits.softmax(1).log() + work.memory["noise"])[position] / work.memory["tau"]
        weights = [scores[one].exp() / (scores[one].exp() + scores[other].exp())]
        weights.append(1 - weights[0])
        total = torch.zeros_like(values)
        for weight, width in zip(weights, widths, strict=True):
            rows = torch.tensor(averages(width, max(widths)))
            total[:, : max(widths)] += weight * (values[:, :width] @ rows.T)
        return total

    def see(number: int, options) -> None:
        inputs = torch.randn(5, 3, 6, 6, generator=torch.Generator().manual_seed(2))
        layers = [part for part in work.model if isinstance(part, nn.Linear)]
        values = inputs.flatten(1)
        for position, layer in enumerate(layers[:-1]):
            values = torch.relu(F.linear(values, layer.weight, layer.bias))  # past the hooks
            if not number:
                values = aggregated(values, position, options["learn"][0])
        expected = F.linear(values, layers[-1].weight, layers[-1].bias)
        torch.testing.assert_close(work.model(inputs), expected, rtol=1e-4, atol=1e-5)
        compared.append(number)

    spy(work, monkeypatch, see)
    method("tas").prune(work)
    assert compared == [0, 1], "the second training is that of the plain network"


@every_network
@pytest.mark.parametrize("epochs", [1, 5, 6])
def test_the_first_channels_stay_and_the_last_of_the_likeliest_widths_go(
    kind: str, epochs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = sparse_training(kind, epochs=epochs)
    found: list[dict[int, int]] = []
    tas = method("tas")
    search = tas.search
    monkeypatch.setattr(tas, "search", lambda job: found.append(search(job)) or found[0])
    channels = tas.prune(work).channels
    assert work.epochs_left == 0
    order = {}
    for group in work.groups():
        mask, width = channels[group.position], found[0][group.position]
        assert mask[: int(mask.sum())].all()
        assert width in {max(round(group.size * r / 10), 1) for r in range(3, 11)}
        order[group.position] = torch.tensor([-(k + 0.5) / width for k in range(group.size)])
    expected = work.keep_channels(order).channels
    assert all(torch.equal(channels[p], expected[p]) for p in expected)


@pytest.mark.parametrize("speedup", [1.5, 2, 3])
def test_the_widths_found_are_scaled_by_one_factor(speedup: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which may exceed 1, up to all channels of a group."""
    kind = architecture("digits-mlp")
    model, data = kind.build(), made_up(100, kind.shape)
    random = torch.Generator().manual_seed(0)
    training = permission(model, 1, data=data)
    goal, needs = Goal(speedup=speedup), EVERYTHING
    work = Job(model, kind.classifier, goal, train=data, validation=data, needs=needs, generator=random, training=training)
    tas = method("tas")
    monkeypatch.setattr(tas, "search", lambda _: {0: 60, 1: 20})
    first, second = numbers(tas.prune(work).channels).values()
    low, high = (first - 0.5) / 60, (first + 0.5) / 60
    assert (second - 0.5) / 20 <= high
    assert low <= (second + 0.5) / 20
