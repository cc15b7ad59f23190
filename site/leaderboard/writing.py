"""Pages to files: each is filled, drawn, rendered, looked at and indexed in one go; many of them by several processes."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from leaderboard import pieces, previews, search
from leaderboard.aside import aside
from leaderboard.kept import NOTHING, Kept
from leaderboard.pages.site import Page, Site
from leaderboard.pictures import Drawer
from leaderboard.pieces import Piece
from leaderboard.previews import Preview
from leaderboard.render import Renderer, specifications
from leaderboard.verify import Leaf, look

FEW = 60
"""Up to so many pages, another process costs more than it saves."""
MOST = 4
"""Processes."""
LITTER = 300_000
"""New objects, of pages that are written for the most part, after which it is time to free what is garbage among them."""


@dataclass(frozen=True)
class Written:
    """What was seen of a page when it was written: its links, and its entry in the index of the search."""

    leaf: Leaf | None
    entry: dict[str, Any] | None


def write_pages(
    folder: Path, site: Site, pages: Sequence[Page], front: Preview | None = None, kept: Kept = NOTHING
) -> dict[str, Written]:
    """Write the pages, with the specifications of their charts and the pictures for links to them; path -> what was seen.

    Args:
        front: the preview of a page that has no picture of its own.
        kept: drawings, and parts of pages, of builds before.
    """
    shares = min(os.cpu_count() or 1, MOST) if len(pages) > FEW else 1

    def share(first: int) -> dict[str, Written]:
        with Drawer(kept, apart=shares > 1) as drawer:
            renderer = Renderer(site, kept, drawer)
            return dict(_written(folder, renderer, pages[first::shares], front))

    with ExitStack() as stack:
        others = [stack.enter_context(aside(partial(share, first))) for first in range(1, shares)]
        written = share(0)
        for other in others:
            written |= other()
    return {page.path: written[page.path] for page in pages}


def _written(
    folder: Path, renderer: Renderer, pages: Sequence[Page], front: Preview | None
) -> Iterator[tuple[str, Written]]:
    for page in pages:
        yield page.path, _write(folder, renderer, page, front)
        if gc.get_count()[0] > LITTER:
            gc.collect(0)


def _write(folder: Path, renderer: Renderer, page: Page, front: Preview | None) -> Written:
    page = page.filled()
    made = [renderer.piece(page, part) for part in page.parts]
    preview = previews.choose(renderer.site, page, chain(page.charts, *(piece.charts() for piece in made)))
    if preview is not None:
        write(folder / preview.path, renderer.drawer.rasterise(renderer.card(preview)))
    frame = renderer.frame(page, made, preview or (front if page.findable else None))
    write(folder / page.path, pieces.put(frame, made))
    if page.charts or any(piece.heads for piece in made):
        write(folder / page.specifications, specifications(page, made))
    return _seen(renderer.site, page, frame, made)


def _seen(site: Site, page: Page, frame: str, made: Sequence[Piece]) -> Written:
    """The parts of a page were looked at when they were made."""
    if not page.path.endswith(".html"):
        return Written(None, None)
    leaf = look(frame, site.url)
    for piece in made:
        leaf.add(piece.leaf)
    if not search.is_found(page):
        return Written(leaf, None)
    return Written(leaf, search.entry(page, [search.find(search.main_of(frame)), *(piece.found for piece in made)]))


def write(path: Path, content: str | bytes) -> None:
    """One file of the site, with the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
