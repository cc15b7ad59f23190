"""The token goes to the forge, and nowhere else."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import traceback
from urllib.parse import quote

import pytest

from evaluator.errors import EspalierError, ForgeError
from evaluator.forges import Cache, Status, Token, open_forge
from evaluator.forges.token import VARIABLE
from tests.forges.server import Reply
from tests.forges.world import SECRET


def test_a_token_shows_where_it_is_from_and_nothing_else():
    token = Token(SECRET + "\n", "a file")
    assert SECRET not in f"{token} {token!r} {token.__dict__ if hasattr(token, '__dict__') else ''} {[token]}"
    assert "a file" in repr(token)
    assert token.header("Bearer") == f"Bearer {SECRET}"
    assert SECRET not in token.redact(f"?token={SECRET}&x={quote(SECRET, safe='')}")
    for attempt in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError):
            attempt(token)


@pytest.mark.parametrize("secret", ["", "  \n", "two words", "a\nb: c", "tökén", "a\x00b", 'a"b', "a\\b"])
def test_what_cannot_be_a_token_is_refused_without_being_shown(secret):
    with pytest.raises(ForgeError) as caught:
        Token(secret, "the place")
    assert "the place" in str(caught.value)
    assert not secret.strip() or secret not in str(caught.value)


def test_a_token_from_the_environment(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(ForgeError, match=f"environment variable {VARIABLE}.*\n.*set {VARIABLE}"):
        open_forge("https://github.com/ada/espalier")
    monkeypatch.setenv(VARIABLE, SECRET)
    forge = open_forge("https://github.com/ada/espalier")
    assert SECRET not in repr(vars(forge))
    forge.close()


def locals_of_ours(error):
    """What a traceback with variables would show of our frames; the test's own know the secret."""
    told = traceback.TracebackException.from_exception(error, capture_locals=True)
    return [str(frame.locals) for frame in told.stack if "/tests/" not in frame.filename]


ECHO = f"your header was Bearer {SECRET}, in short {quote(SECRET, safe='')}"
TROUBLES = [
    Reply(200, {"message": ECHO}, {"X-Echo": ECHO}),
    Reply(200, ECHO.encode()),
    Reply(200, json.dumps([{"number": 1, "iid": 1, "title": ECHO}]).replace("/", "\\u002f").encode()),
    Reply(200, [{"number": 1, "iid": 1, "title": ECHO, "head": {"sha": ECHO}, "state": ECHO}]),
    Reply(301, None, {"Location": f"https://elsewhere.invalid/?token={SECRET}", "ETag": SECRET}),
    *(
        Reply(status, {"message": ECHO, "errors": [ECHO]}, {"X-Echo": ECHO})
        for status in (400, 401, 403, 404, 422, 429, 500)
    ),
    Reply(429, {"message": ECHO}, {"Retry-After": "99999"}),
]


@pytest.mark.parametrize("reply", TROUBLES, ids=lambda reply: str(reply.status))
def test_a_forge_that_throws_our_token_back_is_not_quoted(rest, reply, caplog, tmp_path):
    change = rest.propose()
    caplog.set_level(logging.DEBUG)
    logging.getLogger("evaluator.forges").setLevel(logging.DEBUG)
    forge = rest.open(cache=Cache(tmp_path))
    seen = [repr(forge), repr(vars(forge))]
    rest.server.trouble("", reply, times=10**6)
    for act in (
        forge.open_changes,
        forge.merged_changes,
        lambda: forge.change(1),
        lambda: forge.set_status(change, Status("success", "text")),
        lambda: forge.upsert_comment(change, "text"),
        lambda: forge.approvals(change),
    ):
        try:
            seen.append(repr(act()))
        except EspalierError as error:
            seen += [str(error), repr(error), repr(vars(error)), "".join(traceback.format_exception(error))]
            seen += locals_of_ours(error)
    seen.append(caplog.text)
    seen += [path.read_text() for path in tmp_path.iterdir()]
    assert len(rest.server.asked) > 1
    everything = "\n".join(seen)
    for secret in (SECRET, quote(SECRET, safe=""), SECRET[:20]):
        assert secret not in everything
