"""Link previews: the picture of a page's chart that stands where its address is posted.

Only a site that knows its own address has them, since such a picture is asked for by its full address. What papers reported
has none: a picture goes round without the words beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from leaderboard.drawings import CONTROL_LOOKS
from leaderboard.pages.site import Chart, Page, Site

STYLES = Path(__file__).resolve().parents[1] / "static" / "site.css"
FONT = "Liberation Sans"
"""Comes with vl-convert: with the fonts of a machine, another machine would draw another picture."""
MOST = 11
"""So many methods have a line in the picture's legend."""
_COVERED = re.compile(r"[\x20-\x7e\u00a1-\u024f\u0370-\u03ff\u0400-\u04ff\u2010-\u2026]+")
_TOKEN = re.compile(r'"var\((--[a-z0-9-]+)\)"')
_LIGHT = re.compile(r"(--[a-z0-9-]+): light-dark\((#[0-9a-f]{6}),")


@dataclass(frozen=True)
class Preview:
    """A picture below the site's root, the heading on it, and the chart that it shows."""

    path: str
    heading: str
    chart: Chart


@dataclass(frozen=True)
class Key:
    """A line of the legend."""

    name: str
    colour: str
    shape: str


def choose(site: Site, page: Page, charts: Iterable[Chart]) -> Preview | None:
    """The preview of a page by the first of its charts that is measured; None where there is none, or nobody asks for it."""
    looks = _looks(site)
    measured = (one for one in charts if one.drawn and _names(one).keys() <= looks.keys())
    chart = next(measured, None) if site.url else None
    stem = page.path.removesuffix(".html")
    return Preview(f"previews/{stem}.png", _covered(page.title, Path(stem).name), chart) if chart is not None else None


def filling(site: Site, preview: Preview) -> dict[str, Any]:
    """Of the template for its picture."""
    return {"preview": preview, "legend": _legend(site, preview.chart), "font": FONT}


def coloured(svg: str) -> str:
    """A picture that stands alone, without style sheet and font: with the light colours in place of their names."""
    colours = _colours()
    coloured = _TOKEN.sub(lambda match: f'"{colours[match[1]]}"', svg)
    return coloured.replace('font-family="sans-serif"', f'font-family="{FONT}"')


@cache
def _colours() -> dict[str, str]:
    return dict(_LIGHT.findall(STYLES.read_text(encoding="utf-8")))


def _legend(site: Site, chart: Chart) -> list[Key]:
    """Every series of a chart, in its order; what there is no room for is counted in a last line."""
    looks = _looks(site)
    keys = [Key(_covered(name, slug), *looks[slug]) for slug, name in _names(chart).items()]
    more = len(keys) - MOST + 1
    return keys if len(keys) <= MOST else [*keys[: MOST - 1], Key(f"and {more} more", "", "")]


def _names(chart: Chart) -> dict[str, str]:
    return {row["m"]: row["name"] for row in chart.spec["datasets"]["means"]}


def _looks(site: Site) -> dict[str, tuple[str, str]]:
    """Colour and shape of every method and control."""
    return CONTROL_LOOKS | {slug: (look.colour, look.shape) for slug, look in site.looks.items()}


def _covered(text: str, otherwise: str) -> str:
    """The text, if the font has all its characters."""
    return text if _COVERED.fullmatch(text) else otherwise
