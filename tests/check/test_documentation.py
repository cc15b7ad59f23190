"""What the documentation says of metadata, commands and contract is what the code does."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from pydantic import BaseModel
from torch import nn

from evaluator import contract
from evaluator.__main__ import app
from evaluator.check import agreement, check_submission, code, files, imports, metadata, method, yaml_text
from evaluator.commands.grid import describe
from evaluator.contract import Job
from evaluator.grid import load_grid
from evaluator.grid.cells import TRAINING
from evaluator.job import Goal
from evaluator.metadata import Facets, Metadata, Needs, Paper, Reported
from evaluator.networks import architecture
from evaluator.selection import has_pattern, keep_n_of_m
from tests.evaluator.grids import made_up
from tests.submissions.specimens import EVERYTHING, NETWORKS, job, network, permission, total

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
MODELS = {"": Metadata, "paper.": Paper, "facets.": Facets, "needs.": Needs, "reported.": Reported}
FIELDS = [(prefix + name, field) for prefix, model in MODELS.items() for name, field in model.model_fields.items()]


@pytest.mark.parametrize(("name", "field"), FIELDS, ids=[name for name, _ in FIELDS])
def test_every_field_is_described_in_the_schema_and_in_the_guide(name, field):
    assert field.description, f"{name} needs a description in evaluator/metadata.py"
    assert f"| `{name}` |" in GUIDE, f"{name} needs a row in CONTRIBUTING.md"


def test_the_guide_names_no_field_that_does_not_exist():
    assert set(re.findall(r"^\| `([a-z_.]+)` \|", GUIDE, flags=re.M)) == {name for name, _ in FIELDS}


def test_the_guide_lists_every_choice():
    for name, field in FIELDS:
        for choice in re.findall(r"'([a-z0-9-]+)'", str(field.annotation)) if "Literal" in str(field.annotation) else []:
            row = next(line for line in GUIDE.splitlines() if line.startswith(f"| `{name}` |"))
            assert f"`{choice}`" in row, f"the row of {name} lacks {choice}"


def test_the_guide_names_every_offer_of_the_job():
    offers = [name for name in vars(contract.Job) if not name.startswith("_")]
    missing = [name for name in (*offers, "model", "keep", "generator", "device") if f"job.{name}" not in GUIDE]
    assert not missing


def rows(first: str) -> Iterator[list[str]]:
    """The rows below a table's head, which starts with ``first``; of each the cells."""
    _, _, table = GUIDE.partition(f"| {first} |")
    for line in table.splitlines()[2:]:
        if not line.startswith("|"):
            return
        yield [cell.strip() for cell in line.strip("|").split("|")]


def test_the_guide_gives_the_limits_of_every_tier():
    grid = load_grid(ROOT / "evaluator" / "grid")
    found = {tier: cells for tier, _, *cells in rows("tier")}
    assert list(found) == list(grid.tiers)
    for tier, (time, memory, *epochs) in found.items():
        listed = [describe(grid, name) for name in grid.in_tier(tier)]
        assert {(time, memory)} == {
            (f"{b['limits']['wall_seconds']:g} s", f"{b['limits']['memory_mb'] / 1024:g} GB") for b in listed
        }
        for track, number in zip(TRAINING, epochs, strict=True):
            wanted = dict.fromkeys(str(b["method_epochs"][track]) for b in listed if track in b["tracks"])
            assert number == (" or ".join(wanted) or "none"), (tier, track)


@pytest.mark.parametrize("kind", [contract.Layer, contract.ChannelGroup, contract.Slice, contract.Step, contract.Pruned])
def test_what_the_guide_says_of_what_the_job_gives_is_there(kind):
    row = re.search(rf"^\| `{kind.__name__}` \| (.*) \|$", GUIDE, flags=re.M)[1]
    fields = {field.name for field in dataclasses.fields(kind)}
    there = fields | {name for name in vars(kind) if not name.startswith("_")}
    said = set(re.findall(r"`([a-z_]+)(?:\(\))?`", row))
    assert said <= there
    assert fields - {"name", "module"} <= said, "but for names, by which a network can be told"


