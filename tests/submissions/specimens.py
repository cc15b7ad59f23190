"""Small random networks of every kind, jobs on them, and the shipped methods loaded as the sandbox loads them."""

from __future__ import annotations

import copy
import functools
import importlib.util
from collections.abc import Collection
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor, nn

from evaluator.checkpoints import Checkpoints
from evaluator.contract import Job, Pruned, PruningMethod
from evaluator.data.images import Images
from evaluator.errors import SubmissionError
from evaluator.grid import Recipe
from evaluator.grid.cells import pattern
from evaluator.job import Goal
from evaluator.metadata import Needs, Submission, load_submission
from evaluator.method_training import MethodTraining
from evaluator.networks import Prunable, prunable_layers

FOLDER = Path(__file__).parents[2] / "submissions"
TYPICAL: dict[str, float | str] = {"unstructured": 3, "structured": 2, "semi-structured": "2:4"}
"""A target of each division that suits every network here."""
CLASSES = 5
EVERYTHING = Needs(data=True, labels=True, gradients=True)
CPU = torch.device("cpu")
IMAGES, BATCH = 200, 50
EPOCHS = 6
"""Of training, for the methods that train."""
BRIEF: dict[str, dict[str, float]] = {
    "deepinversion": {"steps": 10},
    "diagonal-fisher": {"images": 50},
    "eagleeye": {"candidates": 4, "batches": 2},
    "netadapt": {"batches": 2},
}
"""Less of what a search takes long for, on networks that are random: what is tested here does not depend on it."""


class Residual(nn.Module):
    """Two convolutions around a projected shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU())
        self.conv1 = nn.Conv2d(6, 10, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(10)
        self.conv2 = nn.Conv2d(10, 10, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(10)
        self.shortcut = nn.Conv2d(6, 10, 1, stride=2)
        self.classifier = nn.Linear(10, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        x = self.stem(images)
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return self.classifier(torch.relu(y + self.shortcut(x)).mean((2, 3)))


def _linear() -> nn.Module:
    layers = nn.Sequential(nn.Flatten(), nn.Linear(108, 30), nn.ReLU(), nn.Linear(30, 20), nn.ReLU())
    layers.add_module("classifier", nn.Linear(20, CLASSES))
    return layers


def _plain() -> nn.Module:
    layers = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 12, 3, padding=2, dilation=2, bias=False), nn.BatchNorm2d(12), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 16), nn.ReLU(),
    )  # fmt: skip
    layers.add_module("classifier", nn.Linear(16, CLASSES))
    return layers


def _depthwise() -> nn.Module:
    layers = nn.Sequential(
        nn.Conv2d(3, 12, 3, padding=1, bias=False), nn.BatchNorm2d(12), nn.ReLU6(),
        nn.Conv2d(12, 12, 3, padding=1, groups=12, bias=False), nn.BatchNorm2d(12), nn.ReLU6(),
        nn.Conv2d(12, 16, 1), nn.ReLU(), nn.Conv2d(16, 8, (1, 3), groups=4), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(),
    )  # fmt: skip
    layers.add_module("classifier", nn.Linear(8, CLASSES))
    return layers


NETWORKS = {"linear": _linear, "plain": _plain, "residual": Residual, "depthwise": _depthwise}


def network(kind: str, seed: int = 0) -> nn.Module:
    """A network with random weights and random BatchNorm statistics."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = NETWORKS[kind]()
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_()
                module.running_var.uniform_(0.5, 2)
                module.weight.data.uniform_(0.5, 2)
    return model.eval()


@functools.cache
def images(number: int = IMAGES) -> Images:
    random = torch.Generator().manual_seed(11)
    pixels = torch.randint(0, 256, (number, 3, 6, 6), dtype=torch.uint8, generator=random)
    labels = torch.randint(0, CLASSES, (number,), generator=random)
    return Images(pixels, labels, torch.full((1, 3, 1, 1), 1 / 64), torch.full((1, 3, 1, 1), -2.0))


def permission(
    model: nn.Module,
    epochs: int,
    *,
    continuous: bool = False,
    data: Images | None = None,
    checkpoints: Checkpoints | None = None,
    **recipe: float | str,
) -> MethodTraining:
    """Permission to train ``model``, whose weights of now are the initial ones; an epoch has four steps without ``data``."""
    return MethodTraining(
        Recipe.model_validate({"title": "tiny", "lr": 0.05, "batch": BATCH, "epochs": epochs, **recipe}),
        epochs,
        continuous=continuous,
        images=images() if data is None else data,
        initial={name: tensor.clone() for name, tensor in model.state_dict().items()},
        seed=3,
        checkpoints=checkpoints,
    )


