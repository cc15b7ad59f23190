"""The contract, held against every folder under submissions/; a failure says what its author should change."""

from __future__ import annotations

import ast
import inspect
from collections import OrderedDict

import pytest
import torch
from torch import nn

from evaluator.check import check_submission
from evaluator.check.code import code_lines
from evaluator.data.images import Images
from evaluator.errors import InvalidOutcome
from evaluator.grid.cells import pattern
from evaluator.job import Goal
from evaluator.method_training import MethodTraining
from evaluator.selection import has_pattern
from tests.submissions.specimens import (
    CLASSES,
    CPU,
    FOLDER,
    NETWORKS,
    SLUGS,
    UNREADABLE,
    again,
    goal,
    job,
    layers,
    method,
    methods,
    network,
    of_division,
    outcome,
    outcome_on,
    submission,
    total,
)

CLOSE = {"depthwise": 0.06}
"""How close to a speedup networks come, if not to the grid's 5 %: here there are but a dozen channels to remove."""
every_submission = pytest.mark.parametrize("slug", SLUGS)
every_network = pytest.mark.parametrize("kind", NETWORKS)


@pytest.mark.parametrize("slug", [*SLUGS, *UNREADABLE])
def test_can_be_read(slug):
    found = [p for p in check_submission(FOLDER / slug) if p.severity == "error"]
    if found:
        told = "".join(f"\n{p.path.name}, line {p.line}: {p.message} [{p.code}]\n  fix: {p.fix}" for p in found)
        pytest.fail(f"{slug}, as `espalier check {slug}` says:{told}", pytrace=False)
    assert submission(slug)


@pytest.mark.parametrize("slug", of_division("unstructured"))
@every_network
@pytest.mark.parametrize("ratio", [3, 50])
def test_keeps_exactly_what_the_target_asks_for(slug, kind, ratio):
    masks = outcome(slug, kind, ratio).masks
    kept = sum(int(mask.sum()) for mask in masks.values())
    wanted = round(total(network(kind)) / ratio)
    assert kept == wanted, f"{slug} keeps {kept} weights of a {kind} network, the job asks for {wanted}: use job.keep"


@pytest.mark.parametrize("slug", of_division("semi-structured"))
@every_network
@pytest.mark.parametrize("target", ["2:4", "1:4", "4:8"])
def test_keeps_exactly_n_of_every_m(slug, kind, target):
    n, m = pattern(target)
    for i, mask in outcome(slug, kind, target).masks.items():
        assert has_pattern(mask, n, m), f"{slug}: layer {i} of a {kind} network is not {target} along its inputs"
        assert mask.shape[1] % m or int(mask.sum()) == mask.numel() * n // m


@pytest.mark.parametrize("slug", of_division("structured"))
@every_network
@pytest.mark.parametrize("speedup", [1.5, 2, 3])
def test_reaches_the_speedup_and_leaves_every_group_a_channel(slug, kind, speedup):
    costs = job(network(kind), Goal(speedup=speedup)).costs()
    channels = outcome(slug, kind, speedup).channels
    assert {position: len(mask) for position, mask in channels.items()} == costs.sizes, f"{slug}: one mask for each group"
    kept = {position: int(mask.sum()) for position, mask in channels.items()}
    assert min(kept.values()) > 0, f"{slug} removes a whole group of channels"
    assert costs.speedup(kept) == pytest.approx(speedup, rel=CLOSE.get(kind, 0.05)), f"{slug}: use job.keep_channels"


@every_submission
@every_network
def test_answers_for_every_layer_in_its_shape(slug, kind):
    found = outcome(slug, kind)
    expected = {i: layer.weight.shape for i, layer in enumerate(layers(network(kind)))}
    if not found.channels:
        shapes = {i: mask.shape for i, mask in found.masks.items()}
        assert shapes == expected, f"{slug}: one mask for each layer, of its shape"
    for i, weight in found.weights.items():
        assert weight.shape == expected[i], f"{slug}: updated weight {i} has another shape"
        assert weight.dtype == torch.float32, f"{slug}: updated weight {i} is {weight.dtype}, not float32"
        assert torch.isfinite(weight).all(), f"{slug}: updated weight {i} holds NaN or infinity"


def tensors(found):
    """Everything of an outcome, in its order."""
    return [tensor for part in (found.masks, found.weights, found.channels) for _, tensor in sorted(part.items())]


@every_submission
@every_network
def test_same_seed_same_outcome_whatever_the_global_random_state(slug, kind):
    _, second = again(slug, kind)
    for one, other in zip(tensors(outcome(slug, kind)), tensors(second), strict=True):
        assert torch.equal(one, other), f"{slug}: draw all randomness from job.generator"


@every_submission
@every_network
def test_touches_nothing_but_the_prunable_weights(slug, kind):
    model, (work, _) = network(kind), again(slug, kind)
    trains = bool(work.epochs)
    weights = {id(layer.module.weight) for layer in work.layers()}
    before = dict(model.named_parameters()) | dict(model.named_buffers())
    for name, tensor in (dict(work.model.named_parameters()) | dict(work.model.named_buffers())).items():
        if id(tensor) not in weights and not trains:
            same = torch.equal(tensor, before[name])
            assert same, f"{slug} changes {name}: keep the model in eval mode, and change numbers only in a copy of it"
    assert not any(module.training for module in work.model.modules()), f"{slug} leaves the model in training mode"
    hooked = (module._forward_pre_hooks or module._forward_hooks for module in work.model.modules())
    assert not any(hooked), f"{slug} leaves hooks behind"


