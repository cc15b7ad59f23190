"""Link previews: the picture of a page's chart that stands where its address is posted.

Only a site that knows its own address has them, since such a picture is asked for by its full address. What papers reported
has none: a picture goes round without the words beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import jinja2

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


def choose(site: Site, pages: Iterable[Page]) -> dict[str, Preview]:
    """Path of each page -> its preview: that of its first measured chart, or else the first page's, where there is one."""
    found: dict[str, Preview] = {}
    looks = _looks(site)
    for page in pages if site.url else ():
        stem = page.path.removesuffix(".html")
        chart = next((one for one in page.charts if one.drawn and _names(one).keys() <= looks.keys()), None)
        if chart is not None:
            found[page.path] = Preview(f"previews/{stem}.png", _covered(page.title, Path(stem).name), chart)
        elif page.findable and "index.html" in found:
            found[page.path] = found["index.html"]
    return found


def cards(env: jinja2.Environment, site: Site, chosen: Mapping[str, Preview]) -> dict[str, str]:
    """Path of each picture -> its SVG, which stands alone: it asks for nothing, no style sheet and no font."""
    template = env.get_template("preview.svg")
    previews = {preview.path: preview for preview in chosen.values()}
    return {
        path: _card(template.render(preview=preview, legend=_legend(site, preview.chart), font=FONT))
        for path, preview in previews.items()
    }


def _card(svg: str) -> str:
    """With the light colours of the style sheet in place of their names, and the one font."""
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
