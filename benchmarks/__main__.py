"""`nox -s bench [-- engine|overhead|scale|cluster ...]`: all of them by default."""

from __future__ import annotations

import sys

from benchmarks import cluster, engine, overhead, scale

PARTS = {"engine": engine.bench, "overhead": overhead.bench, "scale": scale.bench, "cluster": cluster.bench}

for part in sys.argv[1:] or PARTS:
    if part not in PARTS:
        sys.exit(f"no benchmark {part!r}: one of {', '.join(PARTS)}")
    PARTS[part]()
