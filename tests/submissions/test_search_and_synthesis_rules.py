"""The rules that search for widths, dream up images, or make whole groups of weights small before they go."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evaluator.channels import remove_channels
from evaluator.contract import ChannelGroup, Job, Pruned, Slice, Step
from evaluator.job import Goal
from evaluator.metadata import Needs
from evaluator.networks import architecture
from tests.evaluator.grids import made_up
from tests.submissions.specimens import EVERYTHING, NETWORKS, job, method, module, network, permission
from tests.submissions.specimens import images as pictures

every_network = pytest.mark.parametrize("kind", NETWORKS)
two_networks = pytest.mark.parametrize("kind", ["plain", "residual"])


def sparse_training(kind: str, speedup: float = 2, epochs: int = 4, **recipe: float | str) -> Job:
    model = network(kind)
    return job(model, Goal(speedup=speedup), training=permission(model, epochs, continuous=True, **recipe))


def spy(work: Job, monkeypatch: pytest.MonkeyPatch, see) -> None:
    """Call ``see(number of the call, its options)`` before every training that a method asks for."""
    train, calls = work.train, itertools.count()

    def spied(epochs, **options):
        see(next(calls), options)
        return train(epochs, **options)

    monkeypatch.setattr(work, "train", spied)


def numbers(found: Pruned) -> dict[int, int]:
    return {position: int(mask.sum()) for position, mask in found.channels.items()}


# -- TAS ------------------------------------------------------------------------------------------------------------------


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
    first, second = numbers(tas.prune(work)).values()
    low, high = (first - 0.5) / 60, (first + 0.5) / 60
    assert (second - 0.5) / 20 <= high
    assert low <= (second + 0.5) / 20


# -- DeepInversion --------------------------------------------------------------------------------------------------------


def dreamer(kind: str, **changes: float) -> tuple[object, Job]:
    nothing = Needs(data=False, labels=False, gradients=False)
    return method("deepinversion", **changes), job(network(kind), Goal(speedup=2), needs=nothing)


def test_variation_is_the_distance_to_the_shifted_image_along_four_directions() -> None:
    images = torch.randn(3, 2, 4, 5, generator=torch.Generator().manual_seed(0))
    total = 0.0
    for image in images:
        for down, right in ((1, 0), (0, 1), (1, 1), (1, -1)):
            squares = 0.0
            for c, y, x in itertools.product(range(2), range(4 - down), range(5)):
                if 0 <= x + right < 5:
                    squares += float(image[c, y + down, x + right] - image[c, y, x]) ** 2
            total += math.sqrt(squares) / 3
    assert float(module("deepinversion").variation(images)) == pytest.approx(total, rel=1e-5)


def statistics(model: nn.Module, images: Tensor) -> float:
    """Of every BatchNorm the distances of mean and variance to the running ones, one channel at a time."""
    total = 0.0

    def watch(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        nonlocal total
        values = inputs[0].detach().double()
        means, variances = 0.0, 0.0
        for c in range(values.shape[1]):
            channel = values[:, c]
            mean = channel.sum() / channel.numel()
            means += float(mean - norm.running_mean[c]) ** 2
            variances += float((channel - mean).square().sum() / channel.numel() - norm.running_var[c]) ** 2
        total += math.sqrt(means) + math.sqrt(variances)

    hooks = [part.register_forward_pre_hook(watch) for part in model.modules() if isinstance(part, nn.BatchNorm2d)]
    with torch.no_grad():
        model(images)
    for hook in hooks:
        hook.remove()
    return total


@every_network
def test_the_objective_of_dreams_is_the_sum_of_its_four_parts(kind: str) -> None:
    dream, work = dreamer(kind, smoothness=0.3, size=0.2, statistics=0.7)
    random = torch.Generator().manual_seed(1)
    images = torch.randn(6, 3, 6, 6, generator=random)
    labels = torch.randint(0, 5, (6,), generator=random)
    logits = work.model(images).detach().double()
    error = -sum(float(logits[n, y] - logits[n].exp().sum().log()) for n, y in enumerate(labels.tolist())) / 6
    size = sum(math.sqrt(float(image.square().sum())) for image in images) / 6
    variation = float(module("deepinversion").variation(images))
    expected = error + 0.3 * variation + 0.2 * size + 0.7 * statistics(work.model, images)
    assert float(dream.objective(work, images, labels).detach()) == pytest.approx(expected, rel=1e-4)
    assert not any(part._forward_pre_hooks for part in work.model.modules())


@every_network
def test_dreams_come_nearer_to_their_labels_and_to_the_statistics(kind: str) -> None:
    """In a network whose running statistics are those of images, which random ones are not."""
    dream, work = dreamer(kind, steps=60)
    work.model.train()
    with torch.no_grad():
        for _ in range(50):
            work.model(pictures(500).take(torch.arange(500))[0])
    work.model.eval()
    noise, labels = method("deepinversion", steps=0).dream(work)
    work.generator.manual_seed(0)
    images, same = dream.dream(work)
    assert images.shape == (48, 3, 6, 6)
    assert torch.equal(labels, same)
    assert set(labels.tolist()) == set(range(5))
    assert float(images.abs().max()) <= 3
    with torch.no_grad():
        assert F.cross_entropy(work.model(images), labels) < F.cross_entropy(work.model(noise), labels)
    if kind != "linear":
        assert statistics(work.model, images) < 0.7 * statistics(work.model, noise)


@every_network
def test_channels_are_scored_by_taylor_on_dreamt_batches(kind: str) -> None:
    dream, work = dreamer(kind, steps=5)
    found = dream.prune(work).channels
    dream, work = dreamer(kind, steps=5)
    images, labels = dream.dream(work)
    reference = job(network(kind), Goal(speedup=2))
    batches = [(images[i : i + 16], labels[i : i + 16]) for i in range(0, 48, 16)]
    scores = [module("taylor-one-shot").contributions(reference, batch) for batch in batches]
    for one, other in zip(scores[0], module("deepinversion").contributions(work, batches[0]), strict=True):
        torch.testing.assert_close(one, other)
    total = {p: torch.stack(part).sum(0) for p, part in enumerate(zip(*scores, strict=True))}
    expected = reference.keep_channels(total).channels
    assert all(torch.equal(found[p], expected[p]) for p in expected)


# -- DepGraph with sparse training ----------------------------------------------------------------------------------------


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
    assert work.costs().speedup(numbers(found)) == pytest.approx(2, rel=0.1)
