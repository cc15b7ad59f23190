"""Text that goes to a forge or comes from one: strangers' words made harmless, and ours kept within limits."""

from __future__ import annotations

import re

from evaluator.characters import seen

COMMENT_LENGTH = 60_000
"""Characters; GitHub takes 65,536."""

CUT = "\n\n*(cut: too long for a comment)*"


def line(text: str, length: int) -> str:
    """``text`` as one line of at most ``length`` visible characters."""
    kept = " ".join(seen(re.sub(r"\s+", " ", text)).split())
    return kept if len(kept) <= length else kept[: length - 1].rstrip() + "…"


def block(text: str) -> str:
    """``text`` as a code block of Markdown that it cannot end: no mention, link, image or command in it comes to life."""
    clean = seen(text.replace("\r\n", "\n").replace("\r", "\n")).strip("\n")
    longest = max((len(run) for run in re.findall("`+", clean)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{clean}\n{fence}"


def code(text: str, length: int = 200) -> str:
    """``text`` as code within a line or a cell of a table; backticks and bars become their likes."""
    return "`" + (line(text, length).replace("`", "ˋ").replace("|", "¦") or " ") + "`"  # noqa: RUF001


def comment(marker: str, text: str) -> str:
    """The body of a comment: the marker, and as much of ``text`` as fits, cut at the end of a line."""
    clean = text.encode("utf-8", "replace").decode().replace("\r", "").strip()
    if len(clean) > COMMENT_LENGTH:
        clean = clean[: COMMENT_LENGTH - len(CUT)].rpartition("\n")[0] + CUT
    return f"{marker}\n{clean}"


def without(marker: str, body: str) -> str | None:
    """The text after the marker; None when the body does not start with the marker, alone on its line."""
    first, _, rest = body.replace("\r\n", "\n").partition("\n")
    return rest.strip() if first.strip() == marker else None
