"""`pytest tests/submissions --submission SLUG`, in a checkout of three submissions, one of which cannot be read."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.check.samples import METADATA, METHOD, changed
from tests.submissions.specimens import FOLDER

ROOT = FOLDER.parent
TESTS = ("__init__.py", "conftest.py", *(f"submissions/{name}.py" for name in ("__init__", "conftest", "specimens")))


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("checkout")
    for name in (*TESTS, "submissions/test_every_submission.py", "submissions/test_without_data.py"):
        path = root / "tests" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "tests" / name, path)
    shutil.copy(ROOT / "pyproject.toml", root)
    for slug in ("lamp", "snip"):
        shutil.copytree(FOLDER / slug, root / "submissions" / slug)
    broken = root / "submissions" / "sample"
    broken.mkdir()
    (broken / "metadata.yaml").write_text(changed(METADATA, "criterion: loss-change", "criterion: nonsense"))
    (broken / "method.py").write_text(METHOD)
    return root


def run(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", "")))
    command = [sys.executable, "-P", "-m", "pytest", "-p", "no:cacheprovider", "-q", "tests/submissions", *arguments]
    environment = {**os.environ, "PYTHONPATH": path}
    return subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)


def test_one_submission_is_tested_without_the_others(checkout: Path) -> None:
    done = run(checkout, "--submission", "lamp", "--collect-only")
    assert done.returncode == 0, done.stdout
    found = [line for line in done.stdout.splitlines() if "::" in line]
    assert len(found) > 20
    assert all("lamp" in line for line in found), "neither snip, nor a test of all together"
    assert any("test_without_data" in line for line in found)


def test_a_folder_that_cannot_be_read_fails_one_test_with_what_check_says(checkout: Path) -> None:
    done = run(checkout, "-k", "can_be_read")
    assert "1 failed, 2 passed" in done.stdout
    assert "sample, as `espalier check sample` says:\nmetadata.yaml, line " in done.stdout
    assert "'facets.criterion' 'nonsense': input should be" in done.stdout


def test_an_unknown_submission_is_named(checkout: Path) -> None:
    done = run(checkout, "--submission", "lampp")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "there is no submission 'lampp': did you mean lamp?" in done.stderr
