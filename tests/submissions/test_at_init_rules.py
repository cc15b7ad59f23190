"""The rules that prune before training, against their definitions."""

from __future__ import annotations

import copy
import itertools

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evaluator.bases import initial_model
from evaluator.counting import count
from evaluator.data.images import Images
from evaluator.device import repeatable
from tests.submissions.specimens import (
    NETWORKS,
    images,
    job,
    layers,
    method,
    module,
    network,
    outcome,
    submission,
    total,
)

every_network = pytest.mark.parametrize("kind", NETWORKS)


def flat(tensors: dict[int, Tensor]) -> Tensor:
    return torch.cat([tensors[i].flatten() for i in sorted(tensors)])


# -- random, magnitude ----------------------------------------------------------------------------------------------------


@every_network
def test_the_baselines_keep_what_their_counterparts_for_trained_networks_keep(kind):
    """On the same weights the rule is the same; only what the weights are differs."""
    for slug, counterpart in (("random-init", "random"), ("magnitude-init", "global-magnitude")):
        assert torch.equal(flat(outcome(slug, kind, 5).masks), flat(outcome(counterpart, kind, 5).masks))


# -- SNIP -----------------------------------------------------------------------------------------------------------------


def snip_scores(work, batch) -> Tensor:
    _, gradients = work.loss_and_gradients_by_batch(batch)
    return flat({i: (weight * gradients[i]).abs() for i, weight in work.weights()})


@every_network
def test_snip_equals_the_derivative_by_gates_of_one(kind):
    """|dL/dc| for c = 1, where c multiplies each weight in the forward pass."""
    work = job(network(kind), 5)
    (batch,) = work.train_batches(1, 128)
    model = network(kind).train()
    names = {id(p): name for name, p in model.named_parameters()}
    gates = {names[id(layer.weight)]: torch.ones_like(layer.weight, requires_grad=True) for layer in layers(model)}
    parameters = dict(model.named_parameters())
    gated = {name: parameters[name].detach() * gate for name, gate in gates.items()}
    loss = F.cross_entropy(torch.func.functional_call(model, gated, (batch[0],)), batch[1])
    expected = torch.cat([g.abs().flatten() for g in torch.autograd.grad(loss, list(gates.values()))])
    torch.testing.assert_close(snip_scores(work, batch), expected, rtol=1e-3, atol=1e-6)
    mask = flat(outcome("snip", kind, 4).masks)
    assert float(expected[mask].min()) >= float(expected[~mask].max()) - 1e-5


@every_network
def test_snip_does_not_depend_on_the_order_of_the_batch(kind, monkeypatch):
    work = job(network(kind), total(network(kind)) // 4)
    (batch,) = work.train_batches(1, 128)
    order = torch.randperm(128, generator=torch.Generator().manual_seed(1))
    shuffled = (batch[0][order], batch[1][order])
    torch.testing.assert_close(snip_scores(work, batch), snip_scores(work, shuffled), rtol=1e-3, atol=1e-6)
    masks = []
    for given in (batch, shuffled):
        monkeypatch.setattr(work, "train_batches", lambda count, size, given=given: iter([given]))
        masks.append(flat(method("snip").prune(work).masks))
    assert int((masks[0] != masks[1]).sum()) <= 2, "but for ties that rounding breaks"


# -- GraSP ----------------------------------------------------------------------------------------------------------------


def smooth() -> nn.Module:
    """A network whose loss has a second derivative everywhere."""
    torch.manual_seed(4)
    layers = nn.Sequential(nn.Flatten(), nn.Linear(108, 8), nn.Tanh(), nn.Linear(8, 6), nn.Tanh())
    layers.add_module("classifier", nn.Linear(6, 5))
    return layers.double()


def convolutional() -> nn.Module:
    torch.manual_seed(5)
    layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Conv2d(4, 5, 3), nn.Tanh(), nn.Flatten())
    layers.add_module("classifier", nn.Linear(20, 5))
    return layers.double()


def weighted(model: nn.Module) -> list[Tensor]:
    """What the gradient flows through, the classifier too."""
    return [part.weight for part in model.modules() if isinstance(part, (nn.Conv2d, nn.Linear))]


