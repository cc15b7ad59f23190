"""Write the one script that is not ours: Vega, Vega-Lite and Vega-Embed in a single file, with versions and licences.

    python -m leaderboard.vendor

The bundle comes out of vl-convert, the same program that draws the static pictures, so that both agree.
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

import vl_convert

from evaluator.canonical import digest_bytes, write_atomically
from leaderboard.layouts import VEGA_LITE

FOLDER = Path(__file__).resolve().parents[1] / "static" / "vendor"
BUNDLE, MANIFEST = "vega.js", "manifest.json"
LICENCES = {
    "vega": "BSD-3-Clause",
    "vega-lite": "BSD-3-Clause",
    "vega-embed": "BSD-3-Clause",
    "lodash.debounce": "MIT",
    "d3 (parts, within vega)": "ISC",
}


def main() -> None:
    """Write bundle and manifest; the licences' texts lie beside them in LICENCES.txt."""
    bundle = vl_convert.javascript_bundle(vl_version=VEGA_LITE).encode()  # type: ignore[call-arg]  # the stub forgets a default
    manifest = {
        "file": BUNDLE,
        "sha256": digest_bytes(bundle),
        "bytes": len(bundle),
        "made_with": f"vl-convert-python {version('vl-convert-python')}, javascript_bundle(vl_version={VEGA_LITE!r})",
        "versions": {
            "vega": vl_convert.get_vega_version(),
            "vega-lite": VEGA_LITE,
            "vega-embed": vl_convert.get_vega_embed_version(),
        },
        "licences": LICENCES,
    }
    write_atomically(FOLDER / BUNDLE, bundle)
    write_atomically(FOLDER / MANIFEST, (json.dumps(manifest, indent=2) + "\n").encode())


if __name__ == "__main__":
    main()
