"""Downloads, and what each column means."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from leaderboard.columns import COLUMNS
from leaderboard.downloads import Downloads
from leaderboard.exports import SUMMARY_COLUMNS
from leaderboard.pages.site import Content, Page, Site

PATH = "data.html"


def pages(site: Site, offered: Callable[[], Downloads]) -> Iterator[Page]:
    """The data page; what is offered is asked for when it is written."""

    def fill() -> Content:
        return Content({
            "offered": offered(),
            "columns": [(column.name, column.dtype.lower(), column.meaning) for column in COLUMNS],
            "summary_columns": SUMMARY_COLUMNS,
            "digest": site.grid.digest,
            "version": site.grid.version,
        })  # fmt: skip

    description = "All records and summary figures as CSV, JSON and Parquet, every column explained, and how to cite them."
    yield Page(PATH, "data.html", "Data", description, section="data", fill=fill)