@pytest.mark.parametrize("build", [smooth, convolutional])
def test_grasp_scores_are_what_removal_adds_to_the_gradients_norm(build):
    """-w (H g) against a difference quotient of |g|^2 / 2 along the removal of single weights: sign and size."""
    model = build()
    weights = [layer.weight for layer in layers(model)]
    everything = weighted(model)
    inputs, labels = images().take(torch.arange(64))

    def loss() -> Tensor:
        return F.cross_entropy(model(inputs.double()) / 2.0, labels)

    def norm() -> float:
        return sum(float(g.square().sum()) for g in torch.autograd.grad(loss(), everything)) / 2

    products = module("grasp").hessian_gradient(loss(), everything, weights)
    scores = [-weight.detach() * product for weight, product in zip(weights, products, strict=True)]
    random = np.random.default_rng(0)
    for weight, score in zip(weights, scores, strict=True):
        for _ in range(6):
            at = np.unravel_index(random.integers(weight.numel()), weight.shape)
            value, step = float(weight[at].detach()), 1e-4
            found = []
            for sign in (1, -1):
                with torch.no_grad():
                    weight[at] = value * (1 - sign * step)
                found.append(norm())
            with torch.no_grad():
                weight[at] = value
            assert (found[0] - found[1]) / (2 * step) == pytest.approx(float(score[at]), rel=1e-4, abs=1e-10)


def grasp_scores(kind: str, whole: bool) -> Tensor:
    """-w (H g) as the derivative of |g|^2 / 2."""
    work = job(network(kind), 5)
    ((inputs, labels),) = work.train_batches(1, 128)
    with work.batch_statistics():
        loss = F.cross_entropy(work.model(inputs) / 200.0, labels)
    ranked = [layer.parameter for layer in work.layers()]
    gradients = torch.autograd.grad(loss, weighted(work.model) if whole else ranked, create_graph=True)
    half_norm = sum((gradient.square().sum() for gradient in gradients), torch.zeros(())) / 2
    products = torch.autograd.grad(half_norm, ranked)
    return flat({i: -weight * products[i] for i, weight in work.weights()})


@every_network
def test_grasp_removes_the_highest_scores(kind):
    """What goes has the highest -w (H g), positive scores first: not the smallest effect on the gradient's norm."""
    scores = grasp_scores(kind, whole=True)
    mask = flat(outcome("grasp", kind, 3).masks)
    assert float(scores[~mask].min()) >= float(scores[mask].max()) - 1e-6 * float(scores.abs().max())
    assert float(scores[mask].mean()) < 0 < float(scores[~mask].mean()) + 1e-12


@every_network
def test_the_gradient_of_the_classifier_counts_for_grasp(kind):
    """As in the authors' code, though the classifier is not ranked: without it other weights would go."""
    mask = flat(outcome("grasp", kind, 3).masks)
    number = int((~mask).sum())
    assert sorted(grasp_scores(kind, whole=True).topk(number).indices.tolist()) == (~mask).nonzero().flatten().tolist()
    assert sorted(grasp_scores(kind, whole=False).topk(number).indices.tolist()) != (~mask).nonzero().flatten().tolist()


class Attending(nn.Module):
    """Attention in one fused operation, as many networks have it."""

    def __init__(self) -> None:
        super().__init__()
        self.inputs = nn.Linear(18, 12)
        self.classifier = nn.Linear(4, 5)

    def forward(self, images: Tensor) -> Tensor:
        query, key, value = self.inputs(images.flatten(2).unflatten(2, (2, 18)).flatten(1, 2)).chunk(3, dim=2)
        return self.classifier(F.scaled_dot_product_attention(query, key, value).mean(1))


@pytest.fixture
def as_in_the_sandbox():
    before = torch.are_deterministic_algorithms_enabled(), torch.utils.deterministic.fill_uninitialized_memory
    fused = torch.backends.cuda.flash_sdp_enabled(), torch.backends.cuda.mem_efficient_sdp_enabled()
    repeatable()
    yield
    torch.use_deterministic_algorithms(before[0])
    torch.utils.deterministic.fill_uninitialized_memory = before[1]
    torch.backends.cuda.enable_flash_sdp(fused[0])
    torch.backends.cuda.enable_mem_efficient_sdp(fused[1])


@pytest.mark.usefixtures("as_in_the_sandbox")
def test_attention_has_second_derivatives_where_methods_run():
    work = job(Attending().eval(), 50)
    mask = method("grasp").prune(work).masks[0]
    assert int(mask.sum()) == 50


