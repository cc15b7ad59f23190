"""Standings to Vega-Lite specifications, through Altair.

Accuracy is drawn on the logarithm of the error (100 - accuracy): halving the error is one step anywhere, so that
98 against 97 shows as much as 80 against 70, and labels stay accuracies.  The layout of a chart is made once by Altair,
validated, and then filled with data.  Colours are tokens of the style sheet, so that one drawing serves light and dark.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import altair as alt

from leaderboard import labels, scales
from leaderboard.labels import Upright
from leaderboard.series import PATHS

Spec = dict[str, Any]
Rows = list[dict[str, Any]]

HEIGHT = 360
WIDTH = 560
"""Of the static picture; in a browser a chart takes the width of its place."""
NAMES_WIDTH = 128
"""Of the static picture, for the names at the ends of lines."""
NAME_LAYERS = 2
"""The last ones of a chart: names, and what leads to them."""

FOCUS = "length(focus) == 0 || indexof(focus, datum.m) >= 0"
DOTTED = "isArray(datum['as']) && (length(dotted) == 0 || indexof(dotted, datum.m) >= 0)"
NAMED = "datum.last && (isValid(datum.lx) || indexof(named, datum.m) >= 0)"
OTHERS = (
    ("drop", "Top-1 against dense, points", {"y": "d", "top": "dt", "bottom": "db", "seeds": "ds", "l": "ld"}),
    ("control", "Top-1 against its magnitude control, points",
     {"y": "g", "top": "gt", "bottom": "gb", "seeds": "gs", "l": "lg"}),
)  # fmt: skip
"""Upright axes that the page's script puts in the place of accuracies: name, title, and the fields that they show."""
RANGES = {
    "top": "100 - datum.a - datum.h",
    "bottom": "100 - datum.a + datum.h",
    "dt": "datum.d + datum.e",
    "db": "datum.d - datum.e",
    "gt": "datum.g + datum.f",
    "gb": "datum.g - datum.f",
}
"""Ends of intervals on the axis of errors, and of differences."""
TOLD = {
    "tip": "datum.tip || format(datum.a, '.2f') + (isValid(datum.h) ? ' ± ' + format(datum.h, '.2f') : '')"
    " + ' % (n = ' + datum.n + ')'",
    "drop": "datum.drop || (isValid(datum.d) ? format(datum.d, '+.2f') + ' points' : null)",
    "gain": "isValid(datum.g) ? format(datum.g, '+.2f') + ' points' : null",
}
"""What a mark says of itself, unless its row has words of its own."""
ENDS = {
    "l": "isValid(datum.l) ? datum.l : datum.y",
    "ld": "isValid(datum.ld) ? datum.ld : datum.d",
    "lg": "isValid(datum.lg) ? datum.lg : datum.g",
    "place": "isValid(datum.lx) ? datum.lx : datum.x",
    "end": "datum.short || datum.name",
}
"""Where a name stands: where it was given a place, or at the end of its line, for as long as its reader points at it."""
BESIDE = "isValid(datum.lx)"
NAMES: Spec = {
    "align": alt.expr(f"{BESIDE} ? 'left' : 'right'"),
    "baseline": alt.expr(f"{BESIDE} ? 'middle' : 'alphabetic'"),
    "dx": alt.expr(f"{BESIDE} ? 9 : 4"),
    "dy": alt.expr(f"{BESIDE} ? 0 : -12"),
    "fontSize": 11,
}
"""Beside the line, or above its end."""
DASHES = {"matched-magnitude": [1, 0], "matched-random": [2, 3], "scratch-e": [9, 3], "scratch-b": [9, 3, 2, 3]}
"""How the line of a control is broken."""


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
    near = labels.EDGE_OF_PATTERNS if drawing.patterns else labels.EDGE * math.log2(x_domain[1] / x_domain[0])
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
    return {**spec, "usermeta": {"near": round(near, 4), **others}}


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


@cache
def _layout_text(patterns: tuple[str, ...]) -> str:
    """Many charts share a layout; reading it is ten times as fast as copying it."""
    return json.dumps(_layout(patterns))


