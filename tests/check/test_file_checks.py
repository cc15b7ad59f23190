"""Which files a submission may hold, and what may be in a text."""

from __future__ import annotations

import os

import pytest

from evaluator.check import check_submission, check_submissions
from evaluator.check.files import LARGEST
from tests.check.samples import METADATA, METHOD, changed, found, write


def codes(folder):
    return {(problem.path.name, problem.code) for problem in check_submission(folder)}


@pytest.mark.parametrize("name", ["metadata.yaml", "method.py"])
def test_both_files_are_needed(tmp_path, name):
    folder = write(tmp_path)
    (folder / name).unlink()
    assert ("sample", "missing-file") in codes(folder)


def test_other_files_do_not_belong(tmp_path):
    folder = write(tmp_path)
    (folder / "README.md").write_text("Fine.")
    (folder / "__pycache__").mkdir()
    assert codes(folder) == set()
    (folder / "weights.pt").write_bytes(b"\0" * 10)
    (folder / "package").mkdir()
    assert codes(folder) == {("weights.pt", "unexpected-file"), ("package", "unexpected-file")}


def test_links_pipes_and_folders_are_not_opened(tmp_path):
    folder = write(tmp_path)
    (folder / "method.py").unlink()
    (folder / "method.py").symlink_to("/etc/passwd")
    (folder / "metadata.yaml").unlink()
    os.mkfifo(folder / "metadata.yaml")
    (folder / "README.md").mkdir()
    assert codes(folder) == {("method.py", "symlink"), ("metadata.yaml", "not-a-file"), ("README.md", "not-a-file")}


def test_a_linked_folder_is_no_submission(tmp_path):
    write(tmp_path)
    (tmp_path / "linked").symlink_to(tmp_path / "sample")
    assert codes(tmp_path / "linked") == {("linked", "not-a-folder")}
    assert codes(tmp_path / "nowhere") == {("nowhere", "not-a-folder")}


def test_size_is_counted_over_all_files(tmp_path):
    folder = write(tmp_path)
    (folder / "README.md").write_text("x" * (LARGEST - 1000))
    assert {code for _, code in codes(folder)} == {"too-large"}


def test_thousands_of_files_give_a_short_report(tmp_path):
    folder = write(tmp_path)
    for number in range(2000):
        (folder / f"f{number}").touch()
    problems = check_submission(folder)
    assert len(problems) < 30
    assert "more" in {problem.code for problem in problems}


def test_a_file_that_cannot_be_read(tmp_path, monkeypatch):
    folder = write(tmp_path)

    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(folder), "read_bytes", refuse)
    assert {code for _, code in codes(folder)} == {"unreadable"}


@pytest.mark.parametrize("data", [b"\xff\xfe", "title: ä".encode("latin-1"), METADATA.encode("utf-16")])
def test_text_is_utf_8(tmp_path, data):
    assert ("metadata.yaml", "error", 1, "not-utf-8") in found(tmp_path, data)


def test_the_line_of_a_wrong_byte(tmp_path):
    assert ("method.py", "error", 3, "not-utf-8") in found(tmp_path, METADATA, b"# a\n# b\n# \xe4\n")


HIDDEN = "\u202e\u2066\u200b\u200d\ufeff\u00ad\u0007\u001b\u2028\U000e0041\u3164\r"


@pytest.mark.parametrize("character", HIDDEN)
def test_invisible_and_moving_characters_are_refused_everywhere(tmp_path, character):
    metadata = changed(METADATA, "title: Sample", f"title: Sam{character}ple")
    method = changed(METHOD, "|w g|", f"|w {character} g|")
    result = found(tmp_path, metadata, method)
    assert ("metadata.yaml", "error", 3, "hidden-character") in result
    assert ("method.py", "error", 9, "hidden-character") in result


def test_names_in_other_scripts_are_fine(tmp_path):
    metadata = changed(METADATA, "[Ada Lovelace]", "[Erdős Pál, 李明, Ω. Παπαδόπουλος, עדה]")
    assert found(tmp_path, metadata) == set()


def test_two_submissions_of_one_title(tmp_path):
    first = write(tmp_path)
    second = write(tmp_path / "sample").rename(tmp_path / "second")
    (second / "metadata.yaml").write_text(changed(METADATA, "slug: sample", "slug: second"))
    report = check_submissions([first, second])
    assert [problem.code for problem in report.problems] == ["same-title"]
    assert report.ok
    assert report.submissions == 2
