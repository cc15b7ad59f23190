"""Charts as static SVG: what a reader sees before, or without, a script; and as PNG, where a link to them is shown.

Drawing is the slowest part of a build: the layout is compiled once and then filled, and drawings are kept by the digest of
their specification.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from types import TracebackType
from typing import Literal

from evaluator.canonical import canonical_json, digest
from leaderboard.charts import Spec, skeleton
from leaderboard.errors import SiteError
from leaderboard.expressions import HEIGHT, NAMES_WIDTH, WIDTH
from leaderboard.kept import NOTHING, Kept, code
from leaderboard.vega import WORK, Job

DRAWING = 3
"""Version of what this module makes of a specification; kept drawings of another version are not used."""

_CONVERTER = version("vl-convert-python")

Kind = Literal["vega", "svg", "png"]


class Drawer:
    """Draws what is not kept, as long as it is entered.

    Args:
        kept: drawings of builds before.
        apart: in a process of its own, which begins with the first drawing: a copy of a process that drew cannot.
    """

    def __init__(self, kept: Kept = NOTHING, *, apart: bool = False) -> None:
        self._kept = kept
        self._apart = apart
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Drawer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()

    def draw(self, spec: Spec, name: str = "") -> str:
        """The SVG of a specification as ``charts.tradeoff`` returns it, ready to stand in a page.

        Args:
            name: the specification's ``key``, where it is known.
        """
        return self._made("svg", name or key(spec), lambda: (self._compiled(spec), spec))

    def rasterise(self, card: str) -> bytes:
        """An SVG as a PNG; kept as drawings are."""
        return base64.b64decode(self._made("png", key(card), lambda: card))

    def _compiled(self, spec: Spec) -> str:
        """Its layout in Vega, which many charts share."""
        layout = canonical_json(skeleton(spec))
        return self._made("vega", digest([code(), layout]), lambda: (_vega_lite(), layout))

    def _made(self, kind: Kind, name: str, job: Callable[[], Job]) -> str:
        return self._kept.text(f"{name}.{kind}", lambda: self._elsewhere(kind, job()) if self._apart else WORK[kind](job()))

    def _elsewhere(self, kind: Kind, job: Job) -> str:
        """By the other process, which starts without Altair."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "leaderboard.vega"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )  # fmt: skip
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps([kind, job]) + "\n")
            self._process.stdin.flush()
            return str(json.loads(self._process.stdout.readline()))
        except (OSError, ValueError):
            said = self._process.communicate()[1].strip().splitlines()[-1:]
            raise SiteError(f"the charts could not be drawn: {said}", fix="report this as a bug") from None


def _vega_lite() -> str:
    from leaderboard.layouts import VEGA_LITE  # only here: it begins Altair

    return VEGA_LITE


def key(drawn: Spec | str) -> str:
    """SHA-256 of a specification, or of an SVG, and of what draws it, at which size."""
    return digest([DRAWING, drawn, WIDTH, NAMES_WIDTH, HEIGHT, _CONVERTER])
