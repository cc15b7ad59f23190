"""Charts as static SVG: what a reader sees before, or without, a script.

Drawing is the slowest part of a build: the layout is compiled once and then filled, drawings are kept by the digest of
their specification, and many of them are drawn by several processes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

import altair as alt

from evaluator.canonical import canonical_json, digest
from leaderboard.charts import Spec, skeleton
from leaderboard.errors import SiteError
from leaderboard.vega import Job, to_svg

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
    jobs: list[Job] = [(VEGA_LITE, canonical_json(skeleton(spec)), spec) for spec in specs]
    if len(specs) <= FEW or workers == 1:
        return [to_svg(job) for job in jobs]
    drawn = [""] * len(jobs)
    with ThreadPoolExecutor(workers) as pool:
        for first, part in enumerate(pool.map(_elsewhere, [jobs[i::workers] for i in range(workers)])):
            drawn[first::workers] = part
    return drawn


def _elsewhere(jobs: list[Job]) -> list[str]:
    """Draw in a process of its own, which starts without Altair and pandas."""
    lines = "".join(json.dumps(job) + "\n" for job in jobs)
    done = subprocess.run(
        [sys.executable, "-m", "leaderboard.vega"], input=lines, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise SiteError(
            f"the charts could not be drawn: {done.stderr.strip().splitlines()[-1:]}", fix="report this as a bug"
        )
    return [json.loads(line) for line in done.stdout.splitlines()]
