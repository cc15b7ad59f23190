"""Standings to Vega-Lite specifications: a layout, filled with data.

The layout of a chart is made once (``layouts``), by Altair, which takes long to begin: so it begins where one is made, and a
build that has kept them does without.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from evaluator.canonical import digest
from leaderboard import labels, scales
from leaderboard.expressions import HEIGHT, NAME_LAYERS, NAMES_WIDTH, TOLD, WIDTH
from leaderboard.kept import NOTHING, Kept, code
from leaderboard.labels import Upright
from leaderboard.series import PATHS

Spec = dict[str, Any]
Rows = list[dict[str, Any]]

OTHERS = (
    ("drop", "Top-1 against dense, points", {"y": "d", "top": "dt", "bottom": "db", "seeds": "ds", "l": "ld"}),
    ("control", "Top-1 against its magnitude control, points",
     {"y": "g", "top": "gt", "bottom": "gb", "seeds": "gs", "l": "lg"}),
)  # fmt: skip
"""Upright axes that the page's script puts in the place of accuracies: name, title, and the fields that they show."""


@dataclass(frozen=True)
class Drawing:
    """What a trade-off chart shows; accuracies in percent.

    Rows are short, since they are most of a page: ``m`` is the method (``name`` its title), ``t`` the target, ``x`` the
    place, ``a`` the accuracy, ``h`` half its interval, ``n`` its seeds, ``c`` the compression, ``s`` the speedup, ``d`` the
    difference from the dense control, ``e`` half its interval, ``v`` the variant; ``g`` and ``f`` are the same against
    magnitude in the method's own densities. ``as`` are the seeds' accuracies, ``ds`` and ``gs`` their differences, ``xs``
    their places where they have places of their own. The chart itself makes the rest.

    With ``patterns`` the horizontal axis has no factors: the first of them stands at 1, the next at 2, then 4, 8...
    """

    title: str
    means: Rows
    controls: Rows
    dense: Rows
    series: dict[str, tuple[str, str]]
    """Name of a series -> colour and shape."""
    smallest_error: float = 0.01
    """Half a test image, percent: an error of zero has no logarithm."""
    strong: list[str] = field(default_factory=list)
    """Series drawn strongly and with their seeds at first; empty: all."""
    patterns: tuple[str, ...] = ()
    targets: tuple[float, ...] = ()
    """Factors that were asked for, where they are on the chart's axis: they carry its labels."""
    named: Mapping[str, str] = field(default_factory=dict)
    """Series -> name that stands at the end of its line."""
    side: Mapping[str, Any] = field(default_factory=dict)
    """How methods at one target stand side by side: their ``order``, the ``width`` in log2 that they take, and where it is
    less for few of them, what ``each`` takes. Empty where all stand at their own factors."""


def tradeoff(drawing: Drawing) -> Spec:
    """Accuracy against compression or speedup, both on logarithmic axes; or by pattern."""
    spec: Spec = json.loads(_layout_text(drawing.patterns))
    rows = (*drawing.means, *drawing.controls)
    errors = [100 - a for row in (*rows, *drawing.dense) for a in (row["a"], *row.get("as", ()))]
    low, high = scales.padded(errors, drawing.smallest_error)
    factors = [x for row in rows for x in (row["x"], *row.get("xs", ()))] or [1.0, 32.0]
    x_domain = scales.around(factors)
    if drawing.patterns:
        x_domain = [2**-0.5, 2 ** (len(drawing.patterns) - 0.5)]
    places = [float(2**place) for place in range(len(drawing.patterns))] or list(drawing.targets)
    x = {"domain": x_domain, "axis": {"title": drawing.title, "values": places or scales.factors_within(*x_domain)}}
    y = {"domain": [low, high], "axis": {"values": scales.error_ticks(low, high)}}
    names = list(drawing.series)
    for layer in spec["layer"]:
        _fit(layer["encoding"], x, y, names, drawing)
    near = labels.EDGE_OF_PATTERNS if drawing.patterns else labels.nearness(drawing.means, drawing.named, *x_domain)
    means = labels.with_ends(drawing.means, drawing.named, x_domain[1], near)
    ends = [row for row in means if "lx" in row]
    labels.place([(row, 100 - row["a"]) for row in ends], "l", Upright(low, high, math.log, math.exp))
    spec["datasets"] = {
        "means": means,
        "controls": drawing.controls,
        "dense": [{**row, "x": round(x_domain[1], 4)} for row in drawing.dense],
    }
    for param in spec["params"]:
        param["value"] = [] if param["name"] == "named" else drawing.strong
    others = {
        name: _differences(title, names, values, ends) for name, title, names in OTHERS
        if (values := [one for row in rows if names["y"] in row for one in (row[names["y"]], *row.get(names["seeds"], ()))])
    }  # fmt: skip
    return {**spec, "usermeta": {"near": round(near, 4), **({"side": drawing.side} if drawing.side else {}), **others}}


