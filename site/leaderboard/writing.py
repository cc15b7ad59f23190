"""Pages to files: each is rendered, looked at and indexed in one go; many of them by two processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from leaderboard.aside import aside
from leaderboard.kept import NOTHING, Kept
from leaderboard.pages.site import Page
from leaderboard.render import render, specifications
from leaderboard.search import entry, places
from leaderboard.verify import Leaf, look

FEW = 60
"""Up to so many pages, another process costs more than it saves."""


@dataclass(frozen=True)
class Written:
    """What was seen of a page when it was written: its links, and its entry in the index of the search."""

    leaf: Leaf | None
    entry: dict[str, Any] | None


def write_pages(
    folder: Path, env: jinja2.Environment, pages: Sequence[Page], url: str = "", kept: Kept = NOTHING
) -> dict[str, Written]:
    """Write the pages, with the specifications of their charts; path -> what was seen.

    Args:
        url: where the site will be read, if that is known.
        kept: parts of pages of builds before.
    """
    found = {page.path for page in places(pages)}

    def part(first: int, step: int) -> dict[str, Written]:
        return {page.path: one(page) for page in pages[first::step]}

    def one(page: Page) -> Written:
        text = render(env, page, kept)
        write(folder / page.path, text)
        if page.charts:
            write(folder / page.specifications, specifications(env, page))
        leaf = look(text, url) if page.path.endswith(".html") else None
        return Written(leaf, entry(page, text) if page.path in found else None)

    if len(pages) <= FEW:
        return part(0, 1)
    with aside(lambda: part(1, 2)) as others:
        written = part(0, 2) | others()
    return {page.path: written[page.path] for page in pages}


def write(path: Path, content: str | bytes) -> None:
    """One file of the site, with the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
