"""Bytecode for the child. Without it every start compiles PyTorch anew, which takes longer than all the rest."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from evaluator.canonical import digest
from evaluator.errors import SandboxError
from evaluator.sandbox.bubblewrap import INSIDE
from evaluator.sandbox.layout import PACKAGE, environment, python_path

IMPORTS = "import sys; sys.path += sys.argv[1:]; import evaluator.sandbox.zygote"
KEPT = 16
"""Versions of our code whose bytecode is kept, a megabyte each: every workspace of a runner has one."""


def warm_pycache(folder: Path) -> Path:
    """The folder below ``folder`` with the bytecode of all that the child imports: ours as it is now, packages', Python's.

    Made unless it is there; what is not ours is linked from one made before. Several processes may call this at once: the
    first one works, the others wait. Nothing is ever changed in a folder that others may read.

    Raises:
        SandboxError: the imports fail.
    """
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)  # the child may be another user
    packages = _fingerprint_of_packages()
    made = folder / f"{packages}-{_fingerprint_of_ours()}"
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.is_dir():
            part = folder / "part"
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
            older = sorted(folder.glob("*-*"), key=lambda path: path.stat().st_mtime, reverse=True)
            _link(next((path for path in older if path.name.startswith(packages)), None), part)
            _compile(part)
            for path in (part, *part.rglob("*/")):
                path.chmod(0o755)
            part.rename(made)
            for path in older[KEPT - 1 :]:
                shutil.rmtree(path, ignore_errors=True)
        os.utime(made)  # what was not used for longest goes first
    return made


def _fingerprint_of_packages() -> str:
    import importlib.metadata  # slow to import, and the child imports this package

    return digest([sys.version, importlib.metadata.version("torch"), python_path()])[:12]


def _fingerprint_of_ours() -> str:
    """Bytecode that is out of date would be ignored, not used."""
    sources = sorted((str(path), path.stat().st_mtime_ns) for path in PACKAGE.rglob("*.py"))
    return digest(sources)[:12]


def _link(older: Path | None, part: Path) -> None:
    """What bytecode of packages and of Python there is; Python replaces files that are out of date, and changes none."""
    for root in (sysconfig.get_path("stdlib"), *python_path()):
        source, target = Path(f"{older}{root}"), Path(f"{part}{root}")
        if older is not None and source.is_dir() and not target.exists():
            shutil.copytree(source, target, copy_function=os.link)


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
        fix = "install Espalier with its dependencies, in a folder called site-packages"
        raise SandboxError(f"the child's imports fail: {last}", fix=fix)
    # the child in bubblewrap finds our package under another path
    ours = Path(f"{folder}{PACKAGE}")
    shutil.copytree(ours, Path(f"{folder}{INSIDE}") / "code" / PACKAGE.name)
