"""`espalier new`: what it writes passes the check and prunes at once."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from evaluator.__main__ import app
from evaluator.check import check_submission
from evaluator.commands.new import Like, class_name, create
from evaluator.contract import PruningMethod
from evaluator.errors import UsageError
from evaluator.job import Goal
from evaluator.metadata import load_submission
from evaluator.repository import Repository
from evaluator.selection import has_pattern
from tests.submissions.specimens import job, network, total

ROOT = Path(__file__).parents[2]


@pytest.fixture
def repository(tmp_path):
    """A checkout without submissions, with the true templates."""
    (tmp_path / "templates").symlink_to(ROOT / "templates")
    return Repository(tmp_path)


@pytest.mark.parametrize("slug", ["my-method", "2of4", "a1", "class", "job", "pruned", "none", "x" * 40, "a--b", "on"])
def test_what_it_writes_passes_and_prunes(repository, slug):
    folder = create(repository, slug)
    problems = check_submission(folder)
    assert {problem.code for problem in problems} <= {"placeholder"}, problems
    submission = load_submission(folder)
    model = network("plain")
    masks = method_of(folder)(**submission.metadata.hyperparameters).prune(job(model, total(model) // 3)).masks
    assert sum(int(mask.sum()) for mask in masks.values()) == total(model) // 3
    assert all(mask.dtype == torch.bool for mask in masks.values())


@pytest.mark.parametrize("like", Like)
@pytest.mark.parametrize("kind", ["plain", "residual", "depthwise"])
def test_every_example_meets_the_target(repository, like, kind):
    """As `smoke` would see it: exactly, on networks that its author does not know."""
    folder = create(repository, "mine", like=like)
    assert {problem.code for problem in check_submission(folder)} == {"placeholder"}
    metadata = load_submission(folder).metadata
    model = network(kind)
    goals = {"unstructured": total(model) // 3, "structured": Goal(speedup=2.0), "semi-structured": Goal(pattern=(2, 4))}
    task = job(model, goals[metadata.division], needs=metadata.needs)
    pruned = method_of(folder)(**metadata.hyperparameters).prune(task)
    assert task.epochs_left == 0 or not metadata.needs.training_epochs, "the training is used up"
    if metadata.division == "structured":
        assert set(pruned.channels) == {group.position for group in task.groups()}
    elif metadata.division == "unstructured":
        assert sum(int(mask.sum()) for mask in pruned.masks.values()) == total(model) // 3
    else:
        assert all(has_pattern(mask, 2, 4) for mask in pruned.masks.values())


def method_of(folder: Path) -> type[PruningMethod]:
    spec = importlib.util.spec_from_file_location("scaffold", folder / "method.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (method,) = [kind for kind in vars(module).values() if isinstance(kind, type) and issubclass(kind, PruningMethod)][1:]
    return method


@pytest.mark.parametrize("title", ['A "quoted" <b>: title', "Größe & Maß", "- dash", "yes", "#1", "{{ 7 * 7 }}", "a\\b"])
def test_any_title_is_kept_as_it_is(repository, title):
    assert load_submission(create(repository, "titled", title)).metadata.title == title


@pytest.mark.parametrize("title", ["", "  ", "x" * 201, "two\nlines", "bad\x1b[2J", "\u202ebad"])
def test_titles_that_cannot_be(repository, title):
    with pytest.raises(UsageError, match="cannot be a title"):
        create(repository, "titled", title)
    assert not repository.submissions.exists()


@pytest.mark.parametrize(
    ("slug", "why", "suggestion"),
    [
        ("My_Method", "other characters", "my-method"),
        ("x", "too short", "my-method"),
        ("x" * 41, "too long", "x" * 40),
        ("-x", "starts with a hyphen", "my-method"),
        ("lamp-", "ends with a hyphen", "lamp"),
        ("../evil", "other characters", "evil"),
        ("a/b", "other characters", "a-b"),
        ("mine\n", "other characters", "mine"),
        ("ünder", "other characters", "nder"),
        ("", "too short", "my-method"),
    ],
)
def test_bad_slugs_are_explained(repository, slug, why, suggestion):
    with pytest.raises(UsageError, match=why) as caught:
        create(repository, slug)
    assert caught.value.fix == f"e.g. {suggestion}"


def test_nothing_is_overwritten(repository):
    folder = create(repository, "mine")
    (folder / "method.py").write_text("precious")
    with pytest.raises(UsageError, match="exists already"):
        create(repository, "mine")
    assert (folder / "method.py").read_text() == "precious"


def test_the_command_says_what_to_do_next(repository, monkeypatch):
    grid = repository.root / "evaluator" / "grid"
    grid.mkdir(parents=True)
    (grid / "grid.yaml").touch()
    monkeypatch.chdir(repository.root)
    done = CliRunner().invoke(app, ["new", "mine", "--title", "Mine"])
    assert done.exit_code == 0
    assert done.output.startswith("submissions/mine: ")
    assert "espalier check mine" in done.output
    assert "pytest tests/submissions --submission mine" in done.output
    assert CliRunner().invoke(app, ["check", "mine"]).exit_code == 0


def test_class_names():
    assert [class_name(slug) for slug in ("lamp", "my-method", "2of4", "none", "job")] == [
        "Lamp", "MyMethod", "Method2of4", "MethodNone", "MethodJob",
    ]  # fmt: skip
