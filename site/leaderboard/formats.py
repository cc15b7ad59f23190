"""Figures as the pages write them: true minus signs, narrow spaces between thousands, a sign of multiplication."""

from __future__ import annotations

import math
import re
from typing import TypeGuard

TIMES = "\N{MULTIPLICATION SIGN}"
MINUS = "\N{MINUS SIGN}"
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def xml(value: str) -> str:
    """Without the characters that no XML may hold, escaped or not."""
    return _NOT_XML.sub("", value)


def fixed(value: float, digits: int = 2) -> str:
    return f"{value:.{digits}f}".replace("-", MINUS)


def signed(value: float, digits: int = 2) -> str:
    shown = f"{value:+.{digits}f}"
    return (shown[1:] if float(shown) == 0 else shown).replace("-", MINUS)


def factor(value: float) -> str:
    """Three significant digits at most, with the sign of multiplication."""
    return f"{value:.{2 if value < 10 else 1}f}{TIMES}"


def asked(target: str) -> str:
    """A target as sentences name it: a pattern as it is, a factor with the sign of multiplication."""
    return target if ":" in target else f"{target}{TIMES}"


def known(value: float) -> float | None:
    """As JSON has it, which knows no nan."""
    return round(value, 6) if math.isfinite(value) else None


def duration(seconds: float) -> str:
    """In the largest unit that leaves a figure of one or more."""
    if seconds < 60:
        return f"{seconds:.{1 if seconds < 10 else 0}f} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"


def plain(value: float) -> str:
    """Without trailing zeros; one digit behind the point at most."""
    return f"{round(value, 1):g}"


def capitalize_first(value: str) -> str:
    """The first letter large, the others as they are."""
    return value[:1].upper() + value[1:]


def thousands(value: int) -> str:
    return f"{value:,}".replace(",", "\u202f")


def text(value: object) -> str:
    """A string, and nothing for what a frame calls missing."""
    return value if isinstance(value, str) else ""


def finite(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and math.isfinite(value)
