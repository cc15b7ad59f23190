"""Charts as static SVG: what a reader sees before, or without, a script.

Rendering is the slowest part of a build, so that drawings are kept by the digest of their specification, and many of
them are drawn by several processes.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path

import altair as alt
import vl_convert

from evaluator.canonical import canonical_json, digest
from leaderboard.charts import Spec, static

FEW = 24
"""Up to so many drawings, starting other processes costs more than it saves."""
VEGA_LITE = ".".join(alt.SCHEMA_VERSION.lstrip("v").split(".")[:2])


def draw(specs: Iterable[Spec], cache: Path | None = None) -> dict[str, str]:
    """Key of each specification (see ``key``) -> its SVG, ready to stand in a page.

    Args:
        specs: as ``charts.tradeoff`` returns them.
        cache: folder in which drawings are kept from build to build.
    """
    texts = {key(spec): canonical_json(static(spec)) for spec in specs}
    known = {name: svg for name in texts if (svg := _kept(cache, name)) is not None}
    todo = {name: text for name, text in texts.items() if name not in known}
    for name, svg in zip(todo, _render_all(list(todo.values())), strict=True):
        known[name] = svg
        if cache is not None:
            _keep(cache / f"{name}.svg", svg)
    return known


def key(spec: Spec) -> str:
    """SHA-256 of the specification and of what draws it."""
    return digest([spec, version("vl-convert-python"), VEGA_LITE])


def _kept(cache: Path | None, name: str) -> str | None:
    path = cache / f"{name}.svg" if cache is not None else None
    return path.read_text(encoding="utf-8") if path is not None and path.is_file() else None


def _keep(path: Path, svg: str) -> None:
    """Whole or not at all; without waiting for the disk, since it can be drawn again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}")
    part.write_text(svg, encoding="utf-8")
    part.replace(path)


def _render_all(texts: list[str]) -> list[str]:
    workers = min(os.cpu_count() or 1, 4)
    if len(texts) <= FEW or workers == 1:
        return [_render(text) for text in texts]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        return list(pool.map(_render, texts, chunksize=8))


def _render(text: str) -> str:
    """One drawing; nothing may be fetched, and nothing in it has an identifier that another drawing could have too."""
    svg = vl_convert.vegalite_to_svg(json.loads(text), vl_version=VEGA_LITE, allowed_base_urls=[])
    head, body = svg.split(">", 1)
    view = re.search(r'viewBox="[^"]+"', head)
    return f'<svg class="marks" {view.group() if view else ""} aria-hidden="true" focusable="false">{body}'
