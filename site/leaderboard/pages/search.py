"""The search page; without a script it is the list of all pages."""

from __future__ import annotations

from collections.abc import Iterable

from leaderboard.pages.site import Page
from leaderboard.search import FILE, places

GROUPS = {"Benchmarks": "benchmarks/", "Methods": "methods/", "Literature": "literature/"}
OTHERS = "Pages"


def pages(others: Iterable[Page]) -> list[Page]:
    """The page over all ``others``, in groups by the folder that they lie in."""
    groups: dict[str, list[Page]] = {OTHERS: [], **{name: [] for name in GROUPS}}
    for page in places(others):
        name = next((name for name, folder in GROUPS.items() if page.path.startswith(folder)), OTHERS)
        groups[name].append(page)
    context = {"groups": groups, "index_file": FILE}
    return [Page("search.html", "search.html", "Search", "Search over every page of this site.", context, [], "search")]
