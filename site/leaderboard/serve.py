"""Look at a built site through HTTP, on this machine only."""

from __future__ import annotations

import json
import re
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from leaderboard.address import base
from leaderboard.build import MARKER
from leaderboard.errors import SiteError


class Handler(SimpleHTTPRequestHandler):
    """Files of the site, never cached, no listings; the site's own page where there is none."""

    extensions_map = {**SimpleHTTPRequestHandler.extensions_map, ".js": "text/javascript"}  # noqa: RUF012  (the base's way)

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-cache")
        self.send_header("X-Content-Type-Options", "nosniff")
        super().end_headers()

    def list_directory(self, path: object) -> None:  # noqa: ARG002  (the base class's signature)
        self.send_error(HTTPStatus.NOT_FOUND)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        page = Path(self.directory) / "404.html"
        if code != HTTPStatus.NOT_FOUND or not page.is_file():
            super().send_error(code, message, explain)
            return
        body = re.sub(rb'(href|src)="' + _root(page.with_name(MARKER)) + rb"(?!#)", rb'\1="/', page.read_bytes())
        self.send_response(code)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the base class's name)
        """Quiet: what matters is in the browser."""


def _root(marker: Path) -> bytes:
    """What the links of the site's page for lost readers begin with, as a pattern."""
    return re.escape(base(json.loads(marker.read_bytes()).get("url", "")).encode())


def make_server(folder: Path, port: int) -> ThreadingHTTPServer:
    """A server of ``folder`` on 127.0.0.1; port 0 takes any free one.

    Raises:
        SiteError: there is no site in ``folder``, or the port is taken.
    """
    if not (folder / MARKER).is_file():
        raise SiteError("there is no site here", where=folder, fix="build it with `espalier site build`")
    try:
        return ThreadingHTTPServer(("127.0.0.1", port), partial(Handler, directory=str(folder)))
    except OSError as error:
        raise SiteError(f"port {port} cannot be used: {error.strerror}", fix="name another one with --port") from None
