"""What can go wrong in building the site."""

from __future__ import annotations

from evaluator.errors import EspalierError


class SiteError(EspalierError):
    """The site cannot be built, or what was built must not be shown."""
