"""An answer of a forge's REST interface, and how to take things out of it without trusting its shape."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from evaluator.errors import ForgeError
from evaluator.forges.words import line

ADDRESS = "is this the address of a forge of that kind?"
NEXT = re.compile(r"<([^>]*)>\s*;[^<]*?\brel=\"?next\"?")


@dataclass(frozen=True)
class Answer:
    """What came back.

    Args:
        status: of HTTP.
        headers: with names in small letters.
        content: the JSON of it; None where there was none.
    """

    status: int
    headers: Mapping[str, str]
    content: Any

    @property
    def message(self) -> str:
        """What the forge says went wrong, on one line."""
        content = self.content if isinstance(self.content, dict) else {}
        told = [content[name] for name in ("message", "error", "error_description", "errors") if content.get(name)]
        return line("; ".join(str(one) for one in told), 300)

    @property
    def sent_at(self) -> float | None:
        """When the forge sent it, in seconds since 1970 by the clock of the forge."""
        return _seconds_since_1970(self.headers.get("date", ""))

    @property
    def retry_after(self) -> float | None:
        """Seconds to wait that the forge names, as such or as a date."""
        value = self.headers.get("retry-after", "").strip()
        if re.fullmatch(r"\d{1,9}", value):
            return float(value)
        then, now = _seconds_since_1970(value), self.sent_at
        return None if then is None or now is None else max(then - now, 0.0)

    def number(self, *names: str) -> float | None:
        """The first of these headers that is a whole number."""
        for name in names:
            if re.fullmatch(r"\d{1,12}", value := self.headers.get(name, "").strip()):
                return float(value)
        return None

    def next_page(self, query: Mapping[str, str]) -> dict[str, str] | None:
        """The query of the page after this one; None at the end.

        Of the address in the Link header only the query is used: wherever it points, our token goes to our forge alone.
        """
        if found := NEXT.search(self.headers.get("link", "")):
            return {**query, **dict(parse_qsl(urlsplit(found[1]).query))}
        if following := self.headers.get("x-next-page", "").strip():
            return {**query, "page": following}
        return None


def _seconds_since_1970(date: str) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


def take(value: Any, *path: str) -> Any:
    """What is at ``path`` in nested objects; None where there is nothing."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def text(value: Any, *path: str) -> str:
    """A text that must be there."""
    found = take(value, *path)
    if not isinstance(found, str):
        raise ForgeError(f"the forge's answer has no text {'.'.join(path)}", fix=ADDRESS)
    return found


def number(value: Any, *path: str) -> int:
    """A whole number that must be there."""
    found = take(value, *path)
    if not isinstance(found, int) or isinstance(found, bool):
        raise ForgeError(f"the forge's answer has no number {'.'.join(path)}", fix=ADDRESS)
    return found


def login(value: Any, name: str = "login") -> str:
    """Who somebody is; empty where the account is gone."""
    found = take(value, name)
    return found if isinstance(found, str) else ""


def moment(value: Any) -> datetime | None:
    """A date in ISO 8601, in UTC."""
    try:
        return datetime.fromisoformat(value).astimezone(UTC)
    except (ValueError, TypeError, OverflowError):
        return None
