"""How long a forward pass takes: milliseconds of single runs, of the network as it would be used."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor, nn

from evaluator import latency


class Told(nn.Module):
    """Notes what it is run on, and how."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 2)
        self.runs: list[tuple[bool, bool, int]] = []

    def forward(self, x: Tensor) -> Tensor:
        self.runs.append((self.training, torch.is_inference_mode_enabled(), len(x)))
        logits: Tensor = self.linear(x.flatten(1))
        return logits


def test_milliseconds_of_single_runs_in_evaluation_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that a run takes 1, 2, 3... ms on; those that warm up do not count."""
    reads = itertools.accumulate(itertools.count(1), lambda now, step: now + (step // 2 / 1000 if step % 2 == 0 else 0))
    monkeypatch.setattr(latency.time, "perf_counter", lambda: next(reads))
    model = Told().train()
    found = latency.measure_latency(model, (1, 2, 2), torch.device("cpu"), torch.contiguous_format)
    monkeypatch.undo()
    assert [(one.batch, one.runs, one.device, one.dtype) for one in found] == [
        (1, 50, "cpu", "float32"),
        (128, 10, "cpu", "float32"),
    ]
    assert {(training, inference) for training, inference, _ in model.runs} == {(False, True)}
    assert [images for *_, images in model.runs] == [1] * 53 + [128] * 13
    first, second = range(4, 54), range(57, 67)
    assert [one.median_ms for one in found] == [(first[24] + first[25]) / 2, (second[4] + second[5]) / 2]
    assert all(one.quartiles_ms[0] < one.median_ms < one.quartiles_ms[1] for one in found)
