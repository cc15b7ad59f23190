"""The index of the search over the whole site: the words, headings and rows with a name of every page, as it was rendered.

Pagefind, which was tried first, gives the same bytes for the same pages and works under the pages' policy, but only over
HTTP: it imports a module and fetches its index, and a browser refuses both to a page that was opened from a file. So the
index is one script, which any page may load, and a word is found by how it begins.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from html import unescape
from typing import Any, NamedTuple

from leaderboard.pages.site import Page

FILE = "data/search.js"
CALL = "espalierSearch"
"""Function of the page's script to which the file gives the index."""
NO_PLACES = ("404.html", "search.html")
RECORDS = "records/"
"""Pages of single records are found through the figures that lead to them."""

_MAIN = re.compile(r"<main\b.*</main>", re.DOTALL)
_UNREAD = re.compile(
    r"<(script|svg|select|noscript)\b.*?</\1>|<table class=\"plain records\">.*?</table>|<ul class=\"cells\">.*?</ul>",
    re.DOTALL,
)
_HEADING = re.compile(r"<h([234])\b[^>]*?\bid=\"([^\"]+)\"[^>]*>(.*?)</h\1>", re.DOTALL)
_ROW = re.compile(r"<tbody id=\"([^\"]+)\"[^>]*>\s*<tr>\s*<th\b[^>]*>(.*?)</th>", re.DOTALL)
_TAG = re.compile(r"<[^>]+>")
_WORD = re.compile(r"[^\W_][\w.'+-]*(?::\d+)?")
_DIGEST = re.compile(r"[0-9a-f]{8,}|[\d.+-]+")


class Found(NamedTuple):
    """In a page or a part of it: the places that have a name, each an identifier and words, and all words once."""

    places: list[tuple[str, str]]
    words: set[str]


def places(pages: Iterable[Page]) -> list[Page]:
    """Pages that can be found."""
    return [page for page in pages if is_found(page)]


def is_found(page: Page) -> bool:
    """Whether a search may lead to it."""
    return page.path.endswith(".html") and page.path not in NO_PLACES and not page.path.startswith(RECORDS)


def index(entries: Sequence[dict[str, Any]]) -> str:
    """The index of all pages that can be found, as a script."""
    return f"{CALL}({json.dumps(entries, separators=(',', ':'))});\n"


def entry(page: Page, found: Sequence[Found]) -> dict[str, Any]:
    """One page: its title, what it is, the places in it that have a name, and its words in alphabetical order."""
    return {
        "path": page.path,
        "title": page.title,
        "about": page.description,
        "places": [place for one in found for place in one.places],
        "words": " ".join(sorted(set().union(*(one.words for one in found)))),
    }


def main_of(html: str) -> str:
    """What a page says itself."""
    found = _MAIN.search(html)
    return found.group() if found else ""


def find(html: str) -> Found:
    """In what a page says, or in a part of it."""
    read = _UNREAD.sub(" ", html)
    named = [(anchor, inner) for _, anchor, inner in _HEADING.findall(read)] + _ROW.findall(read)
    words = {word.strip(".'+-") for word in _WORD.findall(_text(read).lower())}
    return Found(
        [(anchor, " ".join(_text(inner).split())) for anchor, inner in named],
        {word for word in words if len(word) > 1 and not _DIGEST.fullmatch(word)},
    )


def _text(html: str) -> str:
    return unescape(_TAG.sub(" ", html))
