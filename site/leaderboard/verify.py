"""What must hold of a built site before it replaces the old one.

Every internal link and fragment leads somewhere (a fragment with = is the state of a page, not a place in it); nothing is
loaded from outside; no script or style is inline, so that the content security policy of the pages can forbid them.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from types import MappingProxyType
from urllib.parse import unquote

from evaluator.canonical import digest_file
from leaderboard.address import base

_TAG = re.compile(
    r"<([a-zA-Z][a-zA-Z0-9]*)((?:\s+[^\s=>/]+(?:\s*=\s*(?:\"[^\"]*\"|'[^']*'|[^\s>\"']+))?)+)\s*/?>"
    r"|<(script|style)\s*/?>", re.IGNORECASE
)  # fmt: skip
"""With attributes, or of one of the two that may not stand bare."""
_ATTRIBUTE = re.compile(r"([^\s=>/]+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s>\"']+))")
_CHECKED = re.compile(r"\s(?:id|style|src|href|data|action|type|on\w+)\s*=", re.IGNORECASE)
_LOADING = {
    **dict.fromkeys(("script", "img", "iframe", "source", "embed", "audio", "video"), "src"),
    **dict.fromkeys(("link", "image", "use", "base"), "href"),
    "object": "data",
    "form": "action",
}
_OUTSIDE = re.compile(r"^(?:[a-z][a-z0-9+.-]*:|//)", re.IGNORECASE)
_CSS_URL = re.compile(r"url\(\s*['\"]?([^'\")]+)|@import\s+['\"]([^'\"]+)", re.IGNORECASE)
NOTHING: Mapping[str, Leaf] = MappingProxyType({})
_POLICY = 'http-equiv="Content-Security-Policy"'


@dataclass
class Leaf:
    """A page by itself: what is wrong with it, its identifiers, and where it leads within the site."""

    problems: list[str] = field(default_factory=list)
    identifiers: set[str] = field(default_factory=set)
    leads: dict[str, None] = field(default_factory=dict)

    def add(self, part: Leaf) -> None:
        """A part that was looked at by itself."""
        self.problems += part.problems
        self.identifiers |= part.identifiers
        self.leads |= part.leads


def problems(folder: Path, url: str = "", known: Mapping[str, Leaf] = NOTHING) -> list[str]:
    """Everything wrong with the site in ``folder``, a line each; empty when it may be shown.

    Args:
        url: where the site will be read, if that is known.
        known: pages that were looked at when they were written, by their path.
    """
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    pages = sorted(name for name in files if name.endswith(".html"))
    leaves = {name: known.get(name) or look((folder / name).read_text(encoding="utf-8"), url) for name in pages}
    found = [f"{name}: {problem}" for name, leaf in leaves.items() for problem in leaf.problems]
    for name in sorted(files):
        if name.endswith((".css", ".svg")):
            found += [f"{name}: loads {loaded}" for loaded in _css(folder / name)]
    targets = {name: leaf.identifiers for name, leaf in leaves.items()}
    for name, leaf in leaves.items():
        relative = (_relative(name, lead, url) for lead in leaf.leads)
        found += [f"{name}: {problem}" for lead in relative for problem in _lost(name, lead, files, targets)]
    return found


def same(first: Path, second: Path) -> list[str]:
    """Names of files that differ between two sites, or that only one of them has; empty for a byte-identical rebuild."""
    digests = [
        {path.relative_to(folder).as_posix(): digest_file(path) for path in folder.rglob("*") if path.is_file()}
        for folder in (first, second)
    ]
    return sorted(name for name in digests[0].keys() | digests[1].keys() if digests[0].get(name) != digests[1].get(name))


def _tags(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    for name, attributes, bare in _TAG.findall(text):
        if _CHECKED.search(attributes):
            pairs = _ATTRIBUTE.findall(attributes)
            yield name.lower(), {key.lower(): unescape(a or b or c) for key, a, b, c in pairs}
        elif (tag := (name or bare).lower()) in ("script", "style"):
            yield tag, {}


def _inline(tag: str, attributes: dict[str, str]) -> Iterator[str]:
    if tag == "style" or "style" in attributes:
        yield "inline style"
    if tag == "script" and "src" not in attributes and attributes.get("type") != "application/json":
        yield "inline script"
    for name in attributes:
        if name.startswith("on"):
            yield f"event handler {name}"


def look(text: str, site: str = "") -> Leaf:
    """At one page of the site that will be read at ``site``."""
    leaf = look_at_part(text, site)
    if _POLICY not in text:
        leaf.problems.append("no content security policy")
    return leaf


def look_at_part(text: str, site: str = "") -> Leaf:
    """At a part of a page."""
    leaf = Leaf()
    for tag, attributes in _tags(text):
        leaf.problems += _inline(tag, attributes)
        if identifier := attributes.get("id"):
            leaf.identifiers.add(identifier)
        loaded = _LOADING.get(tag)
        url = attributes.get(loaded) if loaded else attributes.get("href") if tag == "a" else None
        if url is None:
            continue
        if tag == "link" and attributes.get("rel") == "canonical" and site and url.startswith(site):
            url = base(site) + url.removeprefix(site)
        if not _OUTSIDE.match(url):
            leaf.leads[url] = None
        elif loaded:
            leaf.problems.append(f"loads {url}")
        elif not url.startswith("https://"):
            leaf.problems.append(f"links to {url}")
    return leaf


def _relative(name: str, lead: str, site: str) -> str:
    """A link from the top of the host, as one from the page."""
    top = base(site)
    if not top or not lead.startswith(top):
        return lead
    return "../" * name.count("/") + (lead.removeprefix(top) or "index.html")


def _lost(name: str, url: str, files: set[str], targets: dict[str, set[str]]) -> Iterator[str]:
    path, _, fragment = url.partition("#")
    target = posixpath.normpath(posixpath.join(posixpath.dirname(name), unquote(path))) if path else name
    if target not in files:
        yield f"links to {url}, which is not there"
    elif fragment and "=" not in fragment and target in targets and fragment not in targets[target]:
        yield f"links to {url}, but nothing has that identifier"


def _css(path: Path) -> Iterator[str]:
    for quoted, imported in _CSS_URL.findall(path.read_text(encoding="utf-8")):
        url = quoted or imported
        if not url.startswith(("data:", "#")):
            yield url
