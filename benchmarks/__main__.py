"""`nox -s bench [-- engine|overhead|scale|rebuild|cluster|large|huge ...]`: the first five by default."""

from __future__ import annotations

import sys
from functools import partial

from benchmarks import cluster, engine, overhead, rebuild, scale

USUAL = {
    "engine": engine.bench,
    "overhead": overhead.bench,
    "scale": scale.bench,
    "rebuild": rebuild.bench,
    "cluster": cluster.bench,
}
PARTS = USUAL | {"large": partial(rebuild.bench, rebuild.LARGE), "huge": partial(rebuild.bench, rebuild.HUGE)}

for part in sys.argv[1:] or USUAL:
    if part not in PARTS:
        sys.exit(f"no benchmark {part!r}: one of {', '.join(PARTS)}")
    PARTS[part]()