def test_the_guide_points_to_docstrings_that_are_there():
    paths = re.findall(r"`(evaluator/[a-z_/]+\.py)`", GUIDE)
    assert len(paths) == 4
    assert all('"""' in (ROOT / path).read_text(encoding="utf-8") for path in paths)


def test_maps_have_the_shapes_that_the_guide_gives():
    seen = set()
    for name in ("digits-mlp", "digits-cnn", "lenet-5-caffe"):
        kind = architecture(name)
        work = Job(
            kind.build(), kind.classifier, Goal(speedup=2), train=made_up(4, kind.shape), validation=made_up(4, kind.shape),
            needs=EVERYTHING, generator=torch.Generator(),
        )  # fmt: skip

        def visit(group, piece, maps):
            expected = {nn.Linear: 2, nn.Conv2d: 4, nn.BatchNorm2d: 4}[type(piece.module)] + (piece.width > 1)
            assert maps.shape[:2] == (3, group.size)
            assert maps.dim() == expected
            assert piece.width == 1 or maps.shape[2] == piece.width
            seen.add((type(piece.module), maps.dim()))

        work.visit_channels(torch.zeros(3, *work.shape), visit)
    assert seen == {(nn.Linear, 2), (nn.Linear, 3), (nn.Conv2d, 4), (nn.BatchNorm2d, 4)}


def test_guide_and_protocol_say_which_layers_have_no_pattern():
    """As ``keep_n_of_m`` leaves them, and ``has_pattern`` wants them."""
    for text in (GUIDE, (ROOT / "site" / "content" / "protocol.md").read_text(encoding="utf-8")):
        said = " ".join(text.split())
        assert re.search(r"A layer stays dense (under n:m )?where m does not divide its inputs", said)
    mask = keep_n_of_m(torch.rand(10, 300), 4, 8)
    assert bool(mask.all())
    assert has_pattern(mask, 4, 8)


def test_commands_in_the_guide_exist():
    known = {command.name or command.callback.__name__ for command in app.registered_commands}
    known |= {group.name for group in app.registered_groups}
    assert set(re.findall(r"espalier ([a-z]+)", GUIDE)) <= known


EXAMPLES = re.findall(r"```python\n(.*?)```", GUIDE, flags=re.S)


@pytest.mark.parametrize("code", EXAMPLES)
def test_code_in_the_guide_passes_the_check_and_prunes(code, tmp_path):
    """Every example is a whole method that a contributor may paste."""
    (tmp_path / "method.py").write_text(code)
    assert {problem.code for problem in check_submission(tmp_path)} == {"missing-file"}
    module: dict[str, object] = {"__name__": "example"}
    exec(code, module)
    kinds = [kind for kind in module.values() if isinstance(kind, type) and kind.__module__ == "example"]
    numbers = dict.fromkeys(kinds[0].__annotations__ if "__annotations__" in vars(kinds[0]) else (), 8)
    for kind in NETWORKS:
        model = network(kind)
        work = job(model, Goal(keep=total(model) // 5, speedup=2), training=permission(model, 2))
        found = kinds[0](**numbers).prune(work)
        assert found.channels or sum(int(mask.sum()) for mask in found.masks.values()) == total(model) // 5


def test_every_code_of_a_problem_is_tested():
    modules = (agreement, code, files, imports, metadata, method, yaml_text)
    codes = set()
    for module in modules:
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("error", "warning"):
                codes.add(node.args[2].value)
    tests = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    assert not [code for code in codes if f'"{code}"' not in tests]


def test_models_are_all_there():
    """A new part of the metadata must join MODELS above."""
    import evaluator.metadata as module

    parts = {v for v in vars(module).values() if isinstance(v, type) and issubclass(v, BaseModel)}
    assert {v.__name__ for v in parts} - {"BaseModel", "Part", "Submission"} == {m.__name__ for m in MODELS.values()}
