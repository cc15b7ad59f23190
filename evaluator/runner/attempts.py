"""One thing of many: what fails is told, and the others go on."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from evaluator.errors import EspalierError, Interrupted
from evaluator.forges import Change

log = logging.getLogger("espalier.runner")
T = TypeVar("T")

FAILURES = (EspalierError, OSError, ValueError)
"""What may go wrong with one change, or in one pass, and says nothing of the next."""


class Over(EspalierError):
    """The pass ends here, and nothing has failed."""


class Lost(Over):
    """The lease went to another runner."""


class Overtaken(Over):
    """Something else comes first; what was measured until now is kept."""


@dataclass
class Attempts:
    """Of one pass; ``failed`` once something failed that is not of one open change: that is no reason to wake anybody."""

    failed: bool = False

    def __call__(
        self, step: Callable[..., T], *arguments: Any, change: Change | None = None, grave: bool = True
    ) -> T | None:
        """Do one thing of many.

        Args:
            change: whose it is.
            grave: False where it is done again in a moment.
        """
        try:
            return step(*arguments)
        except (Interrupted, Over):
            raise
        except FAILURES as error:
            log.error(str(error), extra={"change": change.number} if change else None)
            self.failed |= grave and (change is None or change.state != "open")
            return None
