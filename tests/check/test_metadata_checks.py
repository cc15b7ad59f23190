"""Every way to get metadata.yaml wrong is reported with its line and a remedy that fits."""

from __future__ import annotations

import pytest

from tests.check.samples import METADATA, METHOD, changed, found, problems


def test_a_good_submission_has_no_problems(tmp_path):
    assert problems(tmp_path) == []


def test_windows_line_ends_are_fine(tmp_path):
    assert problems(tmp_path, METADATA.replace("\n", "\r\n"), METHOD.replace("\n", "\r\n")) == []


@pytest.mark.parametrize(
    ("old", "new", "line", "code", "fix"),
    [
        ("slug: sample", "slug: other", 2, "slug-folder", "rename one of the two"),
        ("slug: sample", "slug: Sample!", 2, "invalid-value", "lower-case letters, digits and hyphens"),
        ("slug: sample", "slug: sample-", 2, "invalid-value", "lower-case letters, digits and hyphens"),
        ("title: Sample\n", "", 1, "missing-field", "as it appears in tables"),
        ("title: Sample", "titel: Sample", 3, "unknown-field", "did you mean title?"),
        ("title: Sample", "title: 2020-01-01", 3, "not-text", 'title: "2020-01-01"'),
        ("title: Sample", "title: no", 3, "not-text", 'title: "no"'),
        ("title: Sample", "title: '  '", 3, "empty-text", "tables"),
        ("title: Sample", f"title: {'x' * 201}", 3, "invalid-value", "tables"),
        ("year: 2020", "year: soon", 7, "invalid-value", "of the paper"),
        ("year: 2020", "year: 1492", 7, "invalid-value", "of the paper"),
        ("year: 2020", f"year: {'9' * 5000}", 7, "not-a-value", "quotes"),
        ("year: 2020", "year: 0x" + "f" * 40, 7, "huge-number", "18 digits"),
        ("  venue: NeurIPS 2020", "  venue: 2020", 10, "not-text", 'venue: "2020"'),
        ('"2003.03033"', "2003.03033", 11, "not-text", 'arxiv: "2003.03033"'),
        ('"2003.03033"', '"arXiv:2003.03033"', 11, "invalid-value", "the number alone"),
        ('  arxiv: "2003.03033"\n', "", 8, "invalid-value", "where the method was published"),
        ('  arxiv: "2003.03033"', "  url: http://example.org", 11, "invalid-value", "https://"),
        ('  arxiv: "2003.03033"', "  doi: doi.org/10.1/x", 11, "invalid-value", "identifier alone"),
        ("licence: MIT", "licence: do what you want", 12, "licence", "spdx.org"),
        ("licence: MIT", "licence: Banana", 12, "licence", "spdx.org"),
        ("licence: MIT", "licence: MIT OR Apache-2.0", 12, None, ""),
        ("authors: [Ada Lovelace]", "authors: Ada Lovelace", 6, "invalid-value", "authors: [..., ...]"),
        ("needs:\n", "needs: [all]\nnotes:\n", 20, "invalid-value", "below it, indented: data, labels, gradients"),
        ("stage: after", "stage: afterwards", 14, "invalid-value", "did you mean after?"),
        ("criterion: loss-change", "criterion: love", 16, "invalid-value", "judged by"),
        ("  scope: global\n", "  scop: global\n", 17, "unknown-field", "did you mean scope?"),
        ("data_use: calibration", "data_use: none", 18, "facets", "make the two agree"),
        ("supervision: labels", "supervision: none", 19, "facets", "make the two agree"),
        ("  labels: true", "  labels: false", 22, "needs", "needs.labels: true"),
        ("  labels: true", "  labels: ture", 22, "invalid-value", "write true or false (reads their labels)"),
        ("stage: after", "stage: during", 20, "needs", "a method that prunes during training owns it"),
        ("  gradients: true", "  gradients: true\n  training_epochs: 200", 21, None, ""),
        ("batch_size: 64", "batch_size: .nan", 25, "invalid-value", "finite number"),
        ("batch_size: 64", "batch_size: -.inf", 25, "invalid-value", "finite number"),
        ("batch_size: 64", "batch_size: 1.0e+999", 25, "invalid-value", "finite number"),
        ("batch_size: 64", "batch_size: 1e-5", 25, "number-as-text", "1.0e-5"),
        ("batch_size: 64", "batch_size: [1, 2]", 25, "invalid-value", "finite number"),
        ("batch_size: 64", "batch_size: 1:99:99:x", 25, None, ""),
        ("  batch_size: 64", "  batch_size: 64\n  prune: 1", 26, "hyperparameter-name", "Python name"),
        ("  batch_size: 64", "  batch_size: 64\n  batch-size: 1", 26, "hyperparameter-name", "Python name"),
        ("  batch_size: 64", "  batch_size: 64\n  __class__: 1", 26, "hyperparameter-name", "underscore"),
        ("metric: top-1", "metric: top1", 29, "invalid-value", "did you mean top-1?"),
        ("value: 91.7", "value: .nan", 29, "invalid-value", "as printed"),
        (", compression: 8", "", 29, "reported", "at which it was reached"),
        ("authors: [Ada Lovelace]", "authors: [TODO]", 6, "placeholder", "write it"),
        ("year: 2020", "year: 2020 # TODO of the paper", 7, "placeholder", "write it"),
        ("deviations:\n  - none\n", "", 1, "no-deviations", "or say that it does not"),
        ("deviations:\n  - none\n", "deviations: []\n", 26, "no-deviations", "or say that it does not"),
        (" A made-up method.", "", 4, "summary-length", "two to four sentences"),
        ("A made-up method.", "A. " * 9, 4, "summary-length", "two to four sentences"),
        ("authors: [Ada Lovelace]", "authors: []", 6, "invalid-value", "of the submission"),
        ("contract: 1", "contract: 2", 1, "invalid-value", "version of the contract"),
    ],
)
def test_wrong_fields(tmp_path, old, new, line, code, fix):
    result = problems(tmp_path, changed(METADATA, old, new))
    if code is None:
        assert result == []
        return
    mine = [problem for problem in result if problem.path.name == "metadata.yaml"]
    assert (line, code) in {(problem.line, problem.code) for problem in mine}, mine
    assert any(fix in problem.fix for problem in mine if problem.code == code), mine


