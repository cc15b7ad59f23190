"""Every shipped method on a GPU: it runs there, repeats itself, and keeps what it keeps on the CPU or as much."""

from __future__ import annotations

import copy

import pytest
import torch

from evaluator.contract import Job, Pruned
from tests.submissions import specimens


def on(device: torch.device, slug: str, kind: str = "plain") -> Pruned:
    model = specimens.network(kind)
    needs = specimens.submission(slug).metadata.needs
    data = specimens.images().to(device)
    job = Job(
        copy.deepcopy(model).to(device),
        "classifier",
        specimens.goal(slug, model),
        train=data,
        validation=specimens.images(100).to(device),
        needs=needs,
        generator=torch.Generator().manual_seed(0),
        training=specimens.permission(model, specimens.EPOCHS, data=data) if needs.training_epochs else None,
    )
    torch.manual_seed(0)
    return specimens.method(slug).prune(job)


@pytest.mark.parametrize("slug", specimens.SLUGS)
def test_a_method_runs_and_repeats_itself(slug: str, gpu: torch.device) -> None:
    one, other = on(gpu, slug), on(gpu, slug)
    kept, again = ({**outcome.masks, **outcome.channels} for outcome in (one, other))
    assert kept.keys() == again.keys()
    assert all(torch.equal(kept[i].cpu(), again[i].cpu()) for i in kept)
    here = specimens.outcome(slug, "plain")
    if not here.channels:
        assert sum(int(mask.sum()) for mask in kept.values()) == sum(int(mask.sum()) for mask in here.masks.values())
