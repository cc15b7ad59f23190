"""Downloads, and what each column means."""

from __future__ import annotations

from collections.abc import Iterator

from leaderboard.columns import COLUMNS
from leaderboard.downloads import Downloads
from leaderboard.exports import SUMMARY_COLUMNS
from leaderboard.pages.site import Page, Site


def pages(site: Site, offered: Downloads) -> Iterator[Page]:
    """The data page."""
    context = {
        "offered": offered,
        "columns": [(column.name, column.dtype.lower(), column.meaning) for column in COLUMNS],
        "summary_columns": SUMMARY_COLUMNS,
        "digest": site.grid.digest,
        "version": site.grid.version,
    }
    description = "All records and summary figures as CSV, JSON and Parquet, every column explained, and how to cite them."
    yield Page("data.html", "data.html", "Data", description, context, [], "data")