@pytest.mark.parametrize(
    ("text", "line", "code"),
    [
        ("", 1, "not-a-mapping"),
        ("just words", 1, "not-a-mapping"),
        ("- a\n- b", 1, "not-a-mapping"),
        ("a: 1\n\tb: 2", 2, "not-yaml"),
        ("title: a: b", 1, "not-yaml"),
        ("a: [1, 2\nb: 3", 2, "not-yaml"),
        ("a: &x [1]\nb: 2", 1, "yaml-alias"),
        ("a: 1\nb: *x", 2, "yaml-alias"),
        ("a: !!python/object/apply:os.system [ls]", 1, "yaml-tag"),
        ("a: !!binary aGVsbG8=", 1, "yaml-tag"),
        ("a: 1\n---\nb: 2", 2, "yaml-documents"),
        ("<<: {a: 1}", 1, "yaml-key"),
        ("on: 1", 1, "yaml-key"),
        ("1: 1", 1, "yaml-key"),
        ("[a, b]: 1", 1, "yaml-key"),
        ("a: " + "[" * 5000, 1, "yaml-depth"),
        ("a: 1\nb: 2\na: 3", 3, "duplicate-field"),
        ("a: 2020-99-99", 1, "not-a-value"),
        ('title: "a\\u202eb"', 1, "hidden-character"),
    ],
)
def test_wrong_yaml(tmp_path, text, line, code):
    assert ("metadata.yaml", "error", line, code) in found(tmp_path, text)


def test_a_bomb_of_aliases_is_refused_before_it_unfolds(tmp_path):
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    lines += [f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]" for a, b in zip("abcdefgh", "bcdefghi", strict=True)]
    assert ("metadata.yaml", "error", 1, "yaml-alias") in found(tmp_path, "\n".join(lines))


def test_all_problems_at_once(tmp_path):
    """Several faults in several files are all reported by one run."""
    metadata = changed(changed(METADATA, "title: Sample", "titel: Sample"), "stage: after", "stage: later")
    method = changed(METHOD, "import torch", "import os")
    codes = {(name, code) for name, _, _, code in found(tmp_path, metadata, method)}
    assert codes >= {
        ("metadata.yaml", "unknown-field"), ("metadata.yaml", "missing-field"), ("metadata.yaml", "invalid-value"),
        ("method.py", "import"),
    }  # fmt: skip


def test_every_error_of_the_schema_is_an_error_of_the_check(tmp_path):
    """What the check lets pass, the loader loads."""
    from evaluator.metadata import load_submission
    from tests.check.samples import write

    assert load_submission(write(tmp_path)).slug == "sample"
