"""The comment on a change: whatever a stranger wrote stays in code, and the figures are those of the records."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from evaluator.forges import LocalForge
from evaluator.forges.forge import approved_commit
from evaluator.records import Record, Store
from evaluator.runner.report import Rank, Report
from evaluator.runner.runner import Runner
from evaluator.runner.standings import ranks_of
from tests.miniature import ROOT
from tests.runner.stage import propose

HOSTILE = (
    "@maintainer",
    "![x](https://example.org/x.png)",
    "<img src=x onerror=alert(1)>",
    "```\n# out\n```",
    "| a row | of |\n| a table | theirs |",
    "[click](javascript:alert(1))",
    "\u202egnp.exe",
    "`` ` ``",
    "/approve",
)


def records() -> list[Record]:
    found = list(Store(ROOT / "results").read("mnist-lenet-300-100", "lamp").values())
    assert found
    return found


def outside_code(text: str) -> str:
    """What Markdown would interpret."""
    without_blocks = re.sub(r"^(`{3,})text\n.*?^\1$", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"`[^`\n]*`", "", without_blocks)


@pytest.mark.parametrize("payload", HOSTILE)
def test_no_word_of_a_stranger_comes_to_life(payload: str) -> None:
    failed = next(r for r in records() if r.variant == "method")
    failed = failed.model_copy(update={"status": "method_error", "reason": payload, "log": payload})
    problem = {"severity": "error", "path": f"/x/{payload}", "line": 1, "message": payload, "fix": payload}
    smoked = {"cell": "a/b", "status": "method_error", "reason": payload, "repeatable": True, "log": payload}
    text = Report("`x`: failed", "a" * 40, "b" * 40, problems=[problem], smoked=[smoked], records=[failed]).text()
    interpreted = outside_code(text)
    for part in (payload, *payload.splitlines()):
        if len(part) > 3:
            assert part not in interpreted
    assert "\u202e" not in text


def test_figures_are_means_over_seeds_of_the_method_itself() -> None:
    text = Report("x", "a" * 40, "b" * 40, records=records()).text()
    at_eight = [r.after.accuracy for r in records() if r.variant == "method" and r.target == 8 and r.after]
    (line,) = [line for line in text.splitlines() if "| 8x |" in line]
    assert f"| {len(at_eight)} |" in line
    assert f"{sum(at_eight) / len(at_eight):.2f} ± " in line


def test_what_was_published_until_now_stands_beside_it() -> None:
    text = Report("x", "a" * 40, "b" * 40, records=records(), before=records()).text()
    (line,) = [line for line in text.splitlines() if "| 8x |" in line]
    cells = [cell.strip() for cell in line.split("|")]
    assert cells[6] == cells[7]


def test_a_preview_is_named_or_why_there_is_none() -> None:
    assert (
        "not published: https://x/1.html" in Report("x", "a" * 40, "b" * 40, preview="https://x/1.html", unseen="no").text()
    )
    assert "No link to a preview of the page: no address" in Report("x", "a" * 40, "b" * 40, unseen="no address").text()
    assert "preview" not in Report("x", "a" * 40, "b" * 40).text()


def test_ranks_come_with_their_neighbours(tmp_path: Path) -> None:
    board = {"benchmark": "b", "track": "one-shot", "division": "unstructured", "recipe": "r", "phase": "after"}
    rows = [
        board | {"submission": slug, "variant": "method", "nauc_compression": area, "nauc_compression_half": 0.01,
                 "rank_compression_low": low, "rank_compression_high": high, "nauc_speedup": None,
                 "nauc_speedup_half": None, "rank_speedup_low": None, "rank_speedup_high": None}
        for slug, area, low, high in (("first", 0.9, 1, 2), ("mine", 0.8, 1, 3), ("third", 0.7, 2, 3), ("last", 0.1, 4, 4))
    ]  # fmt: skip
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "summary.json").write_text(json.dumps(rows))
    (rank,) = ranks_of(tmp_path, "mine")
    assert (rank.low, rank.high, rank.area) == (1, 3, (0.8, 0.01))
    assert list(rank.neighbours) == [("first", 1, 2), ("third", 2, 3), ("last", 4, 4)]
    assert ranks_of(tmp_path, "nobody") == []
    assert ranks_of(tmp_path / "nowhere", "mine") == []
    assert "1–3" in Report("x", "a" * 40, "b" * 40, ranks=[rank]).text()  # noqa: RUF001
    assert isinstance(rank, Rank)


def test_whoever_is_asked_for_an_approval_is_told_how(work: Runner, project: Path, tmp_path: Path) -> None:
    """The line to write stands in the comment; the comment itself approves nothing."""
    forge = LocalForge(project)
    change = propose(forge, tmp_path / "author")
    work.once()
    told = forge.comment(change) or ""
    (line,) = re.findall(r"`(espalier approve [^`]*)`", told)
    assert approved_commit(line) == change.head
    assert (approved_commit(told), forge.approvals(change)) == (None, [])
