"""Who works where and on what: cells and GPUs are shared out to workers, whose names reach the processes that compute."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from evaluator.group import LONG, make_groups
from evaluator.launch import child_environment
from evaluator.plan import Planned
from evaluator.records import Environment
from evaluator.repository import Repository
from evaluator.sandbox.layout import environment
from evaluator.setting import Setting
from tests.evaluator.grids import GRID
from tests.miniature import ROOT

HERE = Environment(
    device_class="nvidia-h200",
    device="NVIDIA H200",
    torch="2.11",
    python="3.12",
    platform="Linux",
    espalier="0",
    sandbox="none",
)


def setting(gpus: int) -> Setting:
    return Setting(Repository(Path("/nowhere")), GRID, HERE, Path("/nowhere/pycache"), "cuda" if gpus else "cpu", gpus=gpus)


def test_workers_share_out_the_gpus_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert [setting(2).of_worker(number).gpu for number in range(5)] == ["0", "1", "0", "1", "0"]


def test_only_the_gpus_that_we_may_see_are_shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,GPU-abc")
    assert [setting(2).of_worker(number).gpu for number in range(3)] == ["3", "GPU-abc", "3"]


def test_without_a_gpu_a_worker_has_none() -> None:
    assert setting(0).of_worker(1).gpu is None


@pytest.mark.parametrize(("gpu", "seen"), [(None, None), ("1", "1")])
def test_scorer_and_sandbox_see_the_workers_gpu_alone(
    gpu: str | None, seen: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    for variables in (child_environment(Path("/nowhere"), gpu), environment(Path("/nowhere"), gpu)):
        assert variables.get("CUDA_VISIBLE_DEVICES") == seen


WHERE = """
import subprocess, sys
from pathlib import Path
from evaluator.launch import child_environment
where = [sys.executable, "-P", "-c", "import evaluator, os; print(evaluator.__file__, os.environ)"]
subprocess.run(where, env=child_environment(Path(sys.argv[1])), check=True)
"""


def test_a_child_runs_the_code_that_started_it_and_sees_no_token(tmp_path: Path) -> None:
    """Not what happens to be installed: a runner has main's code of the day."""
    shutil.copytree(ROOT / "evaluator", tmp_path / "evaluator", ignore=shutil.ignore_patterns("__pycache__"))
    known = os.environ | {"PYTHONPATH": str(tmp_path), "ESPALIER_FORGE_TOKEN": "secret"}
    told = subprocess.check_output([sys.executable, "-P", "-c", WHERE, str(tmp_path / "pycache")], env=known, text=True)
    assert told.startswith(str(tmp_path / "evaluator" / "__init__.py"))
    assert "secret" not in told


def test_a_child_finds_packages_that_lie_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the interpreter's own folder is not to be written to; nothing else that the path names."""
    apart = tmp_path / "site-packages"
    apart.mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(tmp_path), apart.name, str(tmp_path / "none" / apart.name))))
    for folder in (apart, tmp_path):
        monkeypatch.syspath_prepend(folder)
    assert child_environment(Path("/nowhere"))["PYTHONPATH"].split(os.pathsep) == [str(ROOT), str(apart)]


@pytest.mark.parametrize(
    ("workers", "seconds", "apart", "sizes"),
    [
        (1, LONG, True, [15]),
        (2, LONG, False, [5, 5, 5]),  # by seed: on a GPU the networks of one are trained together
        (2, LONG, True, [1] * 15),  # by seed one worker would have twice as much as the other
        (3, LONG, True, [5, 5, 5]),
        (8, LONG, True, [1] * 15),
        (8, LONG, False, [5, 5, 5]),
        (2, 1.0, True, [5, 5, 5]),  # in a moment: a sandbox for each would take longer
        (2, None, True, [5, 5, 5]),
        (8, 1.0, True, [5, 5, 5]),
    ],
)
def test_cells_are_shared_out_so_that_nobody_is_idle(
    workers: int, seconds: float | None, apart: bool, sizes: list[int]
) -> None:
    cells = [cell for cell in GRID.cells("mnist-lenet-5", "unstructured") if cell.track == "one-shot"]
    planned = [Planned(None, cell, "missing", todo=("dense",), seconds=seconds) for cell in cells]
    groups = make_groups(planned, workers, apart=apart)
    assert [len(group.planned) for group in groups] == sizes
    assert sorted(one.cell.id for group in groups for one in group.planned) == sorted(cell.id for cell in cells)


def test_groups_that_end_together_are_left_whole() -> None:
    cells = [cell for name in ("mnist-lenet-5", "mnist-lenet-300-100") for cell in [*GRID.cells(name, "unstructured")][:15]]
    planned = [Planned(None, cell, "missing", todo=("dense",), seconds=LONG) for cell in cells]
    assert len(make_groups(planned, 2, apart=True)) == 2
    assert len(make_groups(planned, 1, apart=True)) == 2
    assert len(make_groups(planned, 3, apart=True)) == 6


def test_beside_a_short_group_a_long_one_is_shared_out() -> None:
    """As many groups as workers are no help where one of them has nearly all the work."""
    long = [Planned(None, cell, "missing", seconds=2 * LONG) for cell in GRID.cells("mnist-lenet-5", "unstructured")]
    short = [Planned(None, cell, "missing", seconds=1) for cell in GRID.cells("digits-mlp", "unstructured")]
    assert len(make_groups([*long, *short], 2, apart=True)) > 6
    assert len(make_groups([*long, *short], 2, apart=False)) == 2