@every_submission
def test_memory_format_makes_no_difference(slug):
    model = network("plain")
    needs = submission(slug).metadata.needs
    work = job(model.to(memory_format=torch.channels_last), goal(slug, model), needs=needs)
    pairs = list(zip(kept(outcome(slug, "plain")), kept(method(slug).prune(work)), strict=True))
    same = sum(int((one == other).sum()) for one, other in pairs)
    assert same >= 0.99 * sum(one.numel() for one, _ in pairs), f"{slug}: address weights by shape, not by their order"


def kept(found):
    """The masks of an outcome, of weights or of channels."""
    return [mask for part in (found.masks, found.channels) for _, mask in sorted(part.items())]


@pytest.mark.parametrize("slug", of_division("unstructured"))
@pytest.mark.parametrize("keep", [0, 1])
def test_survives_the_ends_of_the_scale(slug, keep):
    model = network("depthwise")
    number = keep or total(model)  # 0 stands for everything
    masks = method(slug).prune(job(model, number, needs=submission(slug).metadata.needs)).masks
    assert sum(int(mask.sum()) for mask in masks.values()) == number


@pytest.mark.parametrize("slug", of_division("structured"))
def test_survives_the_ends_of_the_scale_of_speedups(slug):
    model = network("residual")
    for speedup in (1.0, job(model, Goal(speedup=1)).costs().highest_speedup):
        found = method(slug).prune(job(model, Goal(speedup=speedup), needs=submission(slug).metadata.needs))
        assert all(int(mask.sum()) == (len(mask) if speedup == 1 else 1) for mask in kept(found))


@pytest.mark.parametrize("slug", of_division("structured"))
def test_says_so_where_a_network_has_no_channels_that_could_go(slug):
    model = nn.Sequential(OrderedDict(flatten=nn.Flatten(), classifier=nn.Linear(108, CLASSES)))
    with pytest.raises(InvalidOutcome, match="a speedup of 2 is out of reach"):
        method(slug).prune(job(model, Goal(speedup=2), needs=submission(slug).metadata.needs))


@every_submission
def test_survives_a_network_that_is_dead(slug):
    """Where every activation, gradient and score is zero there is still a right count."""
    model = network("plain")
    for parameter in model.parameters():
        parameter.data.zero_()
    work = job(model, goal(slug, model), needs=submission(slug).metadata.needs)
    found = method(slug).prune(work)
    if found.channels:
        numbers = {position: int(mask.sum()) for position, mask in found.channels.items()}
        assert work.costs().speedup(numbers) == pytest.approx(work.speedup, rel=0.05)
    else:
        assert sum(int(mask.sum()) for mask in found.masks.values()) == work.keep


@every_submission
def test_asks_for_what_it_uses_and_no_more(slug, monkeypatch):
    used = {"data": False}
    take, train = Images.take, MethodTraining.train

    def spy(*arguments, **options):
        used["data"] = True
        return take(*arguments, **options)

    def spy_on_training(*arguments, **options):
        used["data"] = True
        return train(*arguments, **options)

    monkeypatch.setattr(Images, "take", spy)
    monkeypatch.setattr(MethodTraining, "train", spy_on_training)
    outcome_on(CPU, slug, "linear")
    needs = submission(slug).metadata.needs
    assert used["data"] == needs.data, f"{slug}: needs.data should be {used['data']}"
    assert needs.gradients <= needs.labels, f"{slug}: gradients of the loss need labels"


@every_submission
def test_is_short_documented_and_declares_its_hyperparameters(slug):
    (kind,) = methods(slug)
    assert inspect.getdoc(kind), f"{slug}: say in the class's docstring what the method does, and after whom"
    lines = _lines(slug)
    assert lines <= 120, f"{slug}: {lines} lines of code; a method has the idea, the contract does the rest"
    declared = set(vars(kind).get("__annotations__", {}))
    assert declared == set(submission(slug).metadata.hyperparameters), f"{slug}: declare exactly its hyper-parameters"


def test_half_of_the_methods_are_under_forty_lines():
    lengths = sorted(map(_lines, SLUGS))
    assert lengths[len(lengths) // 2] < 40


@every_submission
def test_metadata_tells_a_reader_what_he_needs(slug):
    metadata = submission(slug).metadata
    assert metadata.deviations, f"{slug}: state how the code deviates from the paper, or that it does not"
    sentences = metadata.summary.count(".")
    assert 2 <= sentences <= 8, f"{slug}: the summary is 2 to 4 sentences"
    trains = bool(metadata.needs.training_epochs)
    does = "training" if trains else "reconstruction" if outcome(slug, "linear").weights else "none"
    assert metadata.facets.weight_update == does, f"{slug}: facets.weight_update is not what it does"


def _lines(slug: str) -> int:
    """Of code."""
    code = submission(slug).code
    return code_lines(code, ast.walk(ast.parse(code)))
