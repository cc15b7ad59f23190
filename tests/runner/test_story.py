"""From an open change to the published page: three changes, an approval, a push meanwhile, merges, kills, two runners."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from evaluator.forges import people
from tests.runner.project import TOKEN, Project, git

pytestmark = pytest.mark.usefixtures("bubblewrap")
LARGEST = 'return job.keep_highest({i: w.abs() for i, w in job.weights()}, scope="global")'
CELLS = 2
"""Of a submission in the miniature: one target, two seeds."""


def test_the_whole_story(tmp_path: Path) -> None:
    project = Project(tmp_path)
    good, hostile, greedy = (
        project.propose("good", f"sum(range(6 * 10**7))\n        {LARGEST}"),
        project.propose("hostile", "raise RuntimeError('@maintainer <script>alert(1)</script> ```')"),
        project.propose("greedy", also={"evaluator/grid/grid.yaml": "version: 9"}),
    )
    people.approve(project.forge, good.number, "stranger")
    project.run()
    assert project.status(good.number)[0] == "pending", "only a maintainer's word counts"
    assert project.status(good.number) == ("pending", "checks passed; waits for a maintainer's approval")
    assert project.status(hostile.number) == ("failure", "the smoke tier failed")
    assert project.status(greedy.number) == ("failure", "not one submission")
    assert "evaluator/grid/grid.yaml" in project.comment(greedy.number)
    assert "`RuntimeError: @maintainer <script>" in project.comment(hostile.number), "in code, where it calls nobody"
    assert (project.site / "index.html").is_file()

    people.approve(project.forge, good.number, "maintainer")
    runner = project.start()
    wait_for(lambda: "cells" in project.status(good.number)[1])
    project.propose("good", onto=good.number)
    assert runner.wait(60) == 0
    assert project.status(good.number) == ("pending", "checks passed; waits for a maintainer's approval"), "at once"

    people.approve(project.forge, good.number, "maintainer")
    project.run()
    assert project.status(good.number) == ("success", f"{CELLS}/{CELLS} cells")
    comment = project.comment(good.number)
    assert "Figures" in comment
    assert "digits-mlp" in comment
    assert "No link to a preview" in comment
    assert len(project.comments(good.number)) == 1, "one comment, edited in place"
    preview = project.home / "previews" / str(good.number) / "methods" / "good.html"
    assert "not published" in preview.read_text()
    assert project.published() == {}, "nothing is published before the merge"

    people.merge(project.forge, good.number, "maintainer")
    project.run()
    published = project.published()
    assert len(published["results/digits-mlp/good.jsonl"]) == 3 * CELLS  # with its two matched controls
    assert (project.site / "methods" / "good.html").is_file()
    before = git(project.forge.path, "rev-parse", "main")
    assert "nothing to do (open_changes 2, merged_changes 1" in project.run()
    assert git(project.forge.path, "rev-parse", "main") == before, "a pass with nothing to do changes nothing"
    assert_no_token(tmp_path, project)


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    project = Project(tmp_path)
    change = project.propose("good")
    people.approve(project.forge, change.number, "maintainer")
    before = git(project.forge.path, "for-each-ref")
    told = project.run("--dry-run")
    assert "checks passed" in told
    assert "would measure" in told
    assert "would publish the site" in told
    assert git(project.forge.path, "for-each-ref") == before
    assert not project.site.exists()


def test_killed_at_random_and_two_at_once(tmp_path: Path) -> None:
    """Ten kills, of two runners at times; in the end everything is there, once, as if nothing had happened."""
    project = Project(tmp_path)
    change = project.propose("good")
    people.approve(project.forge, change.number, "maintainer")
    chance = random.Random(20261125)
    for number in range(10):
        runners = [project.start("--lease", "30")]
        if number in (0, 3):
            runners.append(project.start("--lease", "30", home=tmp_path / "another"))
        time.sleep(chance.uniform(0.5, 5))
        for runner in runners:
            os.killpg(runner.pid, signal.SIGKILL)
            runner.wait()
    again(project, lambda: project.status(change.number) == ("success", f"{CELLS}/{CELLS} cells"))
    assert len(project.comments(change.number)) == 1
    people.merge(project.forge, change.number, "maintainer", how="rebase")
    again(project, lambda: bool(project.published()))
    lines = project.published()["results/digits-mlp/good.jsonl"]
    identities = [tuple(json.loads(line)[name] for name in ("variant", "target", "seed")) for line in lines]
    assert len(set(identities)) == len(identities) == 3 * CELLS
    assert (project.site / "methods" / "good.html").is_file()
    assert_no_token(tmp_path, project)


def again(project: Project, condition: Callable[[], bool]) -> None:
    """Passes until something is so; a lease that a killed runner had ends meanwhile."""
    for _ in range(30):
        project.run("--lease", "30")
        if condition():
            return
        time.sleep(3)
    raise AssertionError("it did not come to that")


def wait_for(condition: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.2)


def assert_no_token(folder: Path, project: Project) -> None:
    """In no file of anybody, and in nothing that was said."""
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            assert TOKEN.encode() not in path.read_bytes(), path
    for change in (*project.forge.open_changes(), *project.forge.merged_changes()):
        assert TOKEN not in (project.forge.comment(change) or "")
