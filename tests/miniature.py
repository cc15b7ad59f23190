"""A miniature Espalier in a temporary folder: a tiny grid, a few submissions, and the true command line on it.

Each command is a process of its own. Most are forked from one that has imported the command line and nothing has run in:
starting Python and importing everything costs more than most commands do.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
CACHE = ROOT / ".espalier" / "cache"
"""Of everything by its digest: every first build would draw all charts, every first sandbox compile PyTorch."""
BYTECODE = CACHE / "bytecode"

COMMANDS = multiprocessing.get_context("forkserver")
COMMANDS.set_forkserver_preload(["evaluator.__main__", "leaderboard.build", "leaderboard.rebuild", "tests.miniature"])

METHOD = '''"""{doc}"""

from evaluator.contract import Job, Pruned, PruningMethod


class Method(PruningMethod):
    """{doc}"""

    def prune(self, job: Job) -> Pruned:
        {body}
'''

MAGNITUDE = 'return job.keep_highest({i: w.abs() for i, w in job.weights()}, scope="global")'


def metadata(slug: str, **changes: Any) -> dict[str, Any]:
    """Complete metadata of a made-up method."""
    content: dict[str, Any] = {
        "contract": 1,
        "slug": slug,
        "title": slug.replace("-", " ").title(),
        "summary": "A made-up method for tests; it keeps the largest weights.",
        "authors": ["Nobody"],
        "year": 2026,
        "paper": {"title": "On Nothing", "url": "https://example.org/paper"},
        "licence": "MIT",
        "division": "unstructured",
        "stage": "after",
        "facets": {"criterion": "magnitude", "scope": "global", "data_use": "none", "supervision": "none"},
        "needs": {"data": False, "labels": False, "gradients": False},
    }
    return content | changes


DIGITS = ("digits-mlp", "digits-cnn")
"""The smoke tier. Each benchmark takes a sandbox of its own, that is another import of PyTorch: most tests need but one."""


class Miniature:
    """A checkout with little of the smoke tier (one-shot, targets 2 and 8, two seeds, two epochs), without submissions."""

    def __init__(self, root: Path, benchmarks: Sequence[str] = DIGITS[:1]) -> None:
        self.root = root
        grid = root / "evaluator" / "grid"
        shutil.copytree(ROOT / "evaluator" / "grid", grid, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
        small = {name: entry for name, entry in self.read("benchmarks").items() if name in benchmarks}
        for entry in small.values():
            entry |= {"seeds": [0, 1], "tracks": ["one-shot"], "divisions": ["unstructured"]}
            entry["targets"] = {"unstructured": [2, 8]}
        self.write("benchmarks", small)
        recipes = self.read("recipes")
        recipes["digits-retraining"] |= {"epochs": 2, "batch": 128}
        self.write("recipes", recipes)
        for name in small:
            shutil.copytree(ROOT / "bases" / name, root / "bases" / name)
        (root / "submissions").mkdir()
        for folder in ("site", "templates"):
            (root / folder).symlink_to(ROOT / folder)
        share(root / ".espalier")

    def copy(self, root: Path) -> Miniature:
        """Another checkout of the same kind, that a test may change."""
        other = object.__new__(Miniature)
        other.root = root
        shutil.copytree(self.root, root, symlinks=True)
        return other

    def read(self, part: str) -> dict[str, Any]:
        """A file of the grid."""
        content: dict[str, Any] = yaml.safe_load((self.root / "evaluator" / "grid" / f"{part}.yaml").read_text())
        return content

    def write(self, part: str, content: dict[str, Any]) -> None:
        (self.root / "evaluator" / "grid" / f"{part}.yaml").write_text(yaml.safe_dump(content))

    def submit(self, slug: str, body: str = MAGNITUDE, **changes: Any) -> Path:
        """Add a submission whose ``prune`` has the given body."""
        folder = self.root / "submissions" / slug
        folder.mkdir(exist_ok=True)
        (folder / "metadata.yaml").write_text(yaml.safe_dump(metadata(slug, **changes)))
        (folder / "method.py").write_text(METHOD.format(doc="A made-up method.", body=body.strip()))
        return folder

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-P", "-m", "evaluator", *arguments]

    def run(self, *arguments: str, code: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the command line in this checkout and expect an exit code; with one worker, since tests run side by side."""
        if arguments[0] == "evaluate" and "--workers" not in arguments:
            arguments = (*arguments, "--workers", "1")
        done = command(arguments, self.root, os.environ | environment)
        assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def json(self, *arguments: str, code: int = 0) -> Any:
        return json.loads(self.run(*arguments, "--json", code=code).stdout)

    def records(self, folder: str = ".espalier/results") -> list[dict[str, Any]]:
        """Every record in a store."""
        paths = sorted((self.root / folder).glob("*/*.jsonl"))
        return [json.loads(line) for path in paths for line in path.read_text().splitlines()]


def share(state: Path) -> None:
    """Let a checkout, or a runner's workspaces, have the cache that all others have."""
    state.mkdir(parents=True, exist_ok=True)
    CACHE.mkdir(parents=True, exist_ok=True)
    (state / CACHE.name).symlink_to(CACHE)


def command(arguments: Sequence[str], folder: Path, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """What `espalier` says to some arguments in a folder and an environment, and its exit code."""
    with tempfile.TemporaryDirectory() as place:
        said = Path(place) / "out", Path(place) / "err"
        process = begin(arguments, folder, environment, *said)
        process.join()
        out, err = (path.read_text(encoding="utf-8") for path in said)
    return subprocess.CompletedProcess(list(arguments), process.exitcode or 0, out, err)


def begin(arguments: Sequence[str], folder: Path, environment: Mapping[str, str], out: Path, err: Path) -> ForkServerProcess:
    """`espalier` at work, its output in two files."""
    process = COMMANDS.Process(target=_main, args=(arguments, folder, dict(environment), out, err))
    process.start()
    return process


def _main(arguments: Sequence[str], folder: Path, environment: Mapping[str, str], out: Path, err: Path) -> None:
    """In the forked process: be the command line."""
    for descriptor, path in ((0, Path(os.devnull)), (1, out), (2, err)):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), descriptor)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["espalier", *arguments]
    from evaluator.__main__ import main

    main()
