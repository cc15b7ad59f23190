"""A real HTTP server on loopback that answers as a forge does, and misbehaves on order."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlencode, urlsplit

from tests.forges.world import SECRET, World, sha

NOW = 1_780_000_000.0
"""What the server's clock says; ours says something else."""


@dataclass(frozen=True)
class Asked:
    """A request, and the query and content of it."""

    method: str
    path: str
    query: dict[str, str]
    content: dict | None
    headers: dict[str, str]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True)
class Reply:
    status: int
    content: object = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Trouble:
    """What goes wrong with the next requests that match.

    Args:
        pattern: of method and path.
        reply: what is answered instead; the true answer by default.
        times: how often.
        done: the request is carried out all the same.
        cut: only the first bytes of the answer are sent, then the line goes dead.
        delay: seconds before the answer; ``trickle``: seconds before every byte of it.
    """

    pattern: str
    reply: Reply | None = None
    times: int = 1
    done: bool = False
    cut: bool = False
    delay: float = 0.0
    trickle: float = 0.0


class Missing(Exception):
    pass


class Server:
    """Serves a world in the words of a flavour: ``flavour(world, asked)`` gives the reply, a list for what has pages."""

    def __init__(self, world: World, flavour: Callable[[World, Asked], Reply], scheme: str) -> None:
        self.world, self.flavour, self.scheme = world, flavour, scheme
        self.asked: list[Asked] = []
        self.troubles: list[Trouble] = []
        self.links = self.whole_etags = True
        self.stop = threading.Event()
        handler = type("Handler", (_Handler,), {"owner": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    @property
    def host(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    def trouble(self, pattern: str, reply: Reply | None = None, **kind: object) -> None:
        self.troubles.append(Trouble(pattern, reply, **kind))

    def requests(self, pattern: str = "") -> list[Asked]:
        return [asked for asked in self.asked if re.search(pattern, str(asked))]

    def writes(self) -> list[Asked]:
        return [asked for asked in self.asked if asked.method != "GET"]

    def next_trouble(self, asked: Asked) -> Trouble | None:
        for trouble in self.troubles:
            if trouble.times and re.search(trouble.pattern, str(asked)):
                trouble.times -= 1
                return trouble
        return None

    def answer(self, asked: Asked) -> Reply:
        if asked.headers.get("authorization") != f"{self.scheme} {SECRET}":
            return Reply(401, {"message": "Bad credentials"})
        try:
            return self._in_pages(asked, self.flavour(self.world, asked))
        except Missing:
            return Reply(404, {"message": "Not Found"})

    def _in_pages(self, asked: Asked, reply: Reply) -> Reply:
        if asked.method != "GET" or reply.status != 200:
            return reply
        headers = dict(reply.headers)
        content = reply.content
        if isinstance(content, list) and "x-unpaged" not in headers:
            size = min(int(asked.query.get("per_page") or asked.query.get("limit") or 20), self.world.page_size)
            page = int(asked.query.get("page", 1))
            more = page * size < len(content)
            content = content[(page - 1) * size : page * size]
            following = urlencode({**asked.query, "page": page + 1})
            if more and self.links:
                # an address of another host: the client must not follow it there with our token
                headers["Link"] = (f'<https://elsewhere.invalid/x?{urlencode(asked.query)}>; rel="first", '
                                   f'<https://elsewhere.invalid/x?{following}>; rel="next"')  # fmt: skip
            elif more:
                headers["X-Next-Page"] = str(page + 1)
        etag = f'W/"{sha(content, headers if self.whole_etags else None)}"'
        if asked.headers.get("if-none-match") == etag:
            return Reply(304, None, {"ETag": etag})
        return Reply(200, content, {**headers, "ETag": etag})

    def close(self) -> None:
        self.stop.set()
        self._http.shutdown()
        self._http.server_close()


class _Handler(BaseHTTPRequestHandler):
    owner: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def handle_one(self) -> None:
        parts = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        content = json.loads(self.rfile.read(length)) if length else None
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(self.command, parts.path, dict(parse_qsl(parts.query)), content, headers)
        self.owner.asked.append(asked)
        trouble = self.owner.next_trouble(asked) or Trouble("")
        reply = trouble.reply
        if reply is None or trouble.done:
            true = self.owner.answer(asked)
            reply = reply or true
        self.owner.stop.wait(trouble.delay)
        self._send(reply, trouble)

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = handle_one  # noqa: N815

    def _send(self, reply: Reply, trouble: Trouble) -> None:
        raw = reply.content
        body = b"" if raw is None else raw if isinstance(raw, bytes) else json.dumps(raw).encode()
        self.send_response_only(reply.status)
        for name, value in {"Date": formatdate(NOW, usegmt=True), **reply.headers}.items():
            self.send_header(name, value)
        if reply.status != 304:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            if trouble.cut:
                self.wfile.write(body[: len(body) // 2])
                self.close_connection = True
            elif trouble.trickle:
                for byte in body:
                    if self.owner.stop.wait(trouble.trickle):
                        break
                    self.wfile.write(bytes((byte,)))
            else:
                self.wfile.write(body)
        except OSError:
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass
