"""Where we measure, told without PyTorch, which takes seconds to import."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from pathlib import Path

from evaluator import __version__

GRAPHICS = ("nvidia", "nvhost", "nvmap", "dxg", "kfd")
"""How the device nodes begin through which PyTorch could reach a GPU."""


def may_have_gpu(nodes: Path = Path("/dev")) -> bool:
    """False only where PyTorch cannot find one."""
    if sys.platform == "win32":
        return True
    return any(path.name.startswith(GRAPHICS) for path in nodes.iterdir())


def environment() -> dict[str, str | None]:
    """This machine with its processor as the device, as a record holds it (but for the sandbox).

    Raises:
        importlib.metadata.PackageNotFoundError: PyTorch is not installed.
    """
    return {
        "device_class": "cpu",
        "device": _processor(),
        "cuda": None,
        "driver": None,
        "torch": importlib.metadata.version("torch").split("+")[0],
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "espalier": __version__,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
