"""Bytecode for the child. Without it every start compiles PyTorch anew, which takes longer than all the rest."""

from __future__ import annotations

import fcntl
import subprocess
from pathlib import Path

from evaluator.canonical import digest
from evaluator.errors import SandboxError
from evaluator.sandbox.bubblewrap import INSIDE
from evaluator.sandbox.layout import PACKAGE, environment, python_command_at, python_path


def warm_pycache(folder: Path) -> None:
    """Fill ``folder`` unless it is full already; several processes may call this at once.

    Raises:
        SandboxError: the child's imports fail.
    """
