"""Charts as static SVG: what a reader sees before, or without, a script; and as PNG, where a link to them is shown.

Drawing is the slowest part of a build: the layout is compiled once and then filled, drawings are kept by the digest of
their specification, and many of them are drawn by several processes.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import Literal, TypeVar

import altair as alt

from evaluator.canonical import canonical_json, digest
from leaderboard.charts import Spec, skeleton
from leaderboard.errors import SiteError
from leaderboard.kept import NOTHING, Kept
from leaderboard.vega import WORK, Job

DRAWING = 3
"""Version of what this module makes of a specification; kept drawings of another version are not used."""
FEW = {"svg": 24, "png": 2}
"""Up to so many, starting other processes costs more than it saves."""
AT_ONCE = 1_000
"""As text, jobs and drawings take much room."""
VEGA_LITE = ".".join(alt.SCHEMA_VERSION.lstrip("v").split(".")[:2])

_CONVERTER = version("vl-convert-python")

T = TypeVar("T")
Kind = Literal["svg", "png"]


def draw(specs: Mapping[str, Spec], kept: Kept = NOTHING) -> dict[str, str]:
    """Key of each specification -> its SVG, ready to stand in a page.

    Args:
        specs: by their ``key``, as ``charts.tradeoff`` returns them.
        kept: drawings of builds before.
    """
    return _made("svg", specs, lambda spec: (VEGA_LITE, canonical_json(skeleton(spec)), spec), kept)


def rasterise(cards: Iterable[str], kept: Kept = NOTHING) -> list[bytes]:
    """Each SVG as a PNG; kept as drawings are."""
    named = [(key(card), card) for card in cards]
    made = _made("png", dict(named), lambda card: card, kept)
    return [base64.b64decode(made[name]) for name, _ in named]


def key(drawn: Spec | str) -> str:
    """SHA-256 of a specification, or of an SVG, and of what draws it."""
    return digest([DRAWING, drawn, _CONVERTER])


def _made(kind: Kind, named: Mapping[str, T], job: Callable[[T], Job | str], kept: Kept) -> dict[str, str]:
    """What is made of each: kept from before, or made now."""
    known = {name: text for name in named if (text := kept.read(f"{name}.{kind}")) is not None}
    todo = [name for name in named if name not in known]
    for start in range(0, len(todo), AT_ONCE):
        part = todo[start : start + AT_ONCE]
        for name, made in zip(part, _spread(kind, [job(named[name]) for name in part]), strict=True):
            known[name] = made
            kept.write(f"{name}.{kind}", made)
    return known


def _spread(kind: Kind, jobs: list[Job | str]) -> list[str]:
    workers = min(os.cpu_count() or 1, 4)
    if len(jobs) <= FEW[kind] or workers == 1:
        return [WORK[kind](job) for job in jobs]
    made = [""] * len(jobs)
    with ThreadPoolExecutor(workers) as pool:
        parts = pool.map(lambda first: _elsewhere(kind, jobs[first::workers]), range(workers))
        for first, part in enumerate(parts):
            made[first::workers] = part
    return made


def _elsewhere(kind: Kind, jobs: list[Job | str]) -> list[str]:
    """Draw in a process of its own, which starts without Altair and pandas."""
    lines = "".join(json.dumps(job) + "\n" for job in jobs)
    done = subprocess.run(
        [sys.executable, "-m", "leaderboard.vega", kind], input=lines, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise SiteError(
            f"the charts could not be drawn: {done.stderr.strip().splitlines()[-1:]}", fix="report this as a bug"
        )
    return [json.loads(line) for line in done.stdout.splitlines()]
