"""Whatever bytes a submission holds, the check answers with problems and never with an exception."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from evaluator.characters import hidden
from evaluator.check import Report, check_submission
from evaluator.check.problems import visible
from evaluator.errors import SubmissionError
from evaluator.metadata import Metadata, load_submission
from tests.check.samples import METADATA, METHOD, write

WORDS = [
    ":", "[", "]", "{", "}", "&a", "*a", "!!", "!!python/name:os", "<<", "|", ">", "'", '"', "#", "%", "@", "`", "---",
    "...", "?", "~", "null", "yes", "0x", "0b", "1_0", "1:2:3", ".nan", ".inf", "1e9", "2020-99-99", "(", ")", "def",
    "class", "lambda:", "async", "import", "self.", "__class__", "…", "é", "\\u0000",
]  # fmt: skip
SNIPPETS = st.sampled_from([*WORDS, "", "\0", "\n", "\t", " ", ": ", "- ", "---\n", "9" * 400, "\u202e", "\ud7ff"])


@st.composite
def mutated(draw, text: str):
    """``text`` with a few pieces cut out, doubled or replaced."""
    for _ in range(draw(st.integers(1, 5))):
        start = draw(st.integers(0, len(text)))
        end = min(start + draw(st.integers(0, 12)), len(text))
        text = text[:start] + draw(SNIPPETS | st.just(text[start:end] * 2)) + text[end:]
    return text


def answer(metadata: str | bytes, method: str | bytes) -> Report:
    """Check it, and make sure that the answer can be printed and that the loader raises nothing unforeseen."""
    with tempfile.TemporaryDirectory() as folder:
        sample = write(Path(folder), metadata, method)
        report = Report(check_submission(sample), 1)
        loadable = True
        try:
            load_submission(sample)
        except SubmissionError:
            loadable = False
    json.dumps(report.to_json())
    for problem in report.problems:
        assert problem.line >= 0
        assert not any(map(hidden, visible(problem.message + problem.fix)))
        assert problem.fix
    assert loadable or not report.ok, "the check lets a submission pass that cannot be loaded"
    return report


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_random_bytes(metadata, method):
    assert not answer(metadata, method).ok


@given(st.text(max_size=120), st.text(max_size=120))
def test_random_text(metadata, method):
    assert not answer(metadata, method).ok


@settings(max_examples=200)
@example(METADATA.replace("contract:", "contract\t:"))  # a text of which the two loaders of PyYAML think differently
@given(mutated(METADATA))
def test_mutated_metadata(metadata):
    answer(metadata, METHOD)


@settings(max_examples=200)
@given(mutated(METHOD))
def test_mutated_code(method):
    answer(METADATA, method)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=8), inner), max_leaves=6)


@given(st.sampled_from(sorted(Metadata.model_fields)), VALUES)
def test_any_value_for_any_field(name, value):
    answer(yaml.safe_dump({**yaml.safe_load(METADATA), name: value}), METHOD)