# -- SynFlow --------------------------------------------------------------------------------------------------------------


def bare(kind: str) -> nn.Module:
    """Without BatchNorm and biases, which take a share of the flow."""
    model = copy.deepcopy(network(kind))
    for name, part in list(model.named_modules()):
        if isinstance(part, nn.BatchNorm2d):
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, nn.Identity())
        elif getattr(part, "bias", None) is not None:
            part.bias = None
    return model.eval()


def positive(model: nn.Module, keep: int):
    work = job(model, keep)
    work.model.double()
    for tensor in (*work.model.parameters(), *work.model.buffers()):
        tensor.detach().abs_()
    return work


@pytest.mark.parametrize("kind", ["linear", "plain"])
def test_synflow_is_conserved_from_layer_to_layer(kind):
    """The scores of each layer add up to the sum of the outputs."""
    work = positive(bare(kind), 5)
    flow = float(work.model(torch.ones(1, *work.shape, dtype=torch.float64)).sum().detach())
    for scores in module("synflow").synaptic_flow(work).values():
        assert float(scores.sum()) == pytest.approx(flow, rel=1e-9)


def test_synflow_of_one_path_is_the_product_along_it():
    model = nn.Sequential(nn.Flatten(), nn.Linear(108, 1, bias=False), nn.ReLU(), nn.Linear(1, 1, bias=False), nn.ReLU())
    model.add_module("classifier", nn.Linear(1, 5, bias=False))
    scores = module("synflow").synaptic_flow(positive(model, 5))
    first, second, last = (p.detach().double().abs() for p in model.parameters())
    torch.testing.assert_close(scores[0], first * second * last.sum())
    torch.testing.assert_close(scores[1], first.sum() * second * last.sum())


@pytest.mark.parametrize("kind", ["linear", "plain"])
def test_synflow_empties_no_layer(kind):
    """One weight in a hundred, and still a path through every layer; the model is left as it was."""
    model = network(kind)
    work = job(model, max(total(model) // 100, 3 * len(layers(model))))
    masks = method("synflow").prune(work).masks
    assert all(mask.any() for mask in masks.values())
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), work.model.parameters(), strict=True))


@every_network
def test_synflow_never_takes_back_what_it_removed(kind, monkeypatch):
    """Round by round, by an exponential schedule that ends at the target."""
    keep = total(network(kind)) // 20
    work = job(network(kind), keep)
    seen: list[Tensor] = []
    highest = work.keep_highest

    def spy(scores, scope, *, keep):
        found = highest(scores, scope, keep=keep)
        seen.append(flat(found.masks))
        return found

    monkeypatch.setattr(work, "keep_highest", spy)
    method("synflow").prune(work)
    assert len(seen) == 100
    counts = [int(mask.sum()) for mask in seen]
    assert counts == [round(work.total * work.density ** (k / 100)) for k in range(1, 101)]
    assert counts[-1] == keep
    assert not any((later & ~earlier).any() for earlier, later in itertools.pairwise(seen))


@every_network
def test_synflow_reads_no_data(kind):
    """The same masks whatever the images: there is no way to them without needs.data, and none is asked for."""
    keep = total(network(kind)) // 5
    work = job(network(kind), keep)
    work._train = work._validation = None
    assert torch.equal(flat(method("synflow").prune(work).masks), flat(outcome("synflow", kind, 5).masks))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_at_100x_magnitude_collapses_and_snip_keeps_less_connected_than_synflow(seed):
    """On LeNet-300-100 as it is initialised, off the grid; SNIP sees noise. After training at 32x: test_known_orders.py."""
    name, shape = "lenet-300-100", (1, 28, 28)
    model, random = initial_model(name, seed), torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (500, *shape), dtype=torch.uint8, generator=random)
    noise = Images(pixels, torch.arange(500) % 10, torch.full((1, 1, 1, 1), 1 / 64), torch.full((1, 1, 1, 1), -2.0))
    found = {}
    for slug in ("magnitude-init", "snip", "synflow"):
        work = job(model, total(model) // 100, needs=submission(slug).metadata.needs, data=noise)
        found[slug] = count(model, "classifier", shape, method(slug).prune(work).masks)
    assert {slug: counts.collapsed for slug, counts in found.items()} == {slug: slug == "magnitude-init" for slug in found}
    assert found["magnitude-init"].effective < found["snip"].effective < found["synflow"].effective
