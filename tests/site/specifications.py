"""What the charts of a built page were drawn from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def specifications(folder: Path, page: str) -> dict[str, Any]:
    """Identifier of a figure -> its Vega-Lite specification, in the page's order."""
    text = (folder / "data" / "charts" / page).with_suffix(".js").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text.removeprefix("espalierCharts(").removesuffix(");\n"))
    return found
