"""The client in bad weather: pages, caches, limits, failures, and answers that are slow, cut off or nonsense."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest

from evaluator.errors import AnswerLost, ForgeBusy, ForgeError, ForgeRefused, ForgeSilent
from evaluator.forges import MARKER, Cache, Status, open_forge, wire
from evaluator.forges.limits import Timing
from evaluator.forges.token import Token
from tests.forges.server import NOW, Reply
from tests.forges.world import SECRET, QuickClock

HASTY = Timing(connect=2, read=0.3, whole=0.6)
DONE = Status("success", "24 cells")


def test_pages_are_followed_on_our_forge_only(rest):
    """The server's links point to a host that does not exist."""
    for _ in range(5):
        rest.world.propose()
    assert [change.number for change in rest.forge.open_changes()] == [1, 2, 3, 4, 5]
    asked = [one.query for one in rest.server.requests("/pulls|/merge_requests")]
    assert [query.get("page") for query in asked] == [None, "2", "3"]
    assert len({query["state"] for query in asked}) == 1


def test_gitlab_may_name_the_next_page_in_a_header_of_its_own(gitlab):
    gitlab.server.links = False
    for _ in range(5):
        gitlab.world.propose()
    assert len(gitlab.forge.open_changes()) == 5


def test_a_page_that_names_itself_as_the_next_ends_the_list(github):
    github.world.propose()
    link = {"Link": '<https://elsewhere.invalid/?page=2>; rel="next"'}
    github.server.trouble("GET .*/pulls$", Reply(200, [], link), times=100)
    assert github.forge.open_changes() == []
    assert len(github.server.asked) == 2


def test_a_list_without_end_is_an_error(github, monkeypatch):
    monkeypatch.setattr("evaluator.forges.http.MOST_PAGES", 3)
    for _ in range(8):
        github.world.propose()
    with pytest.raises(ForgeError, match="more than 3 pages"):
        github.forge.open_changes()


def test_what_has_not_changed_comes_from_the_cache(rest):
    for _ in range(3):
        rest.world.propose()
    first = rest.forge.open_changes()
    rest.server.asked.clear()
    assert rest.forge.open_changes() == first
    assert all("if-none-match" in asked.headers for asked in rest.server.asked)
    rest.world.push(3)
    rest.world.propose()
    again = rest.forge.open_changes()
    assert again[:2] == first[:2]
    assert again[2].head == rest.world.proposals[3].head
    assert again[3].number == 4


def test_a_page_that_was_full_does_not_hide_the_one_that_came_after_it(rest):
    """The ETag of a full last page is the same when there is another page behind it."""
    rest.server.whole_etags, rest.world.page_size = False, 20
    change = rest.propose()
    for _ in range(20 - (rest.kind == "gitlab")):
        rest.say(change.number, "ada", "me too")
    assert rest.forge.comment(change) is None
    rest.say(change.number, "espalier-bot", f"{MARKER}\nhere")
    assert rest.forge.comment(change) == "here"


def test_the_cache_outlives_a_process_and_a_damaged_file_does_no_harm(github, tmp_path):
    github.world.propose()
    first = github.open(cache=Cache(tmp_path)).open_changes()
    assert [SECRET in path.read_text() for path in tmp_path.iterdir()] == [False]
    github.server.asked.clear()
    assert github.open(cache=Cache(tmp_path)).open_changes() == first
    assert "if-none-match" in github.server.asked[0].headers
    for path in tmp_path.iterdir():
        path.write_text('{"address": 1, "etag"')
    assert github.open(cache=Cache(tmp_path)).open_changes() == first
    assert "if-none-match" not in github.server.asked[1].headers


def test_a_cache_keeps_no_more_than_its_size(tmp_path):
    cache = Cache(tmp_path, size=3)
    for number in range(10):
        cache.put(f"address {number}", {"etag": "x"}, number)
    assert len(list(tmp_path.iterdir())) == 10
    kept = Cache(tmp_path, size=3)
    assert len(list(tmp_path.iterdir())) == 3
    assert kept.get("no such address") is None


def limit(status: int = 403, message: str = "API rate limit exceeded", **headers: object) -> Reply:
    return Reply(status, {"message": message}, {name.replace("_", "-"): str(value) for name, value in headers.items()})


@pytest.mark.parametrize(
    ("reply", "waits"),
    [
        (limit(x_ratelimit_remaining=0, x_ratelimit_reset=int(NOW) + 100), [101]),
        (limit(429, ratelimit_remaining=0, ratelimit_reset=int(NOW) + 100), [101]),
        (limit(message="You have exceeded a secondary rate limit"), [60]),
        (limit(message="You have triggered an abuse detection mechanism"), [60]),
        (limit(429, message="slow down"), [60]),
        (limit(retry_after=7), [7]),
        (limit(429, retry_after=formatdate(NOW + 30, usegmt=True)), [30]),
        (limit(429, retry_after="soon"), [60]),
        (limit(429, retry_after=0), [1]),
    ],
)
def test_a_limit_is_waited_for_by_the_forges_clock(github, reply, waits):
    github.world.propose()
    github.server.trouble("pulls", reply)
    assert len(github.forge.open_changes()) == 1
    assert github.clock.slept == pytest.approx(waits, abs=0.5)


