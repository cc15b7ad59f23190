"""Bytecode for the child. Without it every start compiles PyTorch anew, which takes longer than all the rest."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
from pathlib import Path

from evaluator.canonical import digest
from evaluator.errors import SandboxError
from evaluator.sandbox.bubblewrap import INSIDE
from evaluator.sandbox.layout import PACKAGE, environment, python_path

IMPORTS = "import sys; sys.path += sys.argv[1:]; import evaluator.sandbox.zygote"


def warm_pycache(folder: Path) -> None:
    """Fill ``folder`` with the bytecode of all that the child imports, unless it is there; a few seconds the first time.

    Several processes may call this at once: the first one works, the others wait.

    Raises:
        SandboxError: the imports fail.
    """
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)  # the child may be another user
    mark = folder / f"complete-{_fingerprint()}"
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not mark.exists():
            _compile(folder)
            for old in folder.glob("complete-*"):
                old.unlink()
            mark.touch()


def _fingerprint() -> str:
    """Of the interpreter, the packages and our own sources; bytecode that is out of date would be ignored, not used."""
    import importlib.metadata  # slow to import, and the child imports this package

    sources = sorted((str(path), path.stat().st_mtime_ns) for path in PACKAGE.rglob("*.py"))
    return digest([sys.version, importlib.metadata.version("torch"), python_path(), sources])[:16]


def _compile(folder: Path) -> None:
    command = [sys.executable, "-P", "-s", "-S", "-X", f"pycache_prefix={folder}", "-c", IMPORTS]
    done = subprocess.run(
        [*command, str(PACKAGE.parent), *python_path()],
        env=environment(folder),
        capture_output=True,
        text=True,
        umask=0o022,
        cwd="/",
        check=False,
    )
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise SandboxError(f"the child's imports fail: {last}", fix="install Espalier with its dependencies")
    # the child in bubblewrap finds our package under another path
    ours = Path(f"{folder}{PACKAGE}")
    shutil.copytree(ours, Path(f"{folder}{INSIDE}") / "code" / PACKAGE.name, dirs_exist_ok=True)
