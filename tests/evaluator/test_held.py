"""Passing folders: whose process lives is left alone, what a kill left is swept."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from leaderboard.build import _staging

from evaluator.held import held_folder
from tests.miniature import Miniature

HOLD = """
import sys, time
from pathlib import Path
from evaluator.held import held_folder
with held_folder(Path(sys.argv[1]), sys.argv[2]) as folder:
    (folder / "file").write_text("x")
    print(folder, flush=True)
    time.sleep(100)
"""


def killed(parent: Path, prefix: str) -> Path:
    """The folder that a process held when it was killed."""
    command = [sys.executable, "-P", "-c", HOLD, str(parent), prefix]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        folder = Path(process.stdout.readline().strip())
        process.kill()
    assert (folder / "file").is_file()
    return folder


def test_what_a_kill_left_goes_and_all_else_stays(tmp_path: Path) -> None:
    foreign, elsewhere = tmp_path / ".site.backup", tmp_path / "elsewhere"
    foreign.mkdir()
    left = killed(tmp_path, ".site.")
    killed(elsewhere, ".site.").parent.rename(elsewhere / "moved")
    (tmp_path / ".site.link").symlink_to(elsewhere / "moved")
    other = killed(tmp_path, ".other.")
    with held_folder(tmp_path, ".site.") as first, held_folder(tmp_path, ".site.") as second:
        assert first.is_dir()
        assert second.is_dir()
        assert not left.parent.exists()
    assert {path.name for path in tmp_path.iterdir()} == {".site.backup", ".site.link", "elsewhere", other.parent.name}
    assert (elsewhere / "moved" / "work" / "file").is_file(), "nothing is removed through a link"


def test_a_build_of_the_site_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    left = killed(tmp_path, ".public.")
    with _staging(tmp_path / "public") as new:
        (new / "index.html").touch()
        assert not left.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["public"]


@pytest.mark.usefixtures("bubblewrap")
def test_an_evaluation_leaves_the_sandboxes_of_other_processes_alone(tmp_path: Path) -> None:
    """Those of a smoke test hold no store, and those of an evaluation into another store hold that one."""
    mini = Miniature(tmp_path)
    mini.submit("largest")
    scratch = mini.root / ".espalier" / "scratch"
    left = killed(scratch, "sandbox-")
    with held_folder(scratch, "sandbox-") as smoke:
        mini.run("evaluate", "--cell", "digits-mlp/one-shot/unstructured/2/0")
        assert smoke.is_dir()
        assert not left.exists()
    assert list(scratch.iterdir()) == []
