"""Time and chance as a forge's client meets them, so that tests need not wait."""

from __future__ import annotations

import random
import time


class Clock:
    """The true ones."""

    def time(self) -> float:
        """Seconds since 1970."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds since some moment; never set back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def chance(self) -> float:
        """A number from 0 up to 1, so that many clients do not come back at the same moment."""
        return random.random()  # noqa: S311 (no secret rests on it)
