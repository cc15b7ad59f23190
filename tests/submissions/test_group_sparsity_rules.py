"""The rule that makes whole groups of weights small before they go: DepGraph with sparse training."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor, nn

from evaluator.channels import remove_channels
from evaluator.contract import ChannelGroup, Slice, Step
from evaluator.job import Goal
from tests.submissions.channel_training import (
    every_network,
    numbers,
    sparse_training,
    spy,
)
from tests.submissions.specimens import job, method, module, network

two_networks = pytest.mark.parametrize("kind", ["plain", "residual"])


def test_the_least_important_channel_is_shrunk_sixteen_times_as_strongly_as_the_most_important() -> None:
    strengths = module("depgraph-sparse").strengths
    torch.testing.assert_close(strengths(torch.tensor([1.0, 3.0, 2.0]), 4.0), torch.tensor([16.0, 1.0, 4.0]))
    assert strengths(torch.full((3,), 0.7), 4.0).tolist() == [1.0, 1.0, 1.0], "all alike"


def weights_of(piece: Slice, channel: int) -> tuple[slice | int, ...]:
    """Where in the weight of a slice's module the weights of a channel are."""
    if piece.side == "in":
        return (slice(None), slice(channel * piece.width, (channel + 1) * piece.width))
    return (channel,)


def importance_of(group: ChannelGroup, channel: int) -> float:
    return sum(float(p.weight.double()[weights_of(p, channel)].square().sum()) for p in group.slices)


@every_network
def test_importance_is_all_that_the_network_loses_with_a_channel(kind: str) -> None:
    work = job(network(kind), Goal(speedup=2))

    def squares(model: nn.Module) -> float:
        return sum(float(p.detach().double().square().sum()) for name, p in model.named_parameters() if "bias" not in name)

    for group in work.groups():
        without = [{group.position: torch.arange(group.size) != k} for k in range(group.size)]
        lost = [squares(work.model) - squares(remove_channels(work.model, [group], kept)) for kept in without]
        torch.testing.assert_close(module("depgraph-sparse").importances(group), torch.tensor(lost), rtol=1e-4, atol=1e-6)


@every_network
def test_lambda_gamma_w_goes_onto_the_gradient_of_every_coupled_weight(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    work = sparse_training(kind)
    compared = []

    def see(number: int, options) -> None:
        if number:
            assert not options, "after pruning nothing is shrunk any more"
            return
        parameters = list(work.model.parameters())
        random = torch.Generator().manual_seed(0)
        before = [torch.randn(p.shape, generator=random) for p in parameters]
        for p, gradient in zip(parameters, before, strict=True):
            p.grad = gradient.clone()
        with torch.no_grad():
            options["after_backward"](Step(0, 1, 0.0))
        expected = {id(p): gradient.clone() for p, gradient in zip(parameters, before, strict=True)}
        for group in work.groups():
            importances = [importance_of(group, k) for k in range(group.size)]
            span = max(importances) - min(importances)
            for k, piece in itertools.product(range(group.size), group.slices):
                gamma = 2 ** (4 * (max(importances) - importances[k]) / span)
                place = weights_of(piece, k)
                expected[id(piece.module.weight)][place] += 0.01 * gamma * piece.weight[place]
        for p in parameters:
            torch.testing.assert_close(p.grad, expected[id(p)], rtol=1e-4, atol=1e-5)
            p.grad = None
        compared.append(number)

    spy(work, monkeypatch, see)
    method("depgraph-sparse", regularisation=0.01).prune(work)
    assert compared == [0]


@two_networks
def test_sparse_training_widens_the_gap_between_channels(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def smallest(regularisation: float) -> list[float]:
        work, ratios = sparse_training(kind, epochs=12), []

        def see(number: int, _) -> None:
            if number:
                for group in work.groups():
                    importances = [importance_of(group, k) for k in range(group.size)]
                    ratios.append(min(importances) / max(importances))

        spy(work, monkeypatch, see)
        method("depgraph-sparse", regularisation=regularisation).prune(work)
        return ratios

    with_it, without = smallest(0.02), smallest(0.0)
    assert all(one < other for one, other in zip(with_it, without, strict=True))


@every_network
@pytest.mark.parametrize("epochs", [1, 5, 6])
def test_the_smallest_groups_go_after_sparse_training(kind: str, epochs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    work = sparse_training(kind, epochs=epochs)
    expected: list[dict[int, Tensor]] = []

    def see(number: int, _) -> None:
        if number:
            scores = {}
            for group in work.groups():
                norms = torch.tensor([importance_of(group, k) for k in range(group.size)])
                scores[group.position] = norms / norms.mean()
            expected.append(dict(work.keep_channels(scores).channels))

    spy(work, monkeypatch, see)
    found = method("depgraph-sparse").prune(work).channels
    assert work.epochs_left == 0
    assert len(expected) == (epochs > 1)
    for channels in expected:
        # before the rest of the training nothing was touched yet, so that the norms are those that decided
        assert all(torch.equal(found[p], channels[p]) for p in channels)


# -- both that train ------------------------------------------------------------------------------------------------------


@every_network
@pytest.mark.parametrize("slug", ["tas", "depgraph-sparse"])
def test_the_rest_is_trained_without_the_channels_that_go(slug: str, kind: str) -> None:
    """The network that is left computes what the trained one does, in which they are silent."""
    work = sparse_training(kind)
    found = method(slug).prune(work)
    images = torch.randn(5, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    smaller = work.without_channels(found.channels)
    with torch.no_grad():
        torch.testing.assert_close(smaller(images), work.model(images), rtol=1e-4, atol=1e-4)
    assert work.costs().speedup(numbers(found.channels)) == pytest.approx(2, rel=0.1)
