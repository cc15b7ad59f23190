"""Pages to HTML: one Jinja environment, every value escaped, every unknown name an error."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import jinja2
from jinja2.bccache import Bucket
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from evaluator.canonical import digest, digest_file
from leaderboard import pieces, previews, search, words
from leaderboard.drawings import CONTROL_LOOKS
from leaderboard.formats import capitalize_first, duration, factor, finite, fixed, plain, signed, text, thousands, xml
from leaderboard.kept import NOTHING, Kept, code
from leaderboard.pages.board import BoardView
from leaderboard.pages.site import Chart, Page, Part, Site
from leaderboard.pictures import Drawer
from leaderboard.pieces import Piece
from leaderboard.previews import Preview
from leaderboard.reported import REPORTED
from leaderboard.search import Found
from leaderboard.series import PATHS
from leaderboard.verify import look_at_part

CALL = "espalierCharts"
"""Function of the page's script to which a file gives its charts."""
HEAD = ("id", "caption", "label", "axis", "drawn")
"""What is kept of a chart beside its specification."""
NONE = Found([], set())
TEMPLATES = Path(__file__).resolve().parents[2] / "templates" / "pages"


class Compiled(jinja2.BytecodeCache):
    """Templates as they were compiled; Jinja looks at what they were compiled from, and by which version."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept

    def load_bytecode(self, bucket: Bucket) -> None:
        if (text := self._kept.read(f"{bucket.key}.template")) is not None:
            bucket.bytecode_from_string(base64.b64decode(text))

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._kept.write(f"{bucket.key}.template", base64.b64encode(bucket.bytecode_to_string()).decode())


def environment(kept: Kept = NOTHING) -> jinja2.Environment:
    """What all templates may say, of this site or another."""
    env = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        bytecode_cache=Compiled(kept),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    env.globals.update(
        scratch=words.SCRATCH, controls=words.CONTROLS,
        against=words.AGAINST,
        column_hints=words.COLUMNS,
        rank_words=words.RANKS,
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


@dataclass(frozen=True)
class Renderer:
    """Renders the pages of a site; what a part of a page was is kept."""

    site: Site
    kept: Kept
    drawer: Drawer

    @cached_property
    def env(self) -> jinja2.Environment:
        return environment(self.kept)

    def frame(self, page: Page, made: list[Piece], preview: Preview | None) -> str:
        """The HTML of a page, with places for its parts."""
        charted = bool(page.charts) or any(piece.heads for piece in made)
        return self._filled(page.template, page, page.context, site=self.site, preview=preview, charted=charted,
                            parts=pieces.places(len(made)))  # fmt: skip

    def piece(self, page: Page, part: Part) -> Piece:
        """A part of a page, kept or made."""
        name = digest([code(), _templates(), page.path, page.title, page.description, part.template, part.source])
        kept = self.kept.read(f"{name}.part")
        if kept is not None:
            return pieces.unpack(kept)
        made = self._make(page, part)
        self.kept.write(f"{name}.part", pieces.pack(made))
        return made

    def _make(self, page: Page, part: Part) -> Piece:
        content = part.fill()
        html = self._filled(part.template, page, content.context)
        found = search.find(html) if search.is_found(page) else NONE
        heads = [{name: getattr(chart, name) for name in HEAD} for chart in content.charts]
        return Piece(html, look_at_part(html), found, heads, [_json(chart.spec) for chart in content.charts])

    def card(self, preview: Preview) -> str:
        """The picture of a preview as SVG."""
        return previews.coloured(self._filled("preview.svg", None, previews.filling(self.site, preview)))

    def _filled(self, template: str, page: Page | None, context: Mapping[str, Any], **more: object) -> str:
        return self.env.get_template(template).render(page=page, svg=self._svg, **more, **context)

    def _svg(self, chart: Chart) -> Markup:
        return Markup(self.drawer.draw(chart.spec, chart.key))  # noqa: S704  (drawn by Vega, which escapes text)


def specifications(page: Page, made: list[Piece]) -> str:
    """A script that hands a page's charts to its own: a page that was opened from a file may not fetch JSON."""
    own = {chart.id: _json(chart.spec) for chart in page.charts}
    for piece in made:
        own |= {head["id"]: specification for head, specification in zip(piece.heads, piece.specifications, strict=True)}
    members = (f"{_json(f'chart-{name}')}:{specification}" for name, specification in own.items())
    return f"{CALL}({{{','.join(members)}}});\n"


def _json(value: object) -> str:
    """Safe in a script."""
    return str(htmlsafe_json_dumps(value, separators=(",", ":")))


@cache
def _templates() -> str:
    """SHA-256 of all templates."""
    return digest({path.name: digest_file(path) for path in sorted(TEMPLATES.iterdir())})


def sampling(view: BoardView) -> str:
    """Standard error of an accuracy by the choice of test images, in words: at the dense one, and where it is largest."""
    standing = view.panels[0].standing
    images = view.board.images
    share = standing.dense[standing.frame.phase].mean / 100
    if images is None or not math.isfinite(share):
        return "0.1 to 1 points"
    at_dense, at_half = (100 * math.sqrt(p * (1 - p) / images) for p in (share, 0.5))
    return f"about {at_dense:.2f} points where it is the dense network's, up to {at_half:.2f} at 50 %"