def test_a_limit_that_goes_on_is_waited_for_longer_each_time(github):
    github.server.trouble("pulls", limit(message="You have exceeded a secondary rate limit"), times=3)
    github.forge.open_changes()
    assert github.clock.slept == pytest.approx([60, 120, 240], abs=0.5)


def test_a_limit_for_longer_than_we_may_wait_says_for_how_long(github):
    github.server.trouble("pulls", limit(x_ratelimit_remaining=0, x_ratelimit_reset=int(NOW) + 3000), times=9)
    with pytest.raises(ForgeBusy, match="limits our requests") as caught:
        github.forge.open_changes()
    assert caught.value.seconds == pytest.approx(3001, abs=1)
    with pytest.raises(ForgeBusy):
        github.forge.change(1)
    assert len(github.server.asked) == 1, "a pause holds for every request"
    assert github.clock.slept == []


def test_the_last_request_of_a_quota_makes_the_next_one_wait(github):
    change = github.propose()
    github.server.trouble(
        "pulls/1$", Reply(200, None, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(NOW) + 50)})
    )
    with pytest.raises(ForgeError, match="no number number"):
        github.forge.change(1)
    assert github.forge.change(1) == change
    assert github.clock.slept == pytest.approx([51], abs=0.5)


def test_a_write_that_was_limited_is_made_later(rest):
    change = rest.propose()
    rest.server.trouble("POST", limit(retry_after=5))
    rest.forge.set_status(change, DONE)
    assert rest.forge.status(change) == DONE
    assert rest.clock.slept == pytest.approx([5], abs=0.5)


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (Reply(401, {"message": "Bad credentials"}), "Bad credentials.*\n.*the token from a test is wrong or has run out"),
        (Reply(403, {"message": "Resource not accessible"}), "not accessible\n.*needs pull requests and issues"),
        (Reply(404, {"message": "Not Found"}), "Not Found\n.*is the address right"),
        (Reply(410, b"<html>"), "HTTP 410\n.*gone"),
        (Reply(422, {"message": "Validation Failed", "errors": [{"field": "sha"}]}), "Validation Failed; .*field.*sha"),
        (Reply(301, None, {"Location": "https://elsewhere.invalid/"}), "the project has moved"),
    ],
)
def test_a_refusal_says_what_where_and_how_to_mend_it(github, reply, told):
    github.server.trouble("pulls", reply)
    with pytest.raises(ForgeRefused, match=f"(?s)GET http://127.*/repos/ada/espalier/pulls: .*{told}") as caught:
        github.forge.open_changes()
    assert caught.value.status == reply.status
    assert len(github.server.asked) == 1
    assert github.clock.slept == []


def test_a_status_of_a_commit_that_is_gone_is_refused(github):
    change = github.propose()
    github.push(change.number)
    with pytest.raises(ForgeRefused, match="HTTP 422 No commit found"):
        github.forge.set_status(change, DONE)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_forge_that_stumbles_is_asked_again_after_longer_and_longer(rest, status):
    rest.world.propose()
    rest.server.trouble("/pulls|/merge_requests", Reply(status, b"<html>oops</html>"), times=3)
    assert len(rest.forge.open_changes()) == 1
    assert rest.clock.slept == pytest.approx([1, 2, 4], abs=0.3)


def test_a_forge_that_stays_down_is_an_error_in_the_end(github):
    github.server.trouble("pulls", Reply(503, {"message": "maintenance"}), times=99)
    with pytest.raises(ForgeSilent, match="5 attempts, the last: HTTP 503 maintenance"):
        github.forge.open_changes()
    assert len(github.server.asked) == 5


def test_a_forge_that_is_not_there(github):
    github.server.close()
    with pytest.raises(ForgeSilent, match="ConnectError") as caught:
        github.forge.open_changes()
    assert caught.value.fix


@pytest.mark.parametrize(
    "trouble", [{"cut": True}, {"delay": 0.8}, {"trickle": 0.05}, {"reply": Reply(200, b'[{"number":')}]
)
def test_a_read_that_is_cut_off_slow_or_garbled_is_made_again(trouble):
    from tests.forges.stages import RestStage

    stage = RestStage("github", timing=HASTY)
    stage.world.propose()
    stage.server.trouble("pulls", **trouble)
    started = time.monotonic()
    assert len(stage.forge.open_changes()) == 1
    assert len(stage.server.asked) == 2
    assert time.monotonic() - started < 3
    stage.end()


LOST = [{"cut": True}, {"reply": Reply(502, b"<html>")}, {"reply": Reply(201, b"{")}]


