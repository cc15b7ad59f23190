"""What a method printed, made fit to publish: plain text, short, without paths of this machine."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from evaluator.characters import seen
from evaluator.source import emptied

LOG_BYTES = 8000
REASON_LENGTH = 300
_LINE = re.compile(r'(method\.py(?:", line |:)|^SyntaxError: .* \(line )(\d{1,9})')
INSIDE = (("/espalier/submission/", ""), ("/espalier/code/", ""))


def clean_log(printed: bytes, private: Sequence[str]) -> str:
    """The last 8 kB of ``printed``; ``private`` are paths to hide, longest first."""
    text = _plain(printed.decode("utf-8", errors="replace"), private).strip("\n")
    if len(text.encode()) <= LOG_BYTES:
        return text
    return "[...]" + text.encode()[-LOG_BYTES + 8 :].decode("utf-8", errors="ignore")


def clean_reason(reason: str, private: Sequence[str]) -> str:
    """One line."""
    line = " ".join(_plain(reason, private).split())
    return line if len(line) <= REASON_LENGTH else line[: REASON_LENGTH - 3] + "..."


def as_written(text: str, code: str) -> str:
    """A log or a reason with the lines of ``method.py`` as they are in ``code``, not in what ran of it."""
    lines = emptied(code).lines

    def original(found: re.Match[str]) -> str:
        number = int(found[2])
        return f"{found[1]}{lines[number - 1] if 0 < number <= len(lines) else number}"

    return _LINE.sub(original, text)


def _plain(text: str, private: Sequence[str]) -> str:
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = "".join(c for c in seen(text) if unicodedata.category(c) != "Cn")  # nobody knows how those will look
    for path, shown in (*INSIDE, *((path, "...") for path in private)):
        text = text.replace(path, shown)
    return text
