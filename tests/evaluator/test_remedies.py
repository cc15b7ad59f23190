"""What is said about a cell that failed."""

from __future__ import annotations

import re
import typing

import pytest

from evaluator.contract import Job
from evaluator.grid.cells import Division
from evaluator.remedies import remedy


@pytest.mark.parametrize("division", typing.get_args(Division))
def test_a_missed_target_has_the_remedy_of_its_division_alone(division: Division) -> None:
    helpers = {"unstructured": "keep_highest", "structured": "keep_channels", "semi-structured": "keep_n_of_m"}
    said = remedy(division, "missed_target")
    assert re.findall(r"job\.(keep_\w+)", said) == [helpers[division]]
    assert hasattr(Job, helpers[division])


def test_what_says_itself_has_none() -> None:
    assert remedy("unstructured", "method_error") is None
    assert "fewer batches" in remedy("structured", "timeout")
