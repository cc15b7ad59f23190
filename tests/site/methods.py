"""Synthetic submissions: whose records `synthetic` makes. By its slug alone one knows what a submission says."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml

from evaluator.grid.cells import TRAINING, Division, Track
from evaluator.metadata import Metadata, Submission
from evaluator.repository import Repository

TITLES = ("Global magnitude", "Uniform magnitude", "LAMP", "ERK magnitude", "Random", "Global gradient", "Layer gradient",
          "Magnitude and activation", "Diagonal Fisher", "WoodFisher")  # fmt: skip


Kind = tuple[Track, Division]
USUAL: Kind = ("one-shot", "unstructured")
ALL_KINDS: tuple[Kind, ...] = (
    ("post-training", "unstructured"), ("post-training", "structured"), USUAL, ("one-shot", "semi-structured"),
    ("one-shot", "structured"), ("iterative", "unstructured"), ("at-init", "unstructured"),
    ("sparse-training", "unstructured"),
)  # fmt: skip
STAGES = {"at-init": "before", "sparse-training": "during"}


def slugs(count: int) -> list[str]:
    return [_slug(TITLES[i]) if i < len(TITLES) else f"method-{i:03d}" for i in range(count)]


def _slug(title: str) -> str:
    return "-".join("".join(c if c.isalnum() else " " for c in title.lower()).split())


def names(kind: Kind, count: int) -> list[str]:
    """Slugs of the methods of one track and division."""
    return slugs(count) if kind == USUAL else [f"{'-'.join(kind)}-{i}" for i in range(count)]


def metadata_of(slug: str) -> dict[str, Any]:
    """What the submission of a slug says, by its name: its division, and when it prunes."""
    for track, division in ALL_KINDS:
        if slug.startswith(f"{track}-{division}-"):
            index = int(slug.rpartition("-")[2])
            needs = {**metadata(slug, index)["needs"], **({"training_epochs": 20} if track in TRAINING else {})}
            return metadata(slug, index, title=f"{track.capitalize()} {division} {index}", division=division,
                            stage=STAGES.get(track, "after"),
                            needs=needs)  # fmt: skip
    known = [_slug(title) for title in TITLES]
    return metadata(slug, known.index(slug) if slug in known else int(slug.rpartition("-")[2]))


def metadata(slug: str, index: int = 0, **changes: Any) -> dict[str, Any]:
    """A valid `metadata.yaml`, with ``changes``."""
    criteria = ("magnitude", "norm", "second-order", "norm", "random", "loss-change", "loss-change", "activation",
                "second-order", "second-order")  # fmt: skip
    reads = index % 3 == 1
    content = {
        "contract": 1, "slug": slug, "title": TITLES[index] if index < len(TITLES) else f"Method {index}",
        "summary": "Keeps the weights that matter most by a score, and removes the others in one step. Synthetic text.",
        "authors": ["A. Gardener", "B. Pruner"], "year": 2015 + index % 10,
        "paper": {"title": "Learning both weights and connections", "venue": "NeurIPS 2015", "arxiv": "1506.02626"},
        "licence": "MIT", "division": "unstructured", "stage": "after",
        "facets": {"criterion": criteria[index % 10],
                   "scope": "global" if index % 2 else "layer", "data_use": "calibration" if reads else "none",
                   "supervision": "labels" if reads else "none"},
        "needs": dict.fromkeys(("data", "labels", "gradients"), reads),
        "hyperparameters": {"damping": 0.01, "normalise": True}, "deviations": ["No retraining between the steps."],
        "reported": [{"dataset": "MNIST", "architecture": "LeNet-300-100", "metric": "top-1", "value": 98.4,
                      "compression": 12.2, "source": "Table 3"}],
    }  # fmt: skip
    content.update(changes)
    return content


CODE = '''"""Keep the largest weights."""

from evaluator.contract import Job, Pruned, PruningMethod


class Magnitude(PruningMethod):
    """Keep the largest weights of the network, wherever they are."""

    damping: float
    normalise: bool

    def prune(self, job: Job) -> Pruned:
        return job.keep_highest({name: w.abs() for name, w in job.weights()}, scope="global")
'''


def write_submission(repository: Repository, content: dict[str, Any], code: str = CODE) -> None:
    folder = repository.submissions / content["slug"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metadata.yaml").write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    (folder / "method.py").write_text(code, encoding="utf-8")


@cache
def submission_of(slug: str) -> Submission:
    """The submission that :func:`fill` writes for a slug, so that its records are fresh."""
    return Submission(folder=Path(slug), metadata=Metadata.model_validate(metadata_of(slug)), code=CODE)
