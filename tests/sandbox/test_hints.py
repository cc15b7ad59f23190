"""What a trial tells the author of a method."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evaluator.contract import Job, Pruned
from evaluator.job import Goal
from evaluator.sandbox.hints import copies, dropped
from tests.submissions.specimens import job, network, total


def magnitude(work: Job) -> Pruned:
    return work.keep_highest({position: weight.abs() for position, weight in work.weights()})


@pytest.fixture
def work() -> Job:
    model = network("plain")
    return job(model, total(model) // 2)


def test_new_weights_that_are_not_returned_are_told_by_layer(work: Job) -> None:
    before, outcome = copies(work), magnitude(work)
    assert dropped(before, outcome, work) is None
    new = {position: weight.mul_(2) for position, weight in work.weights() if position != 1}
    told = dropped(before, outcome, work)
    assert told is not None
    assert told.startswith("warning: weights of layers 0, 2 were changed")
    assert dropped(before, replace(outcome, weights=new), work) is None
    assert dropped({}, outcome, work) is None, "where the network is trained, or starts from its initial weights"


def test_pruning_in_place_is_no_new_weight(work: Job) -> None:
    """Nor is anything that befalls a weight that is pruned."""
    before, outcome = copies(work), magnitude(work)
    for position, weight in work.weights():
        weight.mul_(outcome.masks[position])
    assert dropped(before, outcome, work) is None
    for position, weight in work.weights():
        weight[~outcome.masks[position]] = 3
    assert dropped(before, outcome, work) is None


def test_channels_are_pruned_in_place_as_well() -> None:
    work = job(network("plain"), Goal(speedup=2))
    before = copies(work)
    outcome = work.keep_channels({group.position: 1.0 + before[0].new_zeros(group.size) for group in work.groups()})
    work.layers()[0].weight[0] = 0
    assert dropped(before, outcome, work) is None
    work.layers()[0].weight[1] += 1
    assert "layer 0 were" in (dropped(before, outcome, work) or "")
    assert "Pruned(channels=channels, weights=" in (dropped(before, outcome, work) or "")
    for name, bias in work.model.named_parameters():
        if name.endswith("bias"):
            bias.data[0] = 0
    assert "bias" not in (dropped(before, outcome, work) or "")


def test_biases_and_batch_norm_are_told_by_name(work: Job) -> None:
    before, outcome = copies(work), magnitude(work)
    names = [name for name, _ in work.model.named_parameters() if name.endswith("bias")]
    work.model.get_parameter(names[0]).data.add_(1)
    told = dropped(before, outcome, work)
    assert told is not None
    assert told.startswith(f"warning: {names[0]} were changed in the model")
    assert told.endswith("fix: change a copy, copy.deepcopy(job.model)")
    for tensor in (*work.model.parameters(), *work.model.buffers()):
        tensor.data.add_(1)
    told = dropped(before, outcome, work)
    assert told is not None
    assert " more were changed" in told
    assert "masks=masks" in told
