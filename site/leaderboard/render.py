"""Pages to HTML: one Jinja environment, every value escaped, every unknown name an error."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import jinja2
from markupsafe import Markup

from evaluator.canonical import digest, digest_file
from leaderboard import words
from leaderboard.drawings import CONTROL_LOOKS
from leaderboard.formats import capitalize_first, duration, factor, finite, fixed, plain, signed, text, thousands, xml
from leaderboard.kept import NOTHING, Kept, code
from leaderboard.pages.board import BoardView
from leaderboard.pages.site import Chart, Page, Site
from leaderboard.previews import Preview
from leaderboard.reported import REPORTED
from leaderboard.series import PATHS

TEMPLATES = Path(__file__).resolve().parents[2] / "templates" / "pages"


def environment(site: Site, drawings: Mapping[str, str], previews: Mapping[str, Preview]) -> jinja2.Environment:
    """``drawings``: static SVG by the key of its specification; ``previews``: by the path of their page."""
    env = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )

    def svg(chart: Chart) -> Markup:
        return Markup(drawings[chart.key])  # noqa: S704  (drawn by Vega, which escapes text)

    env.globals.update(
        site=site,
        previews=previews,
        svg=svg,
        scratch=words.SCRATCH, controls=words.CONTROLS,
        against=words.AGAINST,
        tracks=words.TRACKS,
        control_looks=CONTROL_LOOKS,
        reported_look=REPORTED,
        shapes=PATHS,
    )  # fmt: skip
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
        finite=finite,
    )
    env.tests["finite"] = finite
    return env


def render(env: jinja2.Environment, page: Page, kept: Kept = NOTHING) -> str:
    """The HTML of one page."""
    part = {"part": Markup(_part(env, page, kept))} if page.part else {}  # noqa: S704  (a template's own outcome)
    return env.get_template(page.template).render(page=page, **part, **page.context)


def _part(env: jinja2.Environment, page: Page, kept: Kept) -> str:
    name = f"{digest([code(), _templates(), page.path, page.title, page.source])}.html"
    text = kept.read(name)
    if text is None:
        text = env.get_template(page.part).render(page=page, **page.context)
        kept.write(name, text)
    return text


@cache
def _templates() -> str:
    """SHA-256 of all templates, and of what fills them in."""
    texts = {path.name: digest_file(path) for path in sorted(TEMPLATES.iterdir())}
    return digest([texts, jinja2.__version__])


def specifications(env: jinja2.Environment, page: Page) -> str:
    """A script that hands the page's charts to its own: a page that was opened from a file may not fetch JSON."""
    own = {f"chart-{chart.id}": chart.spec for chart in page.charts}
    return env.get_template("charts.js").render(specifications=own)


def sampling(view: BoardView) -> str:
    """Standard error of an accuracy by the choice of test images, points, at the dense network's accuracy."""
    standing = view.panels[0].standing
    images = view.board.images
    share = standing.dense[standing.frame.phase].mean / 100
    if images is None or not math.isfinite(share):
        return "0.1 to 1"
    return f"{100 * math.sqrt(share * (1 - share) / images):.2f}"