def skeleton(spec: Spec) -> Spec:
    """The chart without its data, domains, series, tooltips and empty layers, at the fixed size of the static picture.

    Fitting a size and asking for the page's fonts would double the time of drawing; the style sheet sets the font anyway.
    """
    bare = copy.deepcopy({name: value for name, value in spec.items() if name not in ("datasets", "usermeta")})
    bare["config"] = {name: value for name, value in spec["config"].items() if name not in ("font", "autosize")}
    nothing, plain = Drawing("", [], [], [], {"m": ("black", "circle")}), {"domain": [1, 2], "axis": {"values": [1]}}
    named = any("lx" in row for row in spec["datasets"]["means"])
    shown = {name for name, rows in spec["datasets"].items() if rows or name == "means"}
    bare["layer"] = [layer for layer in bare["layer"][: None if named else -NAME_LAYERS] if layer["data"]["name"] in shown]
    for layer in bare["layer"]:
        if layer["encoding"].pop("tooltip", None):
            layer["transform"] = [step for step in layer["transform"] if step.get("as") not in TOLD]
        _fit(layer["encoding"], plain, plain, ["m"], nothing)
    for param in bare["params"]:
        param["value"] = []
    width = WIDTH - 64 - (NAMES_WIDTH if named else 0)
    return {**bare, "width": width, "height": HEIGHT - 62, "datasets": {name: [] for name in spec["datasets"]}}


def _fit(encoding: Spec, x: Spec, y: Spec, names: list[str], drawing: Drawing) -> None:
    for channel, place in (("x", x), ("y", y)):
        if channel in encoding:
            encoding[channel]["scale"]["domain"] = place["domain"]
            encoding[channel]["axis"] |= place["axis"]
    for channel, index in (("color", 0), ("shape", 1)):
        if "scale" in encoding.get(channel, {}):
            values = [drawing.series[name][index] for name in names]
            encoding[channel]["scale"] = {"domain": names, "range": [PATHS.get(value, value) for value in values]}


def _differences(title: str, names: Mapping[str, str], values: list[float], ends: Rows) -> Spec:
    """One of ``OTHERS``; its fields are named for those that they replace. Also writes where names stand on it."""
    low, high = scales.drop_domain(values)
    known = [(row, row[names["y"]]) for row in ends if names["y"] in row]
    labels.place(known, names["l"], Upright(low, high, scales.bend, scales.unbend))
    scale = {"type": "symlog", "constant": scales.NEAR, "nice": False, "clamp": True, "domain": [low, high]}
    label = "datum.value ? format(datum.value, '+~g') : '0'"
    axis = {"title": title, "values": scales.drop_ticks(low, high), "labelExpr": label}
    return {"fields": {name: names[name] for name in ("y", "top", "bottom", "l")}, "scale": scale, "axis": axis}


@contextmanager
def layouts_kept(kept: Kept) -> Iterator[None]:
    """Layouts are kept there meanwhile."""
    _KEPT.append(kept)
    try:
        yield
    finally:
        _KEPT.pop()


_KEPT = [NOTHING]


@cache
def _layout_text(patterns: tuple[str, ...]) -> str:
    """Many charts share a layout; reading it is ten times as fast as copying it."""
    return _KEPT[-1].text(f"{digest([code(), patterns])}.layout", lambda: _make(patterns))


def _make(patterns: tuple[str, ...]) -> str:
    from leaderboard.layouts import layout

    return json.dumps(layout(patterns))
