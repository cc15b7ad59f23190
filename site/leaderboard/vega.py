"""One static drawing: a layout, compiled, filled and turned into SVG; or an SVG turned into PNG.

Apart from ``pictures`` because it runs in processes of its own (``python -m leaderboard.vega``), which start faster without
Altair.
"""

from __future__ import annotations

import base64
import json
import re
import sys
from collections.abc import Callable
from functools import cache
from typing import Any

import vl_convert

Spec = dict[str, Any]
Job = Any
"""For Vega, the release of Vega-Lite and a layout (see ``charts.skeleton``) as JSON; for an SVG, the layout in Vega as JSON
and the specification to fill it with; for a PNG, an SVG."""

TAG = re.compile(r"<[^<>]*>")
HIDDEN = re.compile(r'<path class="(?:background|foreground)"[^<>]*/>')
"""The grounds of a drawing that has none."""
FAINT = re.compile(r'<[^<>]* opacity="0(?:\.05)?"[^<>]*(?:/>|>[^<>]*</text>)')
"""Intervals that a crowd hides but for a breath, and names that show only when a reader points at their line."""
UNSEEN = re.compile(
    r' (?:role|aria-roledescription|aria-hidden|pointer-events)="[^"]*"'
    r'| (?:transform="translate\(0,0\)"|stroke-dasharray="1,0"|opacity="1")'
)
"""In tags: for assistive technology, from which the drawing is hidden as a whole, and what holds anyway."""
PLACES = re.compile(r' (?:transform|d|x2|y2)="[^"]*"')
NUMBER = re.compile(r"-?\d+\.\d+(?:e-?\d+)?")


def main() -> None:
    """Jobs as lines of JSON from standard input, what is made of each as a line of JSON to standard output."""
    for line in sys.stdin:
        kind, job = json.loads(line)
        sys.stdout.write(json.dumps(WORK[kind](job)) + "\n")
        sys.stdout.flush()


def to_vega(job: tuple[str, str]) -> str:
    """A layout, compiled."""
    release, layout = job
    return json.dumps(vl_convert.vegalite_to_vega(layout, vl_version=release))


def to_svg(job: tuple[str, Spec]) -> str:
    """Draw; nothing may be fetched, and nothing in the SVG has an identifier that another drawing could have too."""
    layout, spec = job
    vega = _filled(_read(layout), spec)
    svg = vl_convert.vega_to_svg(json.dumps(vega), allowed_base_urls=[])
    head, body = svg.split(">", 1)
    view = re.search(r'viewBox="[^"]*"', head)
    return f'<svg class="marks" {view.group() if view else ""} aria-hidden="true" focusable="false">{_slim(body)}'


def _slim(body: str) -> str:
    """Its tags without what shows (next to) nothing, and numbers as fine as a screen: half the size when compressed."""
    return TAG.sub(lambda tag: PLACES.sub(_rounded, UNSEEN.sub("", tag.group())), FAINT.sub("", HIDDEN.sub("", body)))


def _rounded(places: re.Match[str]) -> str:
    def short(number: re.Match[str]) -> str:
        value = float(number.group())
        return f"{round(value, 1 if abs(value) >= 10 else 2):g}"

    return NUMBER.sub(short, places.group())


def to_png(svg: str) -> str:
    """An SVG of a fixed size as PNG, in base64; nothing is fetched for it."""
    return base64.b64encode(vl_convert.svg_to_png(svg)).decode()


@cache
def _read(layout: str) -> Spec:
    vega: Spec = json.loads(layout)
    return vega


def _filled(vega: Spec, spec: Spec) -> Spec:
    """The compiled layout with the domains, ticks, series, data and focus of ``spec``."""
    channels = {
        name: channel for layer in spec["layer"] for name, channel in layer["encoding"].items() if "scale" in channel
    }
    values = {param["name"]: param["value"] for param in spec["params"]}
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
            {**signal, "value": values[signal["name"]]} if signal["name"] in values else signal for signal in vega["signals"]
        ],
    }


WORK: dict[str, Callable[[Any], str]] = {"vega": to_vega, "svg": to_svg, "png": to_png}
"""What can be made, by its name."""

if __name__ == "__main__":
    main()
