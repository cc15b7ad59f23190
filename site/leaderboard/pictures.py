"""Charts as static SVG: what a reader sees before, or without, a script.

Drawing is the slowest part of a build: the layout is compiled once and then filled, drawings are kept by the digest of
their specification, and many of them are drawn by several processes.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path

import altair as alt
import vl_convert

from evaluator.canonical import canonical_json, digest
from leaderboard.charts import Spec, skeleton

DRAWING = 1
"""Version of what this module makes of a specification; kept drawings of another version are not used."""
FEW = 24
"""Up to so many drawings, starting other processes costs more than it saves."""
VEGA_LITE = ".".join(alt.SCHEMA_VERSION.lstrip("v").split(".")[:2])


def draw(specs: Iterable[Spec], folder: Path | None = None) -> dict[str, str]:
    """Key of each specification (see ``key``) -> its SVG, ready to stand in a page.

    Args:
        specs: as ``charts.tradeoff`` returns them.
        folder: in which drawings are kept from build to build.
    """
    named = {key(spec): spec for spec in specs}
    known = {name: svg for name in named if (svg := _kept(folder, name)) is not None}
    todo = {name: spec for name, spec in named.items() if name not in known}
    for name, svg in zip(todo, _draw_all(list(todo.values())), strict=True):
        known[name] = svg
        if folder is not None:
            _keep(folder / f"{name}.svg", svg)
    return known


def key(spec: Spec) -> str:
    """SHA-256 of the specification and of what draws it."""
    return digest([DRAWING, spec, version("vl-convert-python")])


def _kept(folder: Path | None, name: str) -> str | None:
    path = folder / f"{name}.svg" if folder is not None else None
    return path.read_text(encoding="utf-8") if path is not None and path.is_file() else None


def _keep(path: Path, svg: str) -> None:
    """Whole or not at all; without waiting for the disk, since it can be drawn again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}")
    part.write_text(svg, encoding="utf-8")
    part.replace(path)


def _draw_all(specs: list[Spec]) -> list[str]:
    workers = min(os.cpu_count() or 1, 4)
    if len(specs) <= FEW or workers == 1:
        return [_draw(spec) for spec in specs]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        return list(pool.map(_draw, specs, chunksize=8))


def _draw(spec: Spec) -> str:
    """One drawing; nothing may be fetched, and nothing in it has an identifier that another drawing could have too."""
    vega = _filled(_compiled(canonical_json(skeleton(spec))), spec)
    svg = vl_convert.vega_to_svg(json.dumps(vega), allowed_base_urls=[])
    head, body = svg.split(">", 1)
    view = re.search(r'viewBox="[^"]*"', head)
    return f'<svg class="marks" {view.group() if view else ""} aria-hidden="true" focusable="false">{body}'


@cache
def _compiled(layout: str) -> Spec:
    """Vega for a layout in Vega-Lite."""
    vega: Spec = vl_convert.vegalite_to_vega(layout, vl_version=VEGA_LITE)
    return vega


def _filled(vega: Spec, spec: Spec) -> Spec:
    """The compiled layout with the domains, ticks, series, data and focus of ``spec``."""
    channels = {
        name: channel for layer in spec["layer"] for name, channel in layer["encoding"].items() if "scale" in channel
    }
    ticks = {name: channels[name]["axis"]["values"] for name in ("x", "y")}
    fitted = {
        name: {k: v for k, v in channel["scale"].items() if k in ("domain", "range")} for name, channel in channels.items()
    }
    return {
        **vega,
        "scales": [{**scale, **fitted.get(scale["name"], {})} for scale in vega["scales"]],
        "axes": [{**axis, "values": ticks[axis["scale"]]} if "values" in axis else axis for axis in vega["axes"]],
        "data": [
            {**data, "values": rows} if (rows := spec["datasets"].get(data["name"])) else data for data in vega["data"]
        ],
        "signals": [
            {**signal, "value": spec["params"][0]["value"]} if signal["name"] == "focus" else signal
            for signal in vega["signals"]
        ],
    }
