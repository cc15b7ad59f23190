"""One client for the REST interfaces of forges: it asks again where that is right, and waits as it is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from evaluator.errors import AnswerLost, ForgeBusy, ForgeError, ForgeRefused, ForgeSilent
from evaluator.forges.answers import Answer
from evaluator.forges.cache import Cache
from evaluator.forges.clock import Clock
from evaluator.forges.limits import Timing, backoff, limited, until_reset
from evaluator.forges.token import Token
from evaluator.forges.wire import Fault, Manners, Request, Wire, log

MOST_PAGES = 200
TRIES_TO_SETTLE = 3
SMALLEST_PAGE = 20
"""No forge cuts lists into shorter pages, whatever is asked for."""


@dataclass(frozen=True)
class Later:
    """An attempt that came to nothing, and in how many seconds the next may be made."""

    told: str
    seconds: float
    limited: bool = False


class Client:
    """Speaks JSON over HTTP to the interface at ``base``."""

    def __init__(
        self,
        base: str,
        token: Token,
        manners: Manners,
        *,
        cache: Cache | None = None,
        clock: Clock | None = None,
        timing: Timing | None = None,
    ) -> None:
        self.base, self._token, self._manners = base, token, manners
        self._cache, self._clock, self._timing = cache or Cache(), clock or Clock(), timing or Timing()
        self._not_before = self._last_write = self._clock.monotonic() - self._timing.between_writes
        self._wire = Wire(token, manners, self._timing, self._clock)

    def get(self, path: str, **query: str) -> Any:
        return self._send(Request("GET", self.base + path, query)).content

    def pages(self, path: str, **query: str) -> Iterator[Any]:
        """The items of a list that comes in pages, fetched as they are needed."""
        for _ in range(MOST_PAGES):
            request = Request("GET", self.base + path, query)
            answer = self._send(request)
            if not isinstance(answer.content, list | None):
                raise ForgeError("the forge answered with something else than a list", where=request.where)
            yield from answer.content or []
            following = answer.next_page(query)
            if following is None or following == query:
                return
            query = following
        raise ForgeError(f"a list of more than {MOST_PAGES} pages", where=self.base + path)

    def post(self, path: str, content: Any) -> Any:
        """Make something new. Not repeated when its answer is lost: use ``settle``.

        Raises:
            AnswerLost: it may be there or not.
        """
        return self._send(Request("POST", self.base + path, content=content, repeatable=False)).content

    def change(self, method: str, path: str, content: Any) -> Any:
        """Make something that exists what ``content`` says: as well once as twice."""
        return self._send(Request(method, self.base + path, content=content)).content

    def delete(self, path: str) -> None:
        """See to it that something is not there."""
        try:
            self._send(Request("DELETE", self.base + path))
        except ForgeRefused as error:
            if error.status not in (404, 410):
                raise

    def settle(self, act: Callable[[], None]) -> None:
        """Run something that looks before it writes; once more where the answer to its write got lost."""
        for attempt in range(TRIES_TO_SETTLE):
            try:
                act()
                return
            except AnswerLost:
                if attempt + 1 == TRIES_TO_SETTLE:
                    raise
                self._hold(backoff(attempt, self._clock))

    def close(self) -> None:
        self._wire.close()

    def _send(self, request: Request) -> Answer:
        """Ask until there is an answer that says yes or no.

        Raises:
            ForgeRefused: it says no.
            ForgeBusy: not soon enough.
            ForgeSilent: it says nothing; AnswerLost where that was a write that must not be repeated blindly.
        """
        deadline = self._clock.monotonic() + self._timing.patience
        later = Later("never asked", 0.0)
        for attempt in range(self._timing.attempts):
            self._wait_turn(request, deadline)
            outcome = self._attempt(request, attempt)
            if isinstance(outcome, Answer):
                return outcome
            later = outcome
            log.warning("%s: %s; to be asked again in %.0f s", request.where, later.told, later.seconds)
            self._hold(later.seconds)
        if later.limited:
            raise _busy(request, later.seconds)
        told = f"no usable answer in {self._timing.attempts} attempts, the last: {later.told}"
        raise ForgeSilent(told, where=request.where, fix="is the forge up, and this machine on the network? Try again later")

    def _hold(self, seconds: float) -> None:
        """A pause that one request was given holds for all."""
        self._not_before = max(self._not_before, self._clock.monotonic() + seconds)

    def _wait_turn(self, request: Request, deadline: float) -> None:
        turn = self._not_before
        if not request.reads:
            turn = max(turn, self._last_write + self._timing.between_writes)
        if turn > deadline:
            raise _busy(request, turn - self._clock.monotonic())
        if (wait := turn - self._clock.monotonic()) > 0:
            self._clock.sleep(wait)
        if not request.reads:
            self._last_write = self._clock.monotonic()

    def _attempt(self, request: Request, attempt: int) -> Answer | Later:
        pause = backoff(attempt, self._clock)
        try:
            answer = self._once(request)
        except Fault as fault:
            if fault.sent and not request.repeatable:
                raise AnswerLost(f"the answer got lost: {fault.told}", where=request.where) from None
            return Later(fault.told, pause)
        told = self._token.redact(f"HTTP {answer.status} {answer.message}".rstrip())
        if answer.status < 300:
            self._hold(until_reset(answer, self._clock) or 0.0)
            return answer
        if (seconds := limited(answer, attempt, self._clock)) is not None:
            return Later(told, seconds, limited=True)
        if answer.status < 500:
            raise ForgeRefused(told, status=answer.status, where=request.where, fix=self._remedy(answer.status))
        if not request.repeatable:
            raise AnswerLost(told, where=request.where)
        return Later(told, max(pause, answer.retry_after or 0.0))

    def _once(self, request: Request) -> Answer:
        """Ask once; what has not changed since we last asked comes from the cache."""
        cached = self._cache.get(request.address) if request.reads else None
        answer = self._wire.ask(request, cached.etag if cached else None)
        if answer.status == 304 and cached:
            return Answer(200, {**answer.headers, **cached.headers}, cached.content)
        if request.reads and answer.status == 200 and _tells_its_end(answer):
            self._cache.put(request.address, answer.headers, answer.content)
        return answer

    def _remedy(self, status: int) -> str | None:
        if status < 400:
            return "the project has moved: name its new address"
        return {
            401: f"the token from {self._token.origin} is wrong or has run out: make a new one",
            403: f"the token from {self._token.origin} needs {self._manners.needs}",
            404: f"is the address right? A token without {self._manners.needs} sees nothing there either",
            410: "it was there, and is gone for good",
        }.get(status)


def _tells_its_end(answer: Answer) -> bool:
    """Whether an answer can be kept: not the last page of a list if it may be full.

    A full page stays what it is, ETag and all, when something is added after it, and the page after it would be missed.
    """
    items = answer.content if isinstance(answer.content, list) else []
    return len(items) < SMALLEST_PAGE or answer.next_page({}) is not None


def _busy(request: Request, seconds: float) -> ForgeBusy:
    fix = "go on after that time; everything done until now is kept"
    told = f"the forge limits our requests, for {seconds:.0f} s more"
    return ForgeBusy(told, seconds=seconds, where=request.where, fix=fix)
