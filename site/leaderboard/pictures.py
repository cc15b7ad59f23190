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
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import altair as alt

from evaluator.canonical import canonical_json, digest
from leaderboard.charts import Spec, skeleton
from leaderboard.errors import SiteError
from leaderboard.vega import WORK, Job

DRAWING = 3
"""Version of what this module makes of a specification; kept drawings of another version are not used."""
FEW = {"svg": 24, "png": 2}
"""Up to so many, starting other processes costs more than it saves."""
VEGA_LITE = ".".join(alt.SCHEMA_VERSION.lstrip("v").split(".")[:2])

Kind = Literal["svg", "png"]
SUFFIX = {"svg": "svg", "png": "png.base64"}


def draw(specs: Iterable[Spec], folder: Path | None = None) -> dict[str, str]:
    """Key of each specification (see ``key``) -> its SVG, ready to stand in a page.

    Args:
        specs: as ``charts.tradeoff`` returns them.
        folder: in which drawings are kept from build to build.
    """
    named = {key(spec): spec for spec in specs}
    jobs = {name: (VEGA_LITE, canonical_json(skeleton(spec)), spec) for name, spec in named.items()}
    return _made("svg", jobs, folder)


def rasterise(cards: Iterable[str], folder: Path | None = None) -> list[bytes]:
    """Each SVG as a PNG; kept as drawings are."""
    named = [(digest([DRAWING, card, version("vl-convert-python")]), card) for card in cards]
    made = _made("png", dict(named), folder)
    return [base64.b64decode(made[name]) for name, _ in named]


def key(spec: Spec) -> str:
    """SHA-256 of the specification and of what draws it."""
    return digest([DRAWING, spec, version("vl-convert-python")])


def _made(kind: Kind, jobs: Mapping[str, Job | str], folder: Path | None) -> dict[str, str]:
    """What is made of each job: kept from before, or made now."""
    files = {name: folder / f"{name}.{SUFFIX[kind]}" for name in jobs} if folder is not None else {}
    known = {name: path.read_text(encoding="utf-8") for name, path in files.items() if path.is_file()}
    todo = [name for name in jobs if name not in known]
    for name, made in zip(todo, _spread(kind, [jobs[name] for name in todo]), strict=True):
        known[name] = made
        if name in files:
            _keep(files[name], made)
    return known


def _keep(path: Path, text: str) -> None:
    """Whole or not at all; without waiting for the disk, since it can be drawn again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


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
