"""The layout of a chart, made by Altair and checked against Vega-Lite's schema: which marks, axes and tooltips it has.

Accuracy is drawn on the logarithm of the error (100 - accuracy): halving the error is one step anywhere, so that
98 against 97 shows as much as 80 against 70, and labels stay accuracies. Colours are tokens of the style sheet, so that one
drawing serves light and dark.
"""

from __future__ import annotations

import json
from typing import Any

import altair as alt

from leaderboard.expressions import (
    BESIDE,
    DASHES,
    DOTTED,
    ENDS,
    FOCUS,
    HEIGHT,
    NAMED,
    RANGES,
    TOLD,
)

Spec = dict[str, Any]

VEGA_LITE = ".".join(alt.SCHEMA_VERSION.lstrip("v").split(".")[:2])
"""The release that charts are written for."""
NAMES: Spec = {
    "align": alt.expr(f"{BESIDE} ? 'left' : 'right'"),
    "baseline": alt.expr(f"{BESIDE} ? 'middle' : 'alphabetic'"),
    "dx": alt.expr(f"{BESIDE} ? 9 : 4"),
    "dy": alt.expr(f"{BESIDE} ? 0 : -12"),
    "fontSize": 11,
}
"""Beside the line, or above its end."""
FAINT = 0.3
"""Opacity of lines and marks that are not in focus: they can still be followed."""


def layout(patterns: tuple[str, ...]) -> Spec:
    """The layers of every chart; patterns have no lines."""
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
            x=x, y=y, color=colour, opacity=_shown(1, FAINT),
            strokeDash=alt.condition("datum.dashed", alt.value([7, 3]), alt.value([1, 0]))),
        means.transform_calculate(**TOLD).mark_point(filled=True, size=52, stroke="var(--paper)", strokeWidth=0.8).encode(
            x=x, y=y, color=colour, shape=shape, opacity=_shown(1, FAINT), tooltip=_tooltip()),
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
