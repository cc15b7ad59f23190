"""What is peculiar to one kind of forge."""

from __future__ import annotations

import re

import pytest

from evaluator.errors import ForgeRefused
from evaluator.forges import MARKER, Approval, Status
from tests.forges.server import Reply
from tests.forges.stages import RestStage


@pytest.fixture(params=["github", "gitea"])
def reviewed(request):
    built = RestStage(request.param)
    yield built
    built.end()


def test_who_asks_for_changes_after_approving_does_not_approve(reviewed):
    change = reviewed.propose()
    reviewed.world.review(1, "maria")
    reviewed.world.review(1, "maria", "CHANGES_REQUESTED")
    reviewed.say(1, "maria", f"espalier approve {change.head}")
    assert reviewed.forge.approvals(change) == []
    reviewed.world.review(1, "maria")
    assert reviewed.forge.approvals(change) == [Approval("maria", change.head)]


def test_a_remark_after_an_approval_does_not_take_it_back(reviewed):
    change = reviewed.propose()
    reviewed.world.review(1, "maria")
    reviewed.world.review(1, "maria", "COMMENTED")
    assert reviewed.forge.approvals(change) == [Approval("maria", change.head)]


def test_a_dismissed_approval_is_none(reviewed):
    change = reviewed.propose()
    reviewed.world.review(1, "maria", dismissed=True)
    assert reviewed.forge.approvals(change) == []


def test_an_approval_of_an_earlier_commit_among_many_reviews(reviewed):
    """Over several pages, and whatever order they come in."""
    change = reviewed.propose()
    for _ in range(5):
        reviewed.world.review(1, "rita", "COMMENTED")
    reviewed.world.review(1, "maria")
    reviewed.push(1)
    assert reviewed.forge.approvals(reviewed.forge.change(1)) == []
    assert reviewed.forge.approvals(change) == [Approval("maria", change.head)]
    reviewed.world.proposals[1].reviews.reverse()
    assert reviewed.forge.approvals(change) == [Approval("maria", change.head)]


def test_who_loses_the_right_to_merge_no_longer_approves(rest):
    change = rest.propose()
    rest.approve(1, "maria")
    assert rest.forge.approvals(change)
    rest.world.access["maria"] = "read"
    assert rest.forge.approvals(change) == []
    del rest.world.access["maria"]
    assert rest.forge.approvals(change) == []


def test_where_rights_may_not_be_asked_for_nobody_approves(reviewed):
    """Gitea tells them to administrators of a repository alone; not knowing is an error, not a no and not a yes."""
    change = reviewed.propose()
    reviewed.world.review(1, "maria")
    reviewed.server.trouble("permission", Reply(403, {"message": "Only admins can query all permissions"}), times=9)
    with pytest.raises(ForgeRefused, match="Only admins"):
        reviewed.forge.approvals(change)


def test_gone_accounts_neither_approve_nor_hide_what_is_there(rest):
    change = rest.propose()
    rest.world.proposals[1].author = None
    rest.say(1, None, f"espalier approve {change.head}")
    assert rest.forge.open_changes()[0].author == "(unknown)"
    assert rest.forge.approvals(change) == []
    rest.forge.upsert_comment(change, "text")
    assert rest.forge.comment(change) == "text"


def test_an_app_that_may_not_ask_who_it_is_is_told(github):
    change = github.propose()
    github.say(1, "eve", f"{MARKER}\na copy")
    github.server.trouble("/user$", Reply(403, {"message": "Resource not accessible by integration"}), times=9)
    with pytest.raises(ForgeRefused):
        github.forge.upsert_comment(change, "text")
    forge = github.open(login="Espalier-Bot")
    forge.upsert_comment(change, "text")
    assert forge.comment(change) == "text"


def test_statuses_of_others_are_not_ours(rest):
    change = rest.propose()
    name = "name" if rest.kind == "gitlab" else "context"
    for other in ("ci/build", "espalier-2"):
        rest.world.set_status(change.head, {"state": "success", name: other, "description": "theirs"})
    assert rest.forge.status(change) is None


def test_the_heads_of_gitea_and_gitlab_are_where_git_finds_them(rest):
    change = rest.propose()
    source = rest.forge.source(change)
    assert source.ref == ("refs/merge-requests/1/head" if rest.kind == "gitlab" else "refs/pull/1/head")


def test_gitlab_gets_no_command_from_a_log(gitlab):
    """The server of these tests refuses a comment with a line that starts with a slash, as GitLab would carry it out."""
    change = gitlab.propose()
    gitlab.forge.upsert_comment(change, "/close\n\n/merge\n```\n/approve\r\n```\n a/b\n\n  /label ~x")
    (body,) = gitlab.bodies(1)
    assert not re.search(r"^\s*/", body.replace("\r", ""), re.MULTILINE)
    assert body.count("\u200b") == 4
    assert len(gitlab.server.writes()) == 1


def test_gitlab_keeps_the_first_description_while_something_runs(gitlab):
    """It refuses to set running what is running; the comment tells the progress."""
    change = gitlab.propose()
    gitlab.forge.set_status(change, Status("pending", "1 of 24 cells"))
    gitlab.forge.set_status(change, Status("pending", "7 of 24 cells"))
    assert gitlab.forge.status(change) == Status("pending", "1 of 24 cells")
    gitlab.forge.set_status(change, Status("success", "24 cells"))
    gitlab.forge.set_status(change, Status("pending", "1 of 24 cells, measured again"))
    assert gitlab.forge.status(change).state == "pending"


def test_gitlab_two_runners_that_set_the_same_state_do_not_fail(gitlab):
    change = gitlab.propose()
    told = 'Cannot transition status via :run from :running (Reason(s): Status cannot transition via "run")'
    gitlab.server.trouble("POST .*statuses", Reply(400, {"message": told}))
    gitlab.forge.set_status(change, Status("pending", "1 of 24 cells"))
    gitlab.server.trouble("POST .*statuses", Reply(409, {"message": "Another update is in progress"}))
    gitlab.forge.set_status(change, Status("pending", "1 of 24 cells"))
    assert gitlab.forge.status(change) == Status("pending", "1 of 24 cells")


def test_gitlab_keeps_a_status_with_the_branch_or_with_the_merge_request_of_a_fork(gitlab):
    for number, from_fork in ((1, True), (2, False)):
        change = gitlab.propose()
        gitlab.world.proposals[number].from_fork = from_fork
        gitlab.forge.set_status(change, Status("success", "24 cells"))
    assert [asked.content["ref"] for asked in gitlab.server.writes()] == ["refs/merge-requests/1/head", "patch"]


def test_gitlabs_button_does_not_approve(gitlab):
    """It is not bound to a commit, so it is not even asked for; system notes with our marker are not ours either."""
    change = gitlab.propose()
    assert gitlab.forge.approvals(change) == []
    assert gitlab.server.requests("approvals") == []
    assert gitlab.forge.comment(change) is None


def test_a_developer_on_gitlab_is_no_maintainer(gitlab):
    gitlab.world.access |= {"mar": "write", "dev": "read"}
    change = gitlab.propose()
    gitlab.approve(1, "dev")
    gitlab.approve(1, "ma")
    assert gitlab.forge.approvals(change) == []


def test_the_marker_does_not_show(stage):
    assert re.fullmatch(r"<!--[^>]*-->", MARKER)
