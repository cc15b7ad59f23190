"""What a method may rely on: layers, data, gradients, inputs and outcomes of a Job."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from evaluator.channels import silence
from evaluator.contract import Pruned, PruningMethod
from evaluator.errors import ContractError, InvalidOutcome
from evaluator.job import Goal
from evaluator.layers import Layer
from evaluator.metadata import Needs
from tests.submissions.specimens import NETWORKS, images, job, layers, network, total

every_network = pytest.mark.parametrize("kind", NETWORKS)
NOTHING = Needs(data=False, labels=False, gradients=False)
UNLABELLED = Needs(data=True, labels=False, gradients=False)


@every_network
def test_layers_are_convolutions_and_linear_layers_without_the_classifier(kind):
    model = network(kind)
    work = job(model, 5)
    assert [layer.position for layer in work.layers()] == list(range(len(layers(model))))
    assert model.classifier.weight.shape not in [layer.weight.shape for layer in work.layers()]
    assert work.density == pytest.approx(5 / total(model))


@every_network
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_a_layer_is_its_matrix_times_its_patches(kind, memory_format):
    """matrix @ patches gives the layer's output without bias, for every kind of convolution."""
    work = job(network(kind).to(memory_format=memory_format), 5)
    seen: dict[int, torch.Tensor] = {}
    work.visit_inputs(images().take(torch.arange(7))[0], lambda layer, inputs: seen.update({layer.position: inputs.clone()}))
    assert sorted(seen) == [layer.position for layer in work.layers()]
    for layer in work.layers():
        inputs = seen[layer.position]
        product = layer.matrix @ layer.patches(inputs).mT
        with torch.no_grad():
            output = layer.module(inputs)
        if layer.module.bias is not None:
            output = output - layer.module.bias.view(-1, *(1,) * (output.dim() - 2))
        flat = output.movedim(1, 0).reshape(product.shape)
        torch.testing.assert_close(product, flat, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("padding", [(2, 1), "same", "valid"])
def test_patches_hold_what_a_convolution_pads_its_inputs_with(padding, mode):
    torch.manual_seed(0)
    conv = nn.Conv2d(4, 6, (3, 5), padding=padding, padding_mode=mode, dilation=(2, 1), groups=2, bias=False)
    inputs = torch.randn(5, 4, 9, 8)
    layer = Layer(0, conv)
    expected = conv(inputs).detach()
    product = layer.matrix @ layer.patches(inputs).mT
    torch.testing.assert_close(product, expected.movedim(1, 0).reshape(product.shape), rtol=1e-4, atol=1e-4)


@every_network
def test_what_a_visitor_does_holds_for_the_layers_behind(kind):
    """Zeroed layers give zero inputs (plus biases and BatchNorm) further on; the visitor's result is ignored."""
    model = network(kind)
    work = job(model, 5)
    first: dict[int, torch.Tensor] = {}
    changed: dict[int, torch.Tensor] = {}
    inputs = images().take(torch.arange(4))[0]
    work.visit_inputs(inputs, lambda layer, x: first.setdefault(layer.position, x.clone()))

    def zero(layer, x):
        changed[layer.position] = x.clone()
        layer.weight.zero_()
        return x * 0 + 1  # must not become the layer's input

    work.visit_inputs(inputs, zero)
    assert torch.equal(first[0], changed[0])
    assert not torch.equal(first[1], changed[1])
    assert not any(module._forward_pre_hooks for module in work.model.modules())


@pytest.mark.parametrize("look", ["visit_inputs", "visit_channels"])
def test_hooks_go_even_when_a_visitor_fails(look):
    work = job(network("plain"), 5)

    def fail(*_):
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        getattr(work, look)(images().take(torch.arange(4))[0], fail)
    assert not any(module._forward_pre_hooks or module._forward_hooks for module in work.model.modules())


@every_network
def test_every_place_of_a_group_is_visited_channel_by_channel(kind):
    """What a layer makes has as many channels as its group, and one that is silenced is silent wherever it passes."""
    work = job(network(kind), 5)
    gone = {group.position: torch.arange(group.size) == group.size - 1 for group in work.groups()}
    silence(work.model, work.groups(), {position: ~mask for position, mask in gone.items()})
    seen: list[tuple[int, str]] = []

    def visit(group, piece, maps):
        seen.append((group.position, piece.name))
        assert maps.shape[:2] == (4, group.size)
        assert not maps[:, gone[group.position]].any()
        assert maps[:, ~gone[group.position]].any()

    work.visit_channels(images().take(torch.arange(4))[0], visit)
    assert sorted(seen) == sorted((group.position, piece.name) for group in work.groups() for piece in group.slices)
    assert not any(module._forward_pre_hooks or module._forward_hooks for module in work.model.modules())


@every_network
def test_gradients_are_those_of_the_mean_cross_entropy_in_eval_mode(kind):
    work = job(network(kind), 5)
    work.model.train()
    batch = images().take(torch.arange(20))
    loss, gradients = work.loss_and_gradients(batch)
    model = network(kind)
    expected = F.cross_entropy(model(batch[0]), batch[1])
    expected.backward()
    assert loss == pytest.approx(expected.item(), rel=1e-5)
    for i, layer in enumerate(layers(model)):
        torch.testing.assert_close(gradients[i], layer.weight.grad)
    assert all(parameter.grad is None for parameter in work.model.parameters())


def test_a_layer_that_is_not_used_has_a_gradient_of_zero():
    class Spare(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.spare = nn.Linear(3, 3)
            self.classifier = nn.Linear(108, 5)

        def forward(self, x):
            return self.classifier(x.flatten(1))

    work = job(Spare(), 5)
    assert not work.loss_and_gradients(images().take(torch.arange(4)))[1][0].any()


def test_batches_hold_different_images_and_depend_on_the_seed_alone():
    work = job(network("linear"), 5, seed=4)
    torch.manual_seed(1)
    first = [labels for _, labels in work.train_batches(3, 100)]
    torch.manual_seed(2)
    again = [labels for _, labels in job(network("plain"), 9, seed=4).train_batches(3, 100)]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    ((whole, _),) = job(network("linear"), 5).train_batches(1, len(images()))
    assert len(torch.unique(whole.flatten(1), dim=0)) == len(torch.unique(images().pixels.flatten(1), dim=0))
    ((validation, _),) = job(network("linear"), 5).validation_batches(1, 1000)
    assert len(validation) == 100


def test_a_method_gets_only_what_it_asks_for():
    model = network("linear")
    with pytest.raises(ContractError, match="says that it does not"):
        next(iter(job(model, 5, needs=NOTHING).train_batches(1, 4)))
    ((inputs, labels),) = job(model, 5, needs=UNLABELLED).train_batches(1, 4)
    assert labels.tolist() == [-1] * 4
    with pytest.raises(ContractError, match="says that it does not"):
        job(model, 5, needs=UNLABELLED).loss_and_gradients((inputs, labels))


@every_network
@pytest.mark.parametrize("scope", ["global", "layer", "row"])
def test_keep_highest_meets_the_count_in_every_scope(kind, scope):
    for keep in (0, 1, total(network(kind)) // 7, total(network(kind))):
        work = job(network(kind), keep)
        masks = work.keep_highest({i: weight.abs() for i, weight in work.weights()}, scope).masks
        assert sum(int(mask.sum()) for mask in masks.values()) == keep


def test_keep_highest_within_given_densities():
    work = job(network("linear"), 1920)
    masks = work.keep_highest({i: weight.abs() for i, weight in work.weights()}, {0: 0.5, 1: 0.5}).masks
    assert [int(mask.sum()) for mask in masks.values()] == [1620, 300]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda scores: scores.pop(1), "no score for layer 1"),
        (lambda scores: scores.update({0: scores[0].T}), "shape .* for layer 0"),
        (lambda scores: scores[1].fill_(float("nan")), "layer 1 hold NaN"),
        (lambda scores: scores[1][0].fill_(float("inf")), "layer 1 hold NaN or infinity"),
    ],
)
def test_keep_highest_says_which_scores_are_wrong(change, message):
    work = job(network("linear"), 10)
    scores = {i: weight.abs() for i, weight in work.weights()}
    change(scores)
    with pytest.raises(InvalidOutcome, match=message):
        work.keep_highest(scores)


