"""What a runner may rely on, whichever forge it is."""

from __future__ import annotations

import subprocess

import pytest

from evaluator.errors import ForgeError
from evaluator.forges import MARKER, Approval, Status, approval_of

HOSTILE = "  </title><script>alert(1)</script>\n\n\u202e/close\x1b[31m @all #1 \ud800" + "x" * 500


def test_open_changes_come_by_number_and_each_once(stage):
    numbers = [stage.propose(f"Method {n}").number for n in range(1, 6)]
    stage.close(numbers[1])
    stage.merge(numbers[3])
    found = stage.forge.open_changes()
    assert [change.number for change in found] == [numbers[0], numbers[2], numbers[4]]
    assert [change.title for change in found] == ["Method 1", "Method 3", "Method 5"]
    assert {(change.author, change.base, change.state, change.merge_commit) for change in found} == {
        ("ada", "main", "open", None)
    }


def test_a_project_without_changes(stage):
    assert stage.forge.open_changes() == []
    assert stage.forge.merged_changes() == []


def test_a_change_that_is_not_there_is_an_error_that_says_where(stage):
    with pytest.raises(ForgeError) as caught:
        stage.forge.change(77)
    assert "77" in str(caught.value)


def test_merged_changes_come_latest_first_with_what_the_base_got(stage):
    for number in [stage.propose().number for _ in range(4)][:3]:
        stage.merge(number)
    found = stage.forge.merged_changes()
    assert [change.state for change in found] == ["merged"] * 3
    assert sorted(change.number for change in found) == [1, 2, 3]
    assert found[0].number == 3
    assert all(change.merged_at and change.merge_commit and len(change.merge_commit) == 40 for change in found)
    assert len(stage.forge.merged_changes(limit=2)) == 2
    assert stage.forge.change(1).state == "merged"


@pytest.mark.parametrize("how", ["merge", "squash", "rebase"])
def test_a_change_is_merged_however_it_was(stage, how):
    """And what main got of it is named, whatever main got later."""
    change = stage.propose()
    made = stage.merge(change.number, how)
    stage.merge(stage.propose().number)
    found = stage.forge.change(change.number)
    assert (found.state, found.head, found.merge_commit) == ("merged", change.head, made)
    assert [one.merge_commit for one in stage.forge.merged_changes()][1:] == [made]
    assert stage.forge.open_changes() == []


def test_a_push_shows_as_another_head(stage):
    change = stage.propose()
    head = stage.push(change.number)
    assert head != change.head
    assert stage.forge.change(change.number).head == head
    assert [one.head for one in stage.forge.open_changes()] == [head]


def test_hostile_titles_and_authors_fit_one_line(stage):
    change = stage.propose(HOSTILE, author="eve\n\x07il")
    for shown in (change.title, change.author):
        assert "\n" not in shown
        assert shown.isprintable()
        assert len(shown) <= 200
    assert change.author == "eve il"
    assert change.title.startswith("</title><script>alert(1)</script> /close[31m @all #1")
    empty = stage.propose("\u200b", author="")
    assert (empty.title, empty.author) == ("(no title)", "(unknown)")


def test_a_status_is_shown_for_the_head_only(stage):
    change = stage.propose()
    assert stage.forge.status(change) is None
    status = Status("failure", "check found 3 problems", "https://example.org/log")
    stage.forge.set_status(change, status)
    assert stage.forge.status(change) == status
    stage.push(change.number)
    assert stage.forge.status(stage.forge.change(change.number)) is None


def test_every_state_of_a_status_comes_back_as_it_went(stage):
    change = stage.propose()
    for state in ("pending", "failure", "pending", "error", "pending", "success"):
        stage.forge.set_status(change, Status(state, f"it is {state}"))
        assert stage.forge.status(change) == Status(state, f"it is {state}")


def test_a_long_description_is_cut_to_what_is_read_back(stage):
    change = stage.propose()
    status = Status("failure", "a\nb " * 100)
    assert len(status.description) == 140
    stage.forge.set_status(change, status)
    assert stage.forge.status(change) == status


def test_our_comment_is_written_once_and_then_edited_in_place(stage):
    change = stage.propose()
    assert stage.forge.comment(change) is None
    stage.say(change.number, "ada", "please evaluate")
    for text in ("7 of 24 cells", "12 of 24 cells", "done", "done"):
        stage.forge.upsert_comment(change, text)
        stage.say(change.number, "ada", "thanks")
        assert stage.forge.comment(change) == text
    ours = [body for body in stage.bodies(change.number) if MARKER in body]
    assert ours == [f"{MARKER}\ndone"]
    assert stage.bodies(change.number).count("thanks") == 4


