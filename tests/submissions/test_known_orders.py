"""The orders that the literature knows, held against the published records of the toy tier.

An order that does not hold is told in the metadata of the method that is out of place, with what was found.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from statistics import mean

import pytest

from evaluator.records import Store

RESULTS = Path(__file__).parents[2] / "results"
TOY = "mnist-lenet-300-100"


@cache
def accuracy(slug: str, track: str, target: float, phase: str) -> float:
    """Mean top-1 over the seeds, in percent, ``before`` or ``after`` retraining."""
    records = Store(RESULTS).read(TOY, slug).values()
    cells = [r for r in records if (r.track, float(r.target), r.variant) == (track, target, "method") and r.status == "ok"]
    assert len(cells) >= 3, f"{slug} at {target} of {track} is not measured"
    return mean(getattr(record, phase).accuracy for record in cells)


@pytest.mark.parametrize("phase", ["before", "after"])
def test_random_below_magnitude_below_layerwise_allocations_at_32(phase):
    random, magnitude, *allocated = (
        accuracy(slug, "one-shot", 32, phase) for slug in ("random", "global-magnitude", "lamp", "erk-magnitude")
    )
    assert random < magnitude < max(allocated)


def test_magnitude_at_initialisation_collapses_where_others_live():
    collapsed = accuracy("magnitude-init", "at-init", 32, "after")
    assert collapsed < accuracy("random-init", "at-init", 32, "after")
    assert collapsed < min(accuracy(slug, "at-init", 32, "after") for slug in ("snip", "synflow", "grasp")) - 50


@pytest.mark.parametrize("target", [4, 8, 16, 32])
def test_woodfisher_above_magnitude_before_retraining(target):
    """Both choose wherever they like; WoodFisher also moves what it keeps."""
    assert accuracy("woodfisher", "one-shot", target, "before") > accuracy("global-magnitude", "one-shot", target, "before")


def test_sparsegpt_above_magnitude_of_the_same_densities_while_its_images_suffice():
    assert accuracy("sparsegpt", "one-shot", 4, "before") > accuracy("uniform-magnitude", "one-shot", 4, "before")