def test_wrong_scores_come_with_a_remedy():
    work = job(network("linear"), 10)
    named = {f"layers.{i}.weight": weight.abs() for i, weight in work.weights()}
    with pytest.raises(InvalidOutcome) as caught:
        work.keep_highest(named)
    assert caught.value.fix == "keys are positions, 0 to 1; yours are 'layers.0.weight', 'layers.1.weight'"
    undefined = {i: weight / (weight > 0) for i, weight in work.weights()}
    with pytest.raises(InvalidOutcome) as caught:
        work.keep_highest(undefined)
    places = int((work.layers()[0].weight <= 0).sum())
    assert caught.value.what == f"the scores of layer 0 hold NaN or infinity in {places:,} of 3,240 places"
    assert "clamp(min=1e-12)" in caught.value.fix


def test_wrong_scores_of_channels_come_with_a_remedy():
    work = job(network("linear"), Goal(speedup=2))
    for keys in ("ab", (0, "b"), (0,)):
        with pytest.raises(InvalidOutcome) as caught:
            work.keep_channels({key: torch.ones(30) for key in keys})
        assert caught.value.fix == f"keys are positions, 0 to 1; yours are {', '.join(map(repr, keys))}"
    with pytest.raises(InvalidOutcome, match="group 1 hold NaN or infinity in 20 of 20 places"):
        work.keep_channels({g.position: torch.ones(g.size) / (1 - g.position) for g in work.groups()})


