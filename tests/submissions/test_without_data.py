"""Methods that declare no data get along without any, on networks whose BatchNorms tell of their training images too."""

from __future__ import annotations

import pytest
import torch

from tests.submissions.specimens import SLUGS, goal, job, method, network, outcome, submission

DATA_FREE = [slug for slug in SLUGS if not submission(slug).metadata.needs.data]


@pytest.mark.parametrize("slug", DATA_FREE)
@pytest.mark.parametrize("kind", ["plain", "residual", "depthwise"])
def test_choose_the_same_when_there_are_no_images(slug: str, kind: str) -> None:
    model = network(kind)
    work = job(model, goal(slug, model), needs=submission(slug).metadata.needs)
    work._train = work._validation = None  # type: ignore[assignment]
    found, expected = method(slug).prune(work), outcome(slug, kind)
    for part, other in ((found.masks, expected.masks), (found.channels, expected.channels)):
        assert part.keys() == other.keys()
        assert all(torch.equal(mask, other[position]) for position, mask in part.items())
