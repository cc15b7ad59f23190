"""Pages of prose, written in Markdown under `site/content/`, the checkout's guide for contributors, and the page for
addresses that do not exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from markdown_it import MarkdownIt
from markupsafe import Markup

from leaderboard.address import base
from leaderboard.pages.site import LOST, Page, Site

CONTENT = Path(__file__).resolve().parents[2] / "content"
GUIDE = CONTENT.parents[1] / "CONTRIBUTING.md"
NO_HEAD = re.compile(r"<thead>\s*<tr>(?:\s*<th></th>)+\s*</tr>\s*</thead>")
"""Markdown knows no table without one."""
REPOSITORY = "[the project's repository]"
"""A link where the site knows where that is."""
DESCRIPTIONS = {
    "guide": "From a checkout to a pull request: set-up, commands, rules, and the contract of a method.",
    "protocol": "What Espalier measures and how, so that two figures on this site may be compared.",
    "contribute": "How to submit a pruning method: one metadata file and one Python module.",
}


def pages(site: Site) -> Iterator[Page]:
    """One page per Markdown file, and 404."""
    sections = {path: path.stem for path in sorted(CONTENT.glob("*.md"))}
    for path, section in (sections | {GUIDE: "contribute"}).items():
        name = "guide" if path == GUIDE else path.stem
        title, body = to_html(_linked(path.read_text(encoding="utf-8"), site.source))
        yield Page(f"{name}.html", "prose.html", title, DESCRIPTIONS[name], {"body": body}, [], section)
    yield Page(LOST, "404.html", "Not here", "This page does not exist.", anywhere=base(site.url))


def _linked(text: str, source: str) -> str:
    return text.replace(REPOSITORY, f"{REPOSITORY}({source})" if source else REPOSITORY.strip("[]"))


def to_html(text: str) -> tuple[str, Markup]:
    """Title (the first heading) and body; headings get identifiers. HTML in the source is shown, not passed on."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(text)
    title = ""
    for i, token in enumerate(tokens):
        if token.type == "heading_open":
            content = tokens[i + 1].content
            title = title or content
            token.attrSet("id", re.sub(r"[^a-z0-9]+", "-", content.lower()).strip("-"))
    html = parser.renderer.render(tokens, parser.options, {})
    html = html.replace("<table>", '<div class="scroll" tabindex="0"><table>').replace("</table>", "</table></div>")
    html = NO_HEAD.sub("", html).replace("<th></th>", "<td></td>")
    html = html.replace("<pre>", '<pre tabindex="0">')
    return title, Markup(html)  # noqa: S704  (our own text, and the parser escapes HTML)
