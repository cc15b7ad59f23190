"""Shipped methods that train, killed on their way and started again: nothing may be kept where no checkpoint finds it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from evaluator import method_training
from evaluator.checkpoint_files import NEW, SUFFIX
from evaluator.checkpoints import Checkpoints
from evaluator.contract import Job, Pruned
from evaluator.training import Trainee
from tests.submissions.specimens import EPOCHS, SLUGS, goal, job, method, network, permission, submission

TRAINING = [slug for slug in SLUGS if submission(slug).metadata.needs.training_epochs]
OFTEN = {"every": 2}


class Killed(Exception):
    """Stands for a kill."""


def run(slug: str, checkpoints: Checkpoints | None) -> tuple[Job, Pruned]:
    metadata = submission(slug).metadata
    model = network("plain")
    allowed = permission(model, EPOCHS, continuous=metadata.stage == "during", checkpoints=checkpoints)
    work = job(model, goal(slug, model), needs=metadata.needs, training=allowed)
    torch.manual_seed(0)
    changes = {name: value for name, value in OFTEN.items() if name in metadata.hyperparameters}
    return work, method(slug, **changes).prune(work)


@pytest.mark.parametrize("slug", TRAINING)
@pytest.mark.parametrize("steps", [6, 15])
def test_an_interrupted_method_ends_as_it_would_have(slug, steps, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same network and masks, bit for bit, after a kill in the second and in the fourth epoch."""
    monkeypatch.setattr(method_training, "CHECKPOINT_SECONDS", -1.0)
    expected, outcome = run(slug, None)
    taken, step = [0], Trainee.step

    def fatal(*arguments: object) -> None:
        taken[0] += 1
        if taken[0] == steps:
            raise Killed
        step(*arguments)  # type: ignore[arg-type]

    written, kept = tmp_path / "written", tmp_path / "kept"
    written.mkdir()
    kept.mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(Trainee, "step", fatal)
        with pytest.raises(Killed):
            run(slug, Checkpoints(kept, written))
    for path in written.glob(f"{NEW}*{SUFFIX}"):
        shutil.move(path, kept / path.name.removeprefix(NEW))
    assert list(kept.iterdir())
    found, again = run(slug, Checkpoints(kept, written))
    for one, other in ((outcome.masks, again.masks), (outcome.channels, again.channels)):
        assert one.keys() == other.keys()
        assert all(torch.equal(one[i], other[i]) for i in one), f"{slug}: use job.memory in hooks"
    for name, tensor in expected.model.state_dict().items():
        assert torch.equal(tensor, found.model.state_dict()[name]), f"{slug}: use job.memory in hooks"
