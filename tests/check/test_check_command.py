"""`espalier check` as people and programs use it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from evaluator.__main__ import app
from evaluator.characters import hidden
from evaluator.check import check_submissions
from evaluator.check.problems import visible
from evaluator.commands.check import find_folders
from evaluator.errors import UsageError
from evaluator.metadata import Metadata
from tests.check.samples import METADATA, METHOD, changed, write

ROOT = Path(__file__).parents[2]


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout with one good submission; the current folder is in it."""
    grid = tmp_path / "evaluator" / "grid"
    grid.mkdir(parents=True)
    (grid / "grid.yaml").write_text("version: '0.0'\n")
    (tmp_path / "submissions").mkdir()
    write(tmp_path / "submissions")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ESPALIER_ROOT", raising=False)
    return tmp_path


def run(*arguments: str):
    return CliRunner().invoke(app, ["check", *arguments])


def test_a_good_checkout(checkout):
    done = run()
    assert (done.exit_code, done.output) == (0, "1 submission checked: no problems\n")


@pytest.mark.parametrize("name", ["sample", "submissions/sample", "./submissions/sample/method.py"])
def test_one_submission_by_slug_or_path(checkout, name):
    (checkout / "submissions" / "broken").mkdir()
    assert run(name).exit_code == 0
    assert run().exit_code == 1


def test_problems_are_shown_with_place_and_remedy(checkout):
    write(checkout / "submissions", changed(METADATA, "title: Sample", "titel: Sample"))
    done = run("sample")
    assert done.exit_code == 1
    lines = done.output.splitlines()
    assert lines[0] == "submissions/sample/metadata.yaml"
    assert "  error line 3: there is no field 'titel' [unknown-field]" in lines
    assert "    fix: did you mean title?" in lines
    assert lines[-1] == "1 submission checked: 2 errors, 0 warnings"


def test_json_for_programs(checkout):
    write(checkout / "submissions", METADATA, changed(METHOD, "import torch", "import os"))
    done = run("--json")
    answer = json.loads(done.output)
    assert done.exit_code == 1
    assert answer["ok"] is False
    assert answer["submissions"] == 1
    (problem,) = answer["problems"]
    assert set(problem) == {"path", "line", "severity", "code", "message", "fix"}
    assert (problem["path"], problem["line"], problem["code"]) == ("submissions/sample/method.py", 3, "import")


def test_warnings_do_not_fail(checkout):
    write(checkout / "submissions", changed(METADATA, "[Ada Lovelace]", "[TODO]"))
    done = run("--json")
    assert done.exit_code == 0
    assert json.loads(done.output)["ok"] is True


def test_an_empty_checkout_is_fine(checkout):
    for path in (checkout / "submissions").rglob("*.*"):
        path.unlink()
    (checkout / "submissions" / "sample").rmdir()
    assert json.loads(run("--json").output) == {"ok": True, "problems": [], "submissions": 0}


def test_a_slug_outside_of_a_checkout_says_that_there_is_no_checkout(checkout, tmp_path_factory, monkeypatch):
    monkeypatch.chdir(tmp_path_factory.mktemp("outside"))
    monkeypatch.delenv("ESPALIER_ROOT", raising=False)
    with pytest.raises(UsageError, match="not a checkout") as caught:
        find_folders(["sample"], None)
    assert "--root" in (caught.value.fix or "")
    with pytest.raises(UsageError, match="no submission"):
        find_folders(["../sample"], None)
    assert find_folders([str(checkout / "submissions" / "sample")], None) == [checkout / "submissions" / "sample"]


def test_unknown_names_are_wrong_usage(checkout):
    with pytest.raises(UsageError, match="no submission 'sampel'") as caught:
        find_folders(["sampel"], None)
    assert caught.value.fix == "did you mean sample?"
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("name", [".", "", "submissions", "elsewhere"])
def test_a_folder_of_other_things_is_no_submission(checkout, name):
    """Else each of its files would be one too many, with the advice to remove it."""
    (checkout / "elsewhere").mkdir()
    with pytest.raises(UsageError, match="is no submission") as caught:
        find_folders([name], None)
    assert "nothing for all of them" in caught.value.fix
    (checkout / "submissions" / "empty").mkdir()
    assert find_folders(["submissions/empty"], None), "what it lacks is told"


def test_schema_is_that_of_the_metadata():
    done = run("--schema")
    schema = json.loads(done.output)
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert set(schema["properties"]) == set(Metadata.model_fields)


@pytest.mark.parametrize("as_json", [True, False])
def test_hostile_text_cannot_steer_the_terminal(checkout, as_json):
    hostile = "\\e[2J\\u202e[red]x[/red]\\a"
    write(checkout / "submissions", changed(METADATA, "title: Sample", f'"{hostile}": "{hostile}"'))
    output = run(*(["--json"] if as_json else [])).output
    assert "[red]x[/red]" in output
    assert not any(map(hidden, output))
    assert visible("a\x1b[2J\u202eb\nc") == "a\\u001b[2J\\u202eb c"


def test_torch_is_not_imported():
    code = """
import sys
from typer.testing import CliRunner
from evaluator.__main__ import app
assert CliRunner().invoke(app, ["check"]).exit_code == 0
print("torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"


def test_fifty_submissions_take_less_than_a_second_of_computing(tmp_path):
    """Processor time of a fresh process, import included: a busy machine does not matter."""
    for number in range(50):
        folder = write(tmp_path, changed(METADATA, "slug: sample", f"slug: sample-{number}"))
        folder.rename(tmp_path / f"sample-{number}")
    code = f"""
import time
from pathlib import Path
from evaluator.check import check_submissions
report = check_submissions(sorted(Path({str(tmp_path)!r}).iterdir()))
assert report.ok and report.submissions == 50
print(time.process_time())
"""
    done = subprocess.run([sys.executable, "-c", code], env=dict(os.environ), capture_output=True, text=True, check=True)
    assert float(done.stdout) < 1


def test_shipped_submissions_have_no_problems():
    report = check_submissions(sorted(path for path in (ROOT / "submissions").iterdir() if path.is_dir()))
    assert report.problems == []


def test_a_package_that_a_newer_checkout_needs_is_told(checkout):
    """After `git pull`, for example; without a traceback."""
    code = "import sys; sys.modules['pyflakes'] = None; from evaluator.__main__ import main; main()"
    command = [sys.executable, "-P", "-c", code, "check"]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: the Python package pyflakes is not installed\n  fix: `nox -s lint` installs")
