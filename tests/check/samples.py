"""A submission that passes, and ways to spoil it."""

from __future__ import annotations

from pathlib import Path

from evaluator.check import check_submission
from evaluator.check.problems import Problem

METADATA = """\
contract: 1
slug: sample
title: Sample
summary: >-
  Keeps the weights of largest product with their gradient. A made-up method.
authors: [Ada Lovelace]
year: 2020
paper:
  title: On Samples
  venue: NeurIPS 2020
  arxiv: "2003.03033"
licence: MIT
division: unstructured
stage: after
facets:
  criterion: loss-change
  scope: global
  data_use: calibration
  supervision: labels
needs:
  data: true
  labels: true
  gradients: true
hyperparameters:
  batch_size: 64
deviations:
  - none
reported:
  - {dataset: CIFAR-10, architecture: ResNet-56, metric: top-1, value: 91.7, compression: 8, source: Table 1}
"""

METHOD = '''\
"""A sample."""

import torch

from evaluator.contract import Job, Pruned, PruningMethod


class Sample(PruningMethod):
    """Keep the weights of largest |w g|."""

    batch_size: int

    def prune(self, job: Job) -> Pruned:
        (batch,) = job.train_batches(1, self.batch_size)
        _, gradients = job.loss_and_gradients(batch)
        return job.keep_highest({i: (w * gradients[i]).abs() for i, w in job.weights()})
'''


def write(folder: Path, metadata: str | bytes = METADATA, method: str | bytes = METHOD) -> Path:
    """A submission called ``sample`` below ``folder``."""
    sample = folder / "sample"
    sample.mkdir(exist_ok=True)
    for name, content in (("metadata.yaml", metadata), ("method.py", method)):
        (sample / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return sample


def changed(text: str, old: str, new: str) -> str:
    assert text.count(old) == 1, f"{old!r} occurs {text.count(old)} times"
    return text.replace(old, new)


def problems(folder: Path, metadata: str | bytes = METADATA, method: str | bytes = METHOD) -> list[Problem]:
    return check_submission(write(folder, metadata, method))


def found(folder: Path, metadata: str | bytes = METADATA, method: str | bytes = METHOD) -> set[tuple[str, str, int, str]]:
    """(file, severity, line, code) of every problem."""
    return {(p.path.name, p.severity, p.line, p.code) for p in problems(folder, metadata, method)}
