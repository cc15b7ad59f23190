"""`espalier runner` around its passes: one for each home, what is logged, exit codes, and the units that start it."""

from __future__ import annotations

import json
import logging
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from evaluator.commands import runner as command
from evaluator.errors import UsageError
from evaluator.forges.limits import Timing
from evaluator.runner.runner import Runner
from tests.conftest import need
from tests.miniature import ROOT

UNITS = ROOT / "docs" / "systemd"


@pytest.fixture
def app() -> typer.Typer:
    made = typer.Typer()
    made.command()(command.runner)
    return made


def test_a_home_where_a_runner_works_is_left_to_it(app: typer.Typer, project: Path, tmp_path: Path) -> None:
    """That is no failure: a timer may well start one while another is at work."""
    with command._alone(tmp_path):
        done = CliRunner().invoke(app, ["--forge", str(project), "--home", str(tmp_path), "--once"])
    assert done.exit_code == 0
    assert "a runner is at work here" in done.output


def test_what_failed_of_main_is_the_exit_code(
    app: typer.Typer, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def once(work: Runner) -> bool:
        work._try.failed = True
        logging.getLogger("evaluator.forges").warning("%s: slow", "forge")
        return True

    monkeypatch.setattr(Runner, "once", once)
    done = CliRunner().invoke(app, ["--forge", str(project), "--home", str(tmp_path), "--once"])
    assert done.exit_code == 1
    (line,) = map(json.loads, (tmp_path / "runner.log").read_text().splitlines())
    assert (line["level"], line["what"]) == ("warning", "forge: slow"), "what a forge does stands in the log, too"


@pytest.mark.parametrize(("lease", "patience"), [("30", 10), ("9000", 900)])
def test_who_waits_to_be_let_in_keeps_the_lease(
    app: typer.Typer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lease: str, patience: float
) -> None:
    """It is renewed between two requests, not while one waits."""
    seen: list[float] = []

    def opened(_: str, *, timing: Timing, **__: object) -> None:
        seen.append(timing.patience)
        raise UsageError("that is all")

    monkeypatch.setattr(command, "open_forge", opened)
    CliRunner().invoke(app, ["--forge", "https://example.org/a/b", "--home", str(tmp_path), "--once", "--lease", lease])
    assert seen == [patience]


def test_systemd_finds_nothing_wrong_with_the_units(tmp_path: Path) -> None:
    """But that this machine has no runner where they look for it."""
    need(
        "systemd",
        shutil.which("systemd-analyze") is not None,
        "systemd-analyze is not installed (Debian: apt install systemd)",
    )
    names = []
    for unit in sorted(UNITS.iterdir()):
        text = re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", unit.read_text(), flags=re.MULTILINE)
        (tmp_path / unit.name).write_text(text)
        names.append(str(tmp_path / unit.name))
    done = subprocess.run(["systemd-analyze", "verify", *names], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(names) == 4
