"""What the marks of a chart say, and where: its sizes, and expressions in the language of Vega."""

from __future__ import annotations

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
DASHES = {"matched-magnitude": [1, 0], "matched-random": [2, 3], "scratch-e": [9, 3], "scratch-b": [9, 3, 2, 3]}
"""How the line of a control is broken."""
