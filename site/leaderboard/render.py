"""Pages to HTML: one Jinja environment, every value escaped, every unknown name an error."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from leaderboard import words
from leaderboard.drawings import CONTROL_LOOKS
from leaderboard.pages.benchmark import BoardView
from leaderboard.pages.site import Chart, Page, Site
from leaderboard.pictures import key
from leaderboard.series import PATHS

TEMPLATES = Path(__file__).resolve().parents[2] / "templates" / "pages"


_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def environment(site: Site, drawings: Mapping[str, str]) -> jinja2.Environment:
    """``drawings``: static SVG by the key of its specification."""
    env = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )

    def svg(chart: Chart) -> Markup:
        return Markup(drawings[key(chart.spec)])  # noqa: S704  (drawn by Vega, which escapes text)

    env.globals.update(
        site=site,
        svg=svg,
        scratch=words.SCRATCH,
        controls=words.CONTROLS,
        against=words.AGAINST,
        tracks=words.TRACKS,
        control_looks=CONTROL_LOOKS,
        shapes=PATHS,
    )
    env.filters.update(
        fixed=fixed,
        signed=signed,
        factor=factor,
        thousands=thousands,
        text=text,
        sampling=sampling,
        plain=plain,
        capitalize_first=capitalize_first,
        xml=xml,
        duration=duration,
    )
    env.tests["finite"] = finite
    env.filters["finite"] = finite
    return env


def render(env: jinja2.Environment, page: Page) -> str:
    """The HTML of one page."""
    return env.get_template(page.template).render(page=page, **page.context)


def xml(value: str) -> str:
    """Without the characters that no XML may hold, escaped or not."""
    return _NOT_XML.sub("", value)


def fixed(value: float, digits: int = 2) -> str:
    return f"{value:.{digits}f}".replace("-", "\N{MINUS SIGN}")


def signed(value: float, digits: int = 2) -> str:
    shown = f"{value:+.{digits}f}"
    return (shown[1:] if float(shown) == 0 else shown).replace("-", "\N{MINUS SIGN}")


def factor(value: float) -> str:
    """Three significant digits at most, with the sign of multiplication."""
    return f"{value:.{2 if value < 10 else 1}f}\N{MULTIPLICATION SIGN}"


def duration(seconds: float) -> str:
    """In the largest unit that leaves a figure of one or more."""
    if seconds < 60:
        return f"{seconds:.{1 if seconds < 10 else 0}f} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"


def plain(value: float) -> str:
    """Without trailing zeros; one digit behind the point at most."""
    return f"{round(value, 1):g}"


def capitalize_first(value: str) -> str:
    """The first letter large, the others as they are."""
    return value[:1].upper() + value[1:]


def thousands(value: int) -> str:
    return f"{value:,}".replace(",", "\u202f")


def text(value: object) -> str:
    """A string, and nothing for what a frame calls missing."""
    return value if isinstance(value, str) else ""


def finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def sampling(view: BoardView) -> str:
    """Standard error of an accuracy by the choice of test images, points, at the dense network's accuracy."""
    standing = view.panels[0].standing
    images = view.board.rows["images"].dropna()
    share = standing.dense[standing.frame.phase].mean / 100
    if images.empty or not math.isfinite(share):
        return "0.1 to 1"
    return f"{100 * math.sqrt(share * (1 - share) / int(images.iloc[0])):.2f}"
