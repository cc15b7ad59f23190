"""One request over the wire, and the whole of its answer: bounded in time and size, with the token taken out."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from evaluator import __version__
from evaluator.errors import ForgeError
from evaluator.forges.answers import Answer
from evaluator.forges.clock import Clock
from evaluator.forges.limits import Timing
from evaluator.forges.token import Token
from evaluator.forges.words import line

if TYPE_CHECKING:
    import httpx

LARGEST = 32 * 2**20
"""Bytes of an answer, unpacked."""

log = logging.getLogger("evaluator.forges")


@dataclass(frozen=True)
class Manners:
    """How one kind of forge wants to be addressed.

    Args:
        scheme: what stands before the token.
        needs: what the token must be allowed, in that forge's words.
        headers: sent with every request.
    """

    scheme: str
    needs: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Request:
    """One request. A repeatable one may be sent again when nobody knows whether it was done."""

    method: str
    url: str
    query: Mapping[str, str] = field(default_factory=dict)
    content: Any = None
    repeatable: bool = True

    @property
    def reads(self) -> bool:
        return self.method == "GET"

    @property
    def where(self) -> str:
        return f"{self.method} {self.url}"

    @property
    def address(self) -> str:
        return f"{self.url}?{urlencode(sorted(self.query.items()))}"


class Fault(Exception):
    """No usable answer; ``sent`` when the forge may have done what it was asked."""

    def __init__(self, told: str, *, sent: bool) -> None:
        super().__init__(told)
        self.told, self.sent = told, sent


class Wire:
    """Connections to a forge. httpx is loaded here, and only when a forge is opened."""

    def __init__(self, token: Token, manners: Manners, timing: Timing, clock: Clock) -> None:
        self._token, self._timing, self._clock = token, timing, clock
        self._http = _connection(token, manners, timing)

    def ask(self, request: Request, etag: str | None) -> Answer:
        """Send a request once; with an ETag, the answer may be 304 without content.

        Raises:
            Fault: no whole answer came, or none that is JSON.
        """
        import httpx

        started = self._clock.monotonic()
        stream = self._http.stream(
            request.method,
            request.url,
            params=dict(request.query),
            json=request.content,
            headers={"If-None-Match": etag} if etag else {},
        )
        not_sent = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
        try:
            with stream as response:
                body = self._read(response, started)
        except httpx.HTTPError as error:
            told = self._token.redact(line(f"{type(error).__name__} {error}", 300))
            raise Fault(told, sent=not isinstance(error, not_sent)) from None
        log.info("%s: %d in %.2f s", request.where, response.status_code, self._clock.monotonic() - started)
        headers = {name.lower(): self._token.redact(value) for name, value in response.headers.items()}
        return Answer(response.status_code, headers, self._parse(body, response.status_code))

    def close(self) -> None:
        self._http.close()

    def _read(self, response: httpx.Response, started: float) -> bytes:
        """All of an answer, unless it is too large or trickles."""
        body = bytearray()
        for part in response.iter_bytes():
            body += part
            if len(body) > LARGEST:
                raise Fault(f"an answer of more than {LARGEST >> 20} MiB", sent=True)
            if self._clock.monotonic() - started > self._timing.whole:
                raise Fault(f"no whole answer in {self._timing.whole:g} s", sent=True)
        return bytes(body)

    def _parse(self, body: bytes, status: int) -> Any:
        if not body.strip():
            return None
        try:
            content = json.loads(body.decode("utf-8", "replace"))
            plain = json.dumps(content, ensure_ascii=False)  # however the forge escaped it
            redacted = self._token.redact(plain)
            return content if redacted == plain else json.loads(redacted)
        except (ValueError, RecursionError):
            if status >= 300:
                return None
            raise Fault("an answer that is not JSON, or was cut off", sent=True) from None


def _connection(token: Token, manners: Manners, timing: Timing) -> httpx.Client:
    try:
        import httpx
    except ModuleNotFoundError:
        fix = "python -m pip install -e '.[forges]' in the checkout"
        raise ForgeError("forges other than a local repository need the package httpx", fix=fix) from None

    def authorise(request: httpx.Request) -> httpx.Request:
        request.headers["Authorization"] = token.header(manners.scheme)
        return request

    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)  # their finer lines hold headers
    return httpx.Client(
        auth=authorise,
        headers={"User-Agent": f"espalier/{__version__}", "Accept": "application/json", **manners.headers},
        timeout=httpx.Timeout(timing.read, connect=timing.connect),
        follow_redirects=False,  # a write would become a read, and a token must not travel
    )
