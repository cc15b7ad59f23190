"""Lighthouse on the built site, served from this machine: `nox -s lighthouse`.

Accessibility, best practices and search engines have to be perfect, and performance at least 95 on Lighthouse's phone: on
the first page, and on the benchmark, the board and the method with the most to show. Text is served compressed, as static
hosts do.
The audit of robots.txt is left out: it fetches the file from within the page, which the pages' policy forbids to everybody.
Needs Node.js: the release is pinned here and npm fetches it, so this is no part of the test suite.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from functools import partial
from http import HTTPStatus
from pathlib import Path

from leaderboard.errors import SiteError
from leaderboard.serve import Handler, make_server

RELEASE = "lighthouse@12.8.2"
LEAST = {"accessibility": 100, "best-practices": 100, "seo": 100, "performance": 95}
CHROMIUM = "/usr/bin/chromium"
FLAGS = "--headless=new --no-sandbox --disable-gpu"


class Compressed(Handler):
    """Pages, scripts and styles as gzip."""

    def do_GET(self) -> None:  # noqa: N802  (the base class's name)
        path = Path(self.translate_path(self.path))
        if path.suffix not in (".html", ".js", ".css") or not path.is_file():
            super().do_GET()
            return
        body = gzip.compress(path.read_bytes())
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", self.guess_type(path))
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main() -> int:
    """Measure; 1 where a score is too low."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "public")
    if shutil.which("npx") is None:
        raise SiteError("npx is not there", fix="install Node.js with npm (Debian: apt install nodejs npm)")
    server = make_server(folder, 0)
    server.RequestHandlerClass = partial(Compressed, directory=str(folder))  # type: ignore[assignment]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    low = 0
    kinds = ("benchmarks/*.html", "benchmarks/*/*.html", "methods/*.html")
    for page in ("index.html", *(page for kind in kinds for page in _largest(folder, kind))):
        report = measure(f"http://127.0.0.1:{server.server_port}/{page}")
        scores = {name: round(100 * report["categories"][name]["score"]) for name in LEAST}
        print(page, *(f"{name} {score}" for name, score in scores.items()))  # noqa: T201
        for name in (name for name, score in scores.items() if score < LEAST[name]):
            low += 1
            print(*_reasons(report, name), sep="\n")  # noqa: T201
    server.shutdown()
    return min(low, 1)


def measure(url: str) -> dict:
    """The report of one page."""
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        wanted = ["--quiet", "--output=json", f"--output-path={file.name}", f"--only-categories={','.join(LEAST)}"]
        command = ["npx", "--yes", RELEASE, url, *wanted, "--skip-audits=robots-txt", f"--chrome-flags={FLAGS}"]
        subprocess.run(command, check=True, env={"CHROME_PATH": CHROMIUM, **os.environ})
        return json.loads(Path(file.name).read_text(encoding="utf-8"))


def _largest(folder: Path, kind: str) -> list[str]:
    """The path, or nothing where there is no such page."""
    pages = sorted(folder.glob(kind), key=lambda path: (-path.stat().st_size, path.name))
    return [page.relative_to(folder).as_posix() for page in pages[:1]]


def _reasons(report: dict, category: str) -> list[str]:
    """Audits of a category that cost points."""
    weights = {one["id"]: one["weight"] for one in report["categories"][category]["auditRefs"]}
    audits = (audit for name, audit in report["audits"].items() if weights.get(name) and (audit["score"] or 0) < 1)
    return [f"  {category}: {audit['title']} {audit.get('displayValue', '')}" for audit in audits]


if __name__ == "__main__":
    sys.exit(main())
