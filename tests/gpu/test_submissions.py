"""Every shipped method on a GPU: it runs there, repeats itself, and keeps what it keeps on the CPU or as much."""

from __future__ import annotations

import pytest
import torch

from tests.submissions import specimens


@pytest.mark.parametrize("slug", specimens.SLUGS)
def test_a_method_runs_and_repeats_itself(slug: str, gpu: torch.device) -> None:
    one, other = specimens.outcome_on(gpu, slug), specimens.outcome_on(gpu, slug)
    kept, again = ({**outcome.masks, **outcome.channels} for outcome in (one, other))
    assert kept.keys() == again.keys()
    assert all(torch.equal(kept[i].cpu(), again[i].cpu()) for i in kept)
    here = specimens.outcome(slug, "plain")
    if not here.channels:
        assert sum(int(mask.sum()) for mask in kept.values()) == sum(int(mask.sum()) for mask in here.masks.values())