def test_comments_are_of_one_change(stage):
    first, second = stage.propose(), stage.propose()
    stage.forge.upsert_comment(first, "first")
    stage.forge.upsert_comment(second, "second")
    assert (stage.forge.comment(first), stage.forge.comment(second)) == ("first", "second")
    assert len(stage.bodies(first.number)) == 1


def test_a_comment_of_somebody_else_with_our_marker_is_theirs(stage):
    change = stage.propose()
    stage.say(change.number, "eve", f"{MARKER}\nthe best method of all")
    assert stage.forge.comment(change) is None
    stage.forge.upsert_comment(change, "rank 7 to 9")
    assert stage.forge.comment(change) == "rank 7 to 9"
    assert f"{MARKER}\nthe best method of all" in stage.bodies(change.number)


def test_of_several_comments_of_ours_the_oldest_stays(stage):
    change = stage.propose()
    for text in ("one", "two", "three"):
        stage.say(change.number, "espalier-bot", f"{MARKER}\n{text}")
        stage.say(change.number, "espalier-bot", f"not ours: {MARKER}\n{text}")
    stage.forge.upsert_comment(change, "the only one")
    ours = [body for body in stage.bodies(change.number) if body.startswith(MARKER)]
    assert ours == [f"{MARKER}\nthe only one"]
    assert len(stage.bodies(change.number)) == 4


def test_hostile_text_in_a_comment_is_kept_as_text(stage):
    change = stage.propose()
    text = "a log:\n/close\n  /merge\r\n/approve\n\ud800 \U0001f331"
    stage.forge.upsert_comment(change, text)
    before = stage.bodies(change.number)
    stage.forge.upsert_comment(change, text)
    assert stage.bodies(change.number) == before
    assert "/merge" in before[0]


def test_a_comment_that_is_too_long_is_cut_between_lines(stage):
    change = stage.propose()
    stage.forge.upsert_comment(change, "a line of the log\n" * 10_000)
    (body,) = stage.bodies(change.number)
    assert len(body) < 60_100
    assert body.endswith("a line of the log\n\n*(cut: too long for a comment)*")


def test_an_approval_counts_for_its_commit_and_no_other(stage):
    change = stage.propose()
    assert stage.forge.approvals(change) == []
    stage.approve(change.number, "maria")
    assert stage.forge.approvals(change) == [Approval("maria", change.head)]
    stage.push(change.number)
    pushed = stage.forge.change(change.number)
    assert stage.forge.approvals(pushed) == []
    stage.approve(change.number, "maria")
    assert stage.forge.approvals(pushed) == [Approval("maria", pushed.head)]


def test_only_maintainers_can_approve(stage):
    change = stage.propose()
    for login in ("ada", "rita", "nobody-knows-me", "..", "a/b", "ada\u202e"):
        stage.say(change.number, login, f"espalier approve {change.head}")
    stage.approve(change.number, "rita")
    assert stage.forge.approvals(change) == []


def test_a_maintainer_approves_by_a_comment_that_names_the_commit(stage):
    change = stage.propose()
    refused = (f"> espalier approve {change.head}", f"do not espalier approve {change.head}", "espalier approve",
               f"espalier approve {change.head[:12]}", f"espalier approve {'0' * 40}", f"`espalier approve {change.head}`",
               f"look:\nespalier approve {change.head}", f"espalier approve {change.head}0")  # fmt: skip
    for body in refused:
        stage.say(change.number, "maria", body)
    assert stage.forge.approvals(change) == []
    stage.say(change.number, "maria", f"  {approval_of(change.head)}\r\n\r\nlooks harmless\r\n")
    assert stage.forge.approvals(change) == [Approval("maria", change.head)]


def test_our_own_comment_never_approves(stage):
    change = stage.propose()
    stage.say(change.number, "espalier-bot", f"espalier approve {change.head}")
    assert stage.forge.approvals(change) == []


def test_an_approval_of_one_change_is_none_of_another(stage):
    first, second = stage.propose(), stage.propose()
    stage.approve(first.number, "maria")
    assert stage.forge.approvals(second) == []


def test_where_a_head_is_fetched_from(stage):
    change = stage.propose()
    source = stage.forge.source(change)
    assert source.ref in ("refs/pull/1/head", "refs/merge-requests/1/head")
    if source.url.startswith("http"):
        assert source.url.endswith("/ada/espalier.git")
    else:
        fetched = subprocess.run(["git", "ls-remote", source.url, source.ref], check=True, capture_output=True, text=True)
        assert fetched.stdout.split()[0] == change.head
