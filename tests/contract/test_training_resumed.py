"""An interruption of a training by a method changes nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from evaluator import method_training
from evaluator.checkpoint_files import NEW, SUFFIX
from evaluator.checkpoints import Checkpoints
from evaluator.contract import Job, Step
from evaluator.selection import keep_top
from tests.contract.trainings import STEPS, same, some_channels
from tests.submissions.specimens import job, network, permission, total


class Killed(Exception):
    """Stands for a kill: nothing of the run survives but its checkpoints."""


def run(kind: str, continuous: bool, checkpoints: Checkpoints | None, kill: tuple[int, int] | None = None) -> Job:
    """A method with masks, channels, memory, learned tensors and draws, all that a training holds: 3 calls of 3 epochs.

    Args:
        kill: (call, step of the call) at which it dies.
    """
    model = network(kind)
    work = job(model, total(model) // 3, training=permission(model, 9, continuous=continuous, checkpoints=checkpoints))
    scale = torch.ones(len(work.layers()), requires_grad=True)
    work.memory["mean"] = torch.zeros(())
    masks, channels, memory = work.masks, work.channels, work.memory  # a method may hold them

    for call in range(3):
        taken = [0]  # not part of what goes on: only the kill reads it

        def after_step(step: Step, call: int = call, taken: list[int] = taken) -> None:
            if kill == (call, taken[0]):
                raise Killed
            taken[0] += 1
            memory["mean"] = 0.9 * memory["mean"] + scale.grad.mean()
            if step.number % 2 == 0:
                noise = torch.rand(1, generator=work.generator) * torch.rand(1) + memory["mean"]
                for i, weight in work.weights():
                    masks[i] = keep_top(weight.abs() + noise * weight, weight.numel() // 2)
                if step.number > 4:
                    channels.update(some_channels(work, step.number))

        torch.rand(call + 1)
        work.train(3, weights=lambda layer, w: w * scale[layer.position], after_step=after_step, learn=[scale])
        with torch.no_grad():
            scale.mul_(0.9)
    work.memory["scale"] = scale.detach()
    work.memory["draws"] = torch.cat([torch.rand(2, generator=work.generator), torch.rand(2)])
    return work


@pytest.fixture
def often(monkeypatch) -> None:
    """A checkpoint after every epoch."""
    monkeypatch.setattr(method_training, "CHECKPOINT_SECONDS", -1.0)


def take_out(written: Path, kept: Path) -> list[str]:
    """What the coordinator does with new checkpoints."""
    names = []
    for path in sorted(written.glob(f"{NEW}*{SUFFIX}")):
        names.append(path.name.removeprefix(NEW))
        shutil.move(path, kept / names[-1])
    return names


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("kind", ["plain"])
@pytest.mark.parametrize("continuous", [True, False])
@pytest.mark.parametrize("kills", [[(0, 9)], [(1, 6)], [(1, 2)], [(2, 11)], [(0, 5), (1, 5), (1, 4), (2, 6)]])
def test_an_interrupted_training_ends_as_it_would_have(tmp_path, kind, continuous, kills):
    """Killed in the middle of calls, one run after another: the weights, masks and draws are the same bit for bit."""
    written, kept = tmp_path / "written", tmp_path / "kept"
    written.mkdir()
    kept.mkdir()
    torch.manual_seed(1)
    whole = run(kind, continuous, None)
    for kill in kills:
        torch.manual_seed(1)
        with pytest.raises(Killed):
            run(kind, continuous, Checkpoints(kept, written), kill)
        assert take_out(written, kept)
    torch.manual_seed(1)
    resumed = run(kind, continuous, Checkpoints(kept, written))
    assert same(whole, resumed)
    assert all(torch.equal(whole.masks[i], resumed.masks[i]) for i in whole.masks)
    assert all(torch.equal(whole.channels[i], resumed.channels[i]) for i in whole.channels)
    assert all(torch.equal(whole.memory[name], resumed.memory[name]) for name in whole.memory)


@pytest.mark.usefixtures("often")
def test_a_resumed_training_does_only_what_is_left(tmp_path):
    """A finished call is not repeated, and returns the loss that it had."""
    model = network("linear")
    steps: list[int] = []

    def once(read: Path | None) -> tuple[Job, float]:
        checkpoints = Checkpoints(read, tmp_path)
        work = job(model, 5, training=permission(model, 5, checkpoints=checkpoints))
        return work, work.train(5, after_step=lambda step: steps.append(step.number))

    first, loss = once(None)
    assert take_out(tmp_path, tmp_path) == [f"call-0{SUFFIX}"]
    again, repeated = once(tmp_path)
    assert len(steps) == 5 * STEPS
    assert (same(first, again), repeated) == (True, loss)
    assert again.epochs_left == 0


def test_a_short_training_is_repeated_rather_than_saved(tmp_path):
    model = network("linear")
    job(model, 5, training=permission(model, 2, checkpoints=Checkpoints(None, tmp_path))).train(2)
    assert list(tmp_path.iterdir()) == []
