"""The contract, held against every folder under submissions/; a failure says what its author should change."""

from __future__ import annotations

import ast
import inspect

import pytest
import torch

from evaluator.data.images import Images
from evaluator.method_training import MethodTraining
from tests.submissions.specimens import (
    FOLDER,
    NETWORKS,
    SLUGS,
    job,
    layers,
    method,
    methods,
    network,
    outcome,
    submission,
    total,
)

every_submission = pytest.mark.parametrize("slug", SLUGS)
every_network = pytest.mark.parametrize("kind", NETWORKS)


@every_submission
@every_network
@pytest.mark.parametrize("ratio", [3, 50])
def test_keeps_exactly_what_the_target_asks_for(slug, kind, ratio):
    masks = outcome(slug, kind, ratio).masks
    kept = sum(int(mask.sum()) for mask in masks.values())
    wanted = round(total(network(kind)) / ratio)
    assert kept == wanted, f"{slug} keeps {kept} weights of a {kind} network, the job asks for {wanted}: use job.keep"


@every_submission
@every_network
def test_answers_for_every_layer_in_its_shape(slug, kind):
    found = outcome(slug, kind, 3)
    expected = {i: layer.weight.shape for i, layer in enumerate(layers(network(kind)))}
    assert {i: mask.shape for i, mask in found.masks.items()} == expected, f"{slug}: one mask for each layer, of its shape"
    for i, weight in found.weights.items():
        assert weight.shape == expected[i], f"{slug}: updated weight {i} has another shape"
        assert weight.dtype == torch.float32, f"{slug}: updated weight {i} is {weight.dtype}, not float32"
        assert torch.isfinite(weight).all(), f"{slug}: updated weight {i} holds NaN or infinity"


@every_submission
@every_network
def test_same_seed_same_outcome_whatever_the_global_random_state(slug, kind):
    torch.manual_seed(98765)
    again = outcome.__wrapped__(slug, kind, 3)
    first = outcome(slug, kind, 3)
    for i, mask in first.masks.items():
        assert torch.equal(mask, again.masks[i]), f"{slug}: draw all randomness from job.generator"
    for i, weight in first.weights.items():
        assert torch.equal(weight, again.weights[i]), f"{slug}: draw all randomness from job.generator"


@every_submission
@every_network
def test_touches_nothing_but_the_prunable_weights(slug, kind):
    model = network(kind)
    work = job(model, total(model) // 3, needs=submission(slug).metadata.needs)
    method(slug).prune(work)
    trains = bool(work.epochs)
    weights = {id(layer.module.weight) for layer in work.layers()}
    before = dict(model.named_parameters()) | dict(model.named_buffers())
    for name, tensor in (dict(work.model.named_parameters()) | dict(work.model.named_buffers())).items():
        if id(tensor) not in weights and not trains:
            assert torch.equal(tensor, before[name]), f"{slug} changes {name}: keep the model in eval mode"
    assert not any(module.training for module in work.model.modules()), f"{slug} leaves the model in training mode"
    assert not any(module._forward_pre_hooks for module in work.model.modules()), f"{slug} leaves hooks behind"


@every_submission
def test_memory_format_makes_no_difference(slug):
    model = network("plain")
    needs = submission(slug).metadata.needs
    work = job(model.to(memory_format=torch.channels_last), total(model) // 4, needs=needs)
    found = method(slug).prune(work).masks
    same = sum(int((found[i] == mask).sum()) for i, mask in outcome(slug, "plain", 4).masks.items())
    assert same >= 0.99 * total(model), f"{slug}: address weights by shape, not by their order in memory"


@every_submission
@pytest.mark.parametrize("keep", [0, 1])
def test_survives_the_ends_of_the_scale(slug, keep):
    model = network("depthwise")
    number = keep or total(model)  # 0 stands for everything
    masks = method(slug).prune(job(model, number, needs=submission(slug).metadata.needs)).masks
    assert sum(int(mask.sum()) for mask in masks.values()) == number


@every_submission
def test_survives_a_network_that_is_dead(slug):
    """Where every activation, gradient and score is zero there is still a right count."""
    model = network("plain")
    for parameter in model.parameters():
        parameter.data.zero_()
    work = job(model, total(model) // 3, needs=submission(slug).metadata.needs)
    assert sum(int(mask.sum()) for mask in method(slug).prune(work).masks.values()) == total(model) // 3


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
    outcome.__wrapped__(slug, "linear", 3)
    needs = submission(slug).metadata.needs
    assert used["data"] == needs.data, f"{slug}: needs.data should be {used['data']}"
    assert needs.gradients <= needs.labels, f"{slug}: gradients of the loss need labels"


@every_submission
def test_is_short_documented_and_declares_its_hyperparameters(slug):
    code = (FOLDER / slug / "method.py").read_text(encoding="utf-8")
    (kind,) = methods(slug)
    assert inspect.getdoc(kind), f"{slug}: say in the class's docstring what the method does, and after whom"
    lines = _code_lines(code)
    assert lines <= 120, f"{slug}: {lines} lines of code; a method has the idea, the contract does the rest"
    declared = set(vars(kind).get("__annotations__", {}))
    assert declared == set(submission(slug).metadata.hyperparameters), f"{slug}: declare exactly its hyper-parameters"


def test_half_of_the_methods_are_under_forty_lines():
    lengths = sorted(_code_lines((FOLDER / slug / "method.py").read_text(encoding="utf-8")) for slug in SLUGS)
    assert lengths[len(lengths) // 2] < 40


@every_submission
def test_metadata_tells_a_reader_what_he_needs(slug):
    metadata = submission(slug).metadata
    assert metadata.deviations, f"{slug}: state how the code deviates from the paper, or that it does not"
    assert 2 <= metadata.summary.count(".") <= 8, f"{slug}: the summary is 2 to 4 sentences"
    trains = bool(metadata.needs.training_epochs)
    does = "training" if trains else "reconstruction" if outcome(slug, "linear", 3).weights else "none"
    assert metadata.facets.weight_update == does, f"{slug}: facets.weight_update is not what it does"


def _code_lines(source: str) -> int:
    """Lines that hold code: no blanks, comments or docstrings."""
    tree = ast.parse(source)
    prose: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            prose |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    lines = enumerate(source.splitlines(), 1)
    return sum(1 for number, line in lines if line.strip() and not line.lstrip().startswith("#") and number not in prose)