@pytest.mark.parametrize("done", [True, False], ids=["done", "not-done"])
@pytest.mark.parametrize("trouble", LOST, ids=["cut", "502", "garbled"])
def test_a_comment_whose_answer_got_lost_is_there_once(rest, trouble, done):
    change = rest.propose()
    trouble = {"reply": Reply(201, b"{}"), **trouble} if not done else trouble
    rest.server.trouble("POST .*(comments|notes)", **trouble, done=done)
    rest.forge.upsert_comment(change, "12 of 24 cells")
    assert rest.bodies(change.number) == [f"{MARKER}\n12 of 24 cells"]


@pytest.mark.parametrize("done", [True, False], ids=["done", "not-done"])
@pytest.mark.parametrize("trouble", LOST, ids=["cut", "502", "garbled"])
def test_a_status_whose_answer_got_lost_is_set_once(rest, trouble, done):
    change = rest.propose()
    trouble = {"reply": Reply(201, b"{}"), **trouble} if not done else trouble
    rest.server.trouble("POST .*statuses", **trouble, done=done)
    rest.forge.set_status(change, DONE)
    assert rest.forge.status(change) == DONE
    assert len(rest.world.statuses[change.head]) == 1


def test_a_write_whose_answers_all_get_lost_is_an_error_that_says_so(github):
    change = github.propose()
    github.server.trouble("POST", Reply(502, {"message": "bad gateway"}), times=99)
    with pytest.raises(AnswerLost, match="bad gateway"):
        github.forge.upsert_comment(change, "text")
    assert len(github.server.writes()) == 3


def test_an_edit_is_repeated_without_looking(rest):
    change = rest.propose()
    rest.forge.upsert_comment(change, "one")
    rest.server.trouble("PATCH|PUT", cut=True, done=True)
    rest.server.trouble("PATCH|PUT", Reply(500))
    rest.forge.upsert_comment(change, "two")
    assert rest.bodies(change.number) == [f"{MARKER}\ntwo"]
    assert len(rest.server.requests("PATCH|PUT")) == 3


def test_a_surplus_comment_that_is_gone_already_is_no_error(github):
    change = github.propose()
    for _ in range(2):
        github.say(change.number, "espalier-bot", f"{MARKER}\ntext")
    github.server.trouble("DELETE", Reply(404), done=True)
    github.forge.upsert_comment(change, "text")
    assert len(github.bodies(change.number)) == 1


def test_nothing_is_written_that_is_there_already(rest):
    change = rest.propose()
    for _ in range(3):
        rest.forge.set_status(change, DONE)
        rest.forge.upsert_comment(change, "text")
    assert len(rest.server.writes()) == 2


def test_writes_keep_a_second_between_them(rest):
    change = rest.propose()
    rest.forge.set_status(change, DONE)
    rest.forge.upsert_comment(change, "text")
    assert sum(rest.clock.slept) == pytest.approx(1, abs=0.2)


def test_an_answer_that_is_too_large_is_not_read_to_its_end(github, monkeypatch):
    monkeypatch.setattr(wire, "LARGEST", 2**20)
    github.server.trouble("pulls", Reply(200, b" " * (2**20 + 2**16)), times=9)
    with pytest.raises(ForgeSilent, match="an answer of more than 1 MiB"):
        github.forge.open_changes()


@pytest.mark.parametrize("body", [b"<html>please log in</html>", b"[" * 100_000, b"\xff\xfe"])
def test_what_is_not_json_is_an_error(github, body):
    github.server.trouble("pulls", Reply(200, body), times=9)
    with pytest.raises(ForgeSilent, match="not JSON, or was cut off"):
        github.forge.open_changes()


@pytest.mark.parametrize("content", [{"message": "hello"}, "text", 7])
def test_what_should_be_a_list_and_is_none_is_an_error(rest, content):
    rest.server.trouble("/pulls|/merge_requests", Reply(200, content))
    with pytest.raises(ForgeError, match="something else than a list"):
        rest.forge.open_changes()


@pytest.mark.parametrize(
    "nonsense", [None, 7, [], {}, {"number": True, "iid": "1"}, {"title": None}, {"head": {"sha": "../x"}}]
)
def test_a_change_that_makes_no_sense_does_not_hide_the_others(rest, nonsense, caplog):
    rest.world.propose()
    good = rest.server.flavour(rest.world, _asked(rest)).content
    bad = {**good[0], **nonsense, "sha": None} if isinstance(nonsense, dict) else nonsense
    rest.server.trouble("/pulls|/merge_requests", Reply(200, [bad, *good]))
    assert [change.number for change in rest.forge.open_changes()] == [1]


def _asked(rest):
    rest.forge.open_changes()
    return rest.server.asked[-1]


def test_a_rest_forge_without_httpx_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "httpx", None)
    with pytest.raises(ForgeError, match=r"need the package httpx\n.*pip install -e '.\[forges\]'"):
        open_forge("https://github.com/ada/espalier", token=Token(SECRET, "a test"), clock=QuickClock())