def job(
    model: nn.Module,
    goal: int | Goal,
    *,
    seed: int = 0,
    needs: Needs = EVERYTHING,
    training: MethodTraining | None = None,
    data: Images | None = None,
    device: torch.device = CPU,
) -> Job:
    """A job on a private copy of ``model``; a number is how many weights to keep. With training where ``needs`` asks.

    ``data``: training images, if not those of :func:`images`; the validation images are the usual ones.
    """
    train = (images() if data is None else data).to(device)
    if needs.training_epochs and training is None:
        training = permission(model, EPOCHS, data=train)
    return Job(
        copy.deepcopy(model).to(device),
        "classifier",
        Goal(keep=goal) if isinstance(goal, int) else goal,
        train=train,
        validation=images(100).to(device),
        needs=needs,
        generator=torch.Generator().manual_seed(seed),
        training=training,
    )


def layers(model: nn.Module) -> list[Prunable]:
    return [module for _, module in prunable_layers(model, "classifier")]


def total(model: nn.Module) -> int:
    """Number of prunable weights."""
    return sum(layer.weight.numel() for layer in layers(model))


@functools.cache
def submission(slug: str) -> Submission:
    return load_submission(FOLDER / slug)


def _readable(slug: str) -> bool:
    try:
        return bool(submission(slug))
    except SubmissionError:
        return False


_FOUND = sorted(path.name for path in FOLDER.iterdir() if (path / "metadata.yaml").is_file())
SLUGS = [slug for slug in _FOUND if _readable(slug)]
UNREADABLE = [slug for slug in _FOUND if slug not in SLUGS]
"""Folders of which no test can be made; one test says so of each."""


def leave(chosen: Collection[str]) -> None:
    """Forget all submissions but the ``chosen``."""
    for known in (SLUGS, UNREADABLE):
        known[:] = [slug for slug in known if slug in chosen]


@functools.cache
def module(slug: str) -> ModuleType:
    """The submission's ``method.py``, executed."""
    spec = importlib.util.spec_from_file_location(f"submission_{slug.replace('-', '_')}", FOLDER / slug / "method.py")
    assert spec
    assert spec.loader
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def methods(slug: str) -> list[type[PruningMethod]]:
    found = [value for value in vars(module(slug)).values() if isinstance(value, type)]
    return [value for value in found if issubclass(value, PruningMethod) and value is not PruningMethod]


def method(slug: str, **changes: float) -> PruningMethod:
    """The method with its declared hyper-parameters, some of them changed."""
    (kind,) = methods(slug)
    return kind(**{**submission(slug).metadata.hyperparameters, **BRIEF.get(slug, {}), **changes})


def of_division(division: str) -> list[str]:
    return [slug for slug in SLUGS if submission(slug).metadata.division == division]


def goal(slug: str, model: nn.Module, target: float | str | None = None) -> Goal:
    """A target of the submission's division, the typical one by default: one weight in ``target``, a speedup, or "n:m"."""
    division = submission(slug).metadata.division
    target = TYPICAL[division] if target is None else target
    if division == "unstructured":
        return Goal(keep=round(total(model) / float(target)))
    return Goal(speedup=float(target)) if division == "structured" else Goal(pattern=pattern(str(target)))


def outcome(slug: str, kind: str, target: float | str | None = None) -> Pruned:
    """What the shipped method makes of a network for a target of its division, the typical one by default; once for all."""
    return _run(slug, kind, TYPICAL[submission(slug).metadata.division] if target is None else target)[1]


def again(slug: str, kind: str) -> tuple[Job, Pruned]:
    """A second run for the typical target, under another global random state: the job as it was left, and the outcome."""
    return _run(slug, kind, TYPICAL[submission(slug).metadata.division], 98765)


@functools.cache
def _run(slug: str, kind: str, target: float | str, global_seed: int = 0) -> tuple[Job, Pruned]:
    torch.manual_seed(global_seed)
    model = network(kind)
    work = job(model, goal(slug, model, target), needs=submission(slug).metadata.needs)
    return work, method(slug).prune(work)


def outcome_on(device: torch.device, slug: str, kind: str = "plain", target: float | str | None = None) -> Pruned:
    """As :func:`outcome`, computed anew on a device."""
    model = network(kind)
    return method(slug).prune(job(model, goal(slug, model, target), needs=submission(slug).metadata.needs, device=device))
