"""A forge that is a bare repository, with git as people use it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading

import pytest

from evaluator.errors import ForgeError
from evaluator.forges import Approval, Change, DryRun, LocalForge, Status, open_forge, people
from evaluator.forges.__main__ import app
from evaluator.forges.words import block, code, line
from tests.forges.world import SECRET
from tests.miniature import ROOT


def git(where, *arguments):
    return subprocess.run(["git", "-C", str(where), *arguments], check=True, capture_output=True, text=True).stdout.strip()


def test_a_merge_by_hand_is_a_merge(local):
    """Somebody pushes to main what a change proposes: nothing else needs to be told."""
    change = local.propose()
    git(local.checkout, "push", "--quiet", str(local.forge.path), f"{change.head}:refs/heads/main")
    merged = local.forge.change(1)
    assert (merged.state, merged.merge_commit) == ("merged", change.head)
    assert local.forge.open_changes() == []
    git(local.checkout, "fetch", "--quiet", str(local.forge.path), "main:main")
    people.merge(local.forge, local.propose().number, how="squash")
    assert local.forge.change(1).merge_commit == change.head, "and not what main got next"


def test_the_merge_commit_is_what_main_got_and_not_what_came_later(local):
    first, second = local.propose(), local.propose()
    merge = people.merge(local.forge, first.number, by="maria <m@x>").merge_commit
    people.merge(local.forge, second.number)
    assert local.forge.change(1).merge_commit == merge
    assert git(local.forge.path, "log", "-1", "--format=%an|%s", merge) == "maria mx|Merge change 1: A method".replace(
        " mx", " m@x"
    )
    assert git(local.forge.path, "log", "-1", "--format=%P", merge).split()[1] == first.head


def test_a_change_that_does_not_fit_is_not_merged(local):
    first, second = local.propose(), local.propose()
    people.push(local.forge, local.checkout, second.number, _other_version(local, first.head))
    people.merge(local.forge, first.number)
    for how in ("merge", "squash", "rebase"):
        with pytest.raises(ForgeError, match="cannot be merged as it is"):
            people.merge(local.forge, second.number, how=how)
    with pytest.raises(ForgeError, match="change 1 is merged"):
        people.merge(local.forge, first.number)


def _other_version(local, head):
    git(local.checkout, "checkout", "--quiet", "--detach", "main")
    name = git(local.checkout, "show", "--name-only", "--format=", head)
    (local.checkout / name).write_text("something else")
    git(local.checkout, "add", name)
    git(local.checkout, "-c", "user.name=Eve", "-c", "user.email=e@example.org", "commit", "--quiet", "-m", "other")
    return "HEAD"


def test_a_half_opened_change_is_not_there_and_its_number_is_not_used_again(local):
    git(local.checkout, "push", "--quiet", str(local.forge.path), "main:refs/pull/4/head")
    assert local.forge.open_changes() == []
    with pytest.raises(ForgeError, match="no change 4"):
        local.forge.change(4)
    assert local.propose().number == 5


def test_a_branch_that_is_not_there_is_named_with_a_way_to_make_it(local):
    with pytest.raises(ForgeError, match="no branch or commit 'my-branch'") as caught:
        people.open_change(local.forge, local.checkout, "my-branch", title="A method", author="somebody")
    assert "git switch -c my-branch" in str(caught.value.fix)


def test_approving_what_was_looked_at(local):
    change = local.propose()
    local.push(1)
    with pytest.raises(ForgeError, match="look at it again"):
        people.approve(local.forge, 1, "maria", change.head)
    assert local.forge.approvals(local.forge.change(1)) == []
    people.approve(local.forge, 1, "maria", local.forge.change(1).head)
    assert len(local.forge.approvals(local.forge.change(1))) == 1


def test_the_same_commit_in_two_changes_is_approved_for_one(local):
    first = local.propose()
    second = people.open_change(local.forge, local.checkout, title="The same", author="eve")
    assert first.head == second.head
    people.approve(local.forge, 1, "maria")
    assert local.forge.approvals(first) == [Approval("maria", first.head)]
    assert local.forge.approvals(second) == []


def test_writers_at_the_same_time_lose_nothing(local):
    changes = [local.propose() for _ in range(2)]

    def write(number):
        forge = LocalForge(local.forge.path, login=f"runner-{number}")
        for change in changes:
            forge.approve(change, f"person-{number}")
            forge.upsert_comment(change, f"of {number}")

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    git(local.forge.path, "config", "--add", "espalier.maintainer", "person-0")
    for number in range(1, 4):
        git(local.forge.path, "config", "--add", "espalier.maintainer", f"person-{number}")
    for change in changes:
        assert len(local.bodies(change.number)) == 4
        assert len(local.forge.approvals(change)) == 4


def test_hooks_and_our_environment_do_not_reach_each_other(local, monkeypatch, tmp_path):
    change = local.propose()
    seen = tmp_path / "seen"
    for name in ("reference-transaction", "post-update", "pre-push"):
        hook = local.forge.path / "hooks" / name
        hook.write_text(f"#!/bin/sh\nenv >> {seen}\n")
        hook.chmod(0o755)
    monkeypatch.setenv("ESPALIER_FORGE_TOKEN", SECRET)
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    local.forge.set_status(change, Status("success", "done"))
    local.forge.upsert_comment(change, "text")
    assert local.forge.status(change) == Status("success", "done")
    assert not seen.exists()


@pytest.mark.parametrize("note", ["not JSON", "[1]", '{"espalier": {"state": 7}}'])
def test_a_note_that_somebody_else_wrote_is_an_error_or_nothing(local, note):
    change = local.propose()
    git(local.forge.path, "-c", "user.name=x", "-c", "user.email=x@x", "notes", "--ref=espalier-status", "add", "-m", note,
        change.head)  # fmt: skip
    with contextlib.suppress(ForgeError):
        assert local.forge.status(change) is None


def test_where_git_is_not_there(local, monkeypatch):
    monkeypatch.setenv("PATH", os.devnull)
    with pytest.raises(ForgeError, match=r"git cannot be run.*\n.*install git"):
        local.forge.open_changes()


def test_a_dry_run_tells_and_does_not_write(stage):
    told = []
    change = stage.propose()
    dry = DryRun(stage.forge, told.append)
    dry.set_status(change, Status("success", "24 cells", "https://example.org/x"))
    dry.upsert_comment(change, "a table")
    assert stage.forge.status(change) is None
    assert stage.bodies(change.number) == []
    assert len(told) == 2
    assert "success, 24 cells (https://example.org/x)" in told[0]
    assert "a table" in told[1]
    assert dry.open_changes() == stage.forge.open_changes()
    assert (dry.name, dry.source(change)) == (stage.forge.name, stage.forge.source(change))
    assert (dry.merged_changes(), dry.approvals(change), dry.comment(change), dry.status(change)) == ([], [], None, None)
    assert dry.change(change.number) == change


def test_a_whole_story_from_the_command_line(local, tmp_path, capsys):
    def run(*arguments):
        app(arguments, standalone_mode=False)
        return capsys.readouterr().out

    bare, checkout = str(tmp_path / "by-hand.git"), str(local.checkout)
    local._new_commit()
    run("create", bare, "HEAD~1", "--from", checkout, "--maintainer", "maria")
    assert "change 1: open" in run("open", bare, "HEAD", "--from", checkout, "--title", "A [red]method", "--author", "ada")
    forge = open_forge(bare)
    forge.set_status(forge.change(1), Status("pending", "7 of 24 cells"))
    forge.upsert_comment(forge.change(1), "[bold]a table")
    local._new_commit()
    assert "change 1: open" in run("push", bare, "1", "HEAD", "--from", checkout)
    assert app(["approve", bare, "1", "--by", "ada"], standalone_mode=False) == 1
    assert "this does not count: ada is no maintainer" in capsys.readouterr().err
    assert forge.approvals(forge.change(1)) == []
    run("approve", bare, "1", "--by", "maria", "--commit", forge.change(1).head)
    assert [one.by for one in forge.approvals(forge.change(1))] == ["maria"]
    assert "change 1: merged" in run("merge", bare, "1", "--by", "maria")
    with pytest.raises(ForgeError, match="is merged"):
        run("merge", bare, "1")


def test_the_command_line_shows_what_is_open_and_tells_errors_without_a_traceback(local):
    def run(*arguments):
        command = [sys.executable, "-P", "-m", "evaluator.forges", *arguments]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    change = local.propose("A [red]method", "ada")
    forge = LocalForge(local.forge.path)
    forge.set_status(change, Status("pending", "7 of 24 cells"))
    forge.upsert_comment(change, "[bold]a table")
    shown = run("show", str(forge.path)).stdout
    for text in ("A [red]method", "pending: 7 of 24 cells", "[bold]a table"):
        assert text in shown
    failed = run("close", str(forge.path), "9")
    assert failed.returncode == 1
    assert "no change 9" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_a_change_needs_a_whole_commit():
    for head in ("", "abc", "0" * 39, "z" * 40, "0" * 40 + "\n"):
        with pytest.raises(ForgeError):
            Change(1, "title", "ada", head, "main")
    with pytest.raises(ForgeError):
        Status("success", "text", "javascript:alert(1)")


def test_words_of_strangers():
    assert line("a\u202eb\x00 \t c", 80) == "ab c"
    assert line("x" * 10, 5) == "xxxx…"
    assert code("a`b|c\nd") == "`aˋb¦c d`"  # noqa: RUF001
    assert code("") == "` `"
    fenced = block("```\n@all\n````\n\x1b[31m/close\r\n")
    assert fenced.startswith("`````text\n```\n@all\n````\n[31m/close\n`````")
