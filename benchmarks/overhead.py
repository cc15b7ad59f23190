"""What a cell costs beside its computation: `espalier evaluate` on the smoke tier, wall time less pruning and training."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from benchmarks.processes import measure


def bench() -> None:
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "evaluator",
            "evaluate",
            "global-magnitude",
            "--benchmark",
            "digits-mlp",
            "--workers",
            "1",
        ]
        store = Path(folder)
        wall, peak, _ = measure([*command, "--store", str(store), "--force"], Path.cwd())
        records = [json.loads(line) for path in store.glob("*/*.jsonl") for line in path.read_text().splitlines()]
    scored = {r["score_key"]: r["cost"]["retraining_seconds"] for r in records}
    work = sum(scored.values()) + sum(r["cost"]["pruning_seconds"] for r in records)
    print(f"\nOverhead: {len(records)} records in {wall:.1f} s, of which pruning and training {work:.1f} s")
    print(f"  {(wall - work) / len(records):.2f} s a record beside its computation; all processes {peak:.0f} MB")