def _layout(patterns: tuple[str, ...]) -> Spec:
    """The layers of every chart, checked against Vega-Lite's schema, which takes its time. Patterns have no lines."""
    controls, dense, means = (
        alt.Chart(alt.NamedData(name=name)).transform_calculate(y="100 - datum.a") for name in ("controls", "dense", "means")
    )
    ranges = means.transform_calculate(**RANGES)
    seeds = (
        alt.Chart(alt.NamedData(name="means"))
        .transform_filter(DOTTED)
        .transform_calculate(ds="datum.ds || []", gs="datum.gs || []", xs="datum.xs || []")
        .transform_flatten(["as", "ds", "gs", "xs"], as_=["a", "d", "g", "own"])
        .transform_calculate(x="isValid(datum.own) ? datum.own : datum.x", y="100 - datum.a")
    )
    x, y = _x(patterns), _y("y")
    colour = alt.Color("m:N", legend=None, scale=alt.Scale(domain=["m"], range=["var(--s0)"]))
    shape = alt.Shape("m:N", legend=None, scale=alt.Scale(domain=["m"], range=["circle"]))
    dash = alt.StrokeDash("v:N", legend=None, scale=alt.Scale(domain=list(DASHES), range=list(DASHES.values())))
    grey = alt.value("var(--control)")
    layers = (
        dense.mark_rule(strokeDash=[7, 4], strokeWidth=1.2).encode(y=y, color=grey),
        dense.mark_text(align="right", dy=-6, fontSize=12).encode(x=x, y=y, text="label:N", color=alt.value("var(--muted)")),
        controls.mark_point(size=26, filled=False, strokeWidth=1.2).encode(
            x=x, y=y, shape=alt.condition("datum.v == 'matched-magnitude'", alt.value("square"), alt.value("circle")),
            color=grey, opacity=_shown(0.9, 0.1)) if patterns else
        controls.mark_line(strokeWidth=1, opacity=0.55).encode(
            x=x, y=y, detail=["m:N", "v:N"], strokeDash=dash, color=grey, opacity=_shown(0.5, 0.06)),
        ranges.mark_rule(strokeWidth=1).encode(x=x, y=_y("top"), y2="bottom:Q", color=colour, opacity=_shown(0.55, 0.05)),
        seeds.mark_circle(size=11).encode(x=x, y=y, color=colour, opacity=_shown(0.6, 0.06)),
        means.mark_line(strokeWidth=0 if patterns else 1.6).encode(
            x=x, y=y, color=colour, opacity=_shown(1, 0.13),
            strokeDash=alt.condition("datum.dashed", alt.value([7, 3]), alt.value([1, 0]))),
        means.transform_calculate(**TOLD).mark_point(filled=True, size=52, stroke="var(--paper)", strokeWidth=0.8).encode(
            x=x, y=y, color=colour, shape=shape, opacity=_shown(1, 0.13), tooltip=_tooltip()),
        *_names(means, patterns, colour),
    )  # fmt: skip
    params = [alt.param(name=name, value=[]) for name in ("focus", "named", "dotted")]
    chart = alt.layer(*layers).add_params(*params).properties(width="container", height=HEIGHT, config=_THEME)
    return dict(chart.to_dict())


def _names(means: alt.Chart, patterns: tuple[str, ...], colour: alt.Color) -> tuple[alt.Chart, alt.Chart]:
    """At the ends of lines, and what leads to them."""
    ends = means.transform_filter(NAMED).transform_calculate(**ENDS)
    return (
        ends.mark_text(**NAMES).encode(
            x=_x(patterns, "place"), y=_y("l"), text="end:N", color=colour, opacity=_shown(1, 0)),
        ends.transform_filter(BESIDE).mark_rule(strokeWidth=0.7, xOffset=4, x2Offset=7).encode(
            x=_x(patterns), x2="place:Q", y=_y("y"), y2="l:Q", color=colour, opacity=_shown(0.6, 0)),
    )  # fmt: skip


def _shown(strong: float, faint: float) -> Any:
    """Opacity of what is in focus, and of everything else."""
    return alt.condition(FOCUS, alt.value(strong), alt.value(faint))


def _x(patterns: tuple[str, ...], name: str = "x") -> alt.X:
    scale = alt.Scale(type="log", base=2, nice=False, domain=[1, 2])
    label = "datum.value + '\N{MULTIPLICATION SIGN}'"
    if patterns:
        label = f"{json.dumps(patterns)}[round(log(datum.value) / LN2)]"
    return alt.X(
        f"{name}:Q", scale=scale, axis=alt.Axis(title="", values=[1], labelExpr=label, grid=False, labelOverlap="greedy")
    )


def _y(name: str) -> alt.Y:
    scale = alt.Scale(type="log", reverse=True, nice=False, clamp=True, domain=[1, 2])
    label = "format(100 - datum.value, '.4~g')"
    return alt.Y(f"{name}:Q", scale=scale, axis=alt.Axis(title="Top-1 accuracy, %", values=[1], labelExpr=label))


def _tooltip() -> list[alt.Tooltip]:
    return [
        alt.Tooltip("name:N", title="Method"),
        alt.Tooltip("t:N", title="Target"),
        alt.Tooltip("tip:N", title="Top-1"),
        alt.Tooltip("drop:N", title="Against dense"),
        alt.Tooltip("gain:N", title="Against its magnitude control"),
        alt.Tooltip("c:Q", title="Compression", format=".3~f"),
        alt.Tooltip("s:Q", title="Speedup", format=".3~f"),
    ]


_THEME: Spec = {
    "background": "transparent",
    "font": "system-ui, 'Segoe UI', 'Liberation Sans', sans-serif",
    "autosize": {"type": "fit", "contains": "padding"},
    "padding": 4,
    "aria": False,
    "view": {"stroke": None},
    "axis": {
        "labelColor": "var(--muted)",
        "titleColor": "var(--muted)",
        "gridColor": "var(--line)",
        "domainColor": "var(--line)",
        "tickColor": "var(--line)",
        "labelFontSize": 12,
        "labelOverlap": False,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "titlePadding": 10,
    },
}
