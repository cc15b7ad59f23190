"""A GPU, set up as the evaluator sets it up."""

from __future__ import annotations

import pytest
import torch

from evaluator.device import set_up
from tests.conftest import need


@pytest.fixture(scope="session", autouse=True)
def gpu() -> torch.device:
    need("gpu", torch.cuda.is_available(), "there is no GPU here")
    return set_up("cuda")
