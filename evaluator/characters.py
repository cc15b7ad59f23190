"""Characters that readers do not see, or that move others: what strangers wrote is shown without them."""

from __future__ import annotations

import unicodedata

BLANKS = "\u115f\u1160\u2800\u3164\uffa0"
"""Letters and symbols that look like nothing."""


def hidden(character: str) -> bool:
    """Whether a character is invisible or moves others: controls, bidirectional marks, zero-width, tags, private use,
    halves of pairs. Tabs and the ends of lines are not: they are what they look like."""
    if character in "\n\t":
        return False
    return unicodedata.category(character) in ("Cc", "Cf", "Co", "Cs", "Zl", "Zp") or character in BLANKS


def seen(text: str) -> str:
    """``text`` without its hidden characters."""
    return "".join(character for character in text if not hidden(character))