def test_keep_highest_knows_its_scopes():
    work = job(network("linear"), 10)
    scores = {i: weight.abs() for i, weight in work.weights()}
    with pytest.raises(ContractError, match="no scope 'column'"):
        work.keep_highest(scores, "column")
    with pytest.raises(InvalidOutcome, match="densities for layers"):
        work.keep_highest(scores, {0: 0.5})


def test_a_mask_is_boolean():
    with pytest.raises(InvalidOutcome, match="layer 0 is not a boolean tensor"):
        Pruned({0: torch.ones(3)})


def test_hyperparameters_become_attributes():
    class Method(PruningMethod):
        damping: float

        def prune(self, job):
            return Pruned({})

    assert Method(damping=0.5).damping == 0.5


@every_network
def test_batch_statistics_are_used_and_not_remembered(kind):
    model = network(kind)
    work = job(model, 5)
    before = {name: tensor.clone() for name, tensor in work.model.state_dict().items()}
    batch = images().take(torch.arange(16))
    loss, gradients = work.loss_and_gradients_by_batch(batch)
    assert all(torch.equal(tensor, before[name]) for name, tensor in work.model.state_dict().items())
    assert not any(module.training for module in work.model.modules())
    assert sorted(gradients) == [layer.position for layer in work.layers()]
    norms = [m for m in work.model.modules() if isinstance(m, nn.BatchNorm2d)]
    assert (loss == work.loss_and_gradients(batch)[0]) == (not norms)
    reference = model.train()
    for norm in norms:
        norm.momentum = 0
    assert loss == pytest.approx(float(F.cross_entropy(reference(batch[0]), batch[1]).detach()), rel=1e-5)


def test_helpers_of_other_targets_say_so():
    work = job(network("plain"), 5)
    with pytest.raises(ContractError, match="no pattern"):
        work.keep_n_of_m({i: w.abs() for i, w in work.weights()})
    with pytest.raises(ContractError, match="no speedup"):
        work.keep_channels({})
    with pytest.raises(ContractError, match="no track with training"):
        work.train(1)
    assert (work.epochs, work.epochs_left) == (0, 0)


@every_network
def test_keeping_fewer_or_more_on_the_way(kind):
    work = job(network(kind), 5)
    for scope in ("global", "layer", "row"):
        outcome = work.keep_highest({i: w.abs() for i, w in work.weights()}, scope, keep=17)
        assert sum(int(mask.sum()) for mask in outcome.masks.values()) == 17
