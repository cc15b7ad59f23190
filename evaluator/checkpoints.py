"""What long work inside the sandbox saves on its way, so that a later run of the same cell can go on from there."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from evaluator.checkpoint_files import NAME, NEW, SUFFIX
from evaluator.errors import ContractError

NO_ROOM = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)


class Checkpoints:
    """Tensors and facts by name, in two folders: what an interrupted run left, and what this run leaves.

    Names are 1 to 40 of a-z, 0-9 and hyphens, and at most 64 for a cell; the latest of a name counts.

    Args:
        read: holds what the run before left; None: nothing.
        write: whence each file is soon taken away; None: nothing is saved.
    """

    def __init__(self, read: Path | None = None, write: Path | None = None) -> None:
        self._read = read
        self._write = write

    def save(self, name: str, tensors: Mapping[str, Tensor], facts: Mapping[str, str]) -> bool:
        """Save copies of ``tensors``; whether that was wanted and there was room.

        No outcome may depend on it: a run whose checkpoint finds no room is merely harder to resume.
        """
        _check(name)
        if self._write is None:
            return False
        copies = {key: t.detach().cpu().clone(memory_format=torch.contiguous_format) for key, t in tensors.items()}
        content = save(copies, dict(facts))
        temporary = self._write / f".{NEW}{name}.part"
        try:
            temporary.write_bytes(content)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            if error.errno in NO_ROOM:
                return False
            raise
        os.replace(temporary, self._write / f"{NEW}{name}{SUFFIX}")
        return True

    def load(self, name: str) -> tuple[dict[str, Tensor], dict[str, str]] | None:
        """Tensors (on the CPU) and facts that an interrupted run left; None if there are none, or they are damaged."""
        _check(name)
        if self._read is None:
            return None
        try:
            with safe_open(self._read / f"{name}{SUFFIX}", "pt") as file:
                tensors = {key: file.get_tensor(key).clone() for key in file.keys()}  # noqa: SIM118 (not a mapping)
                return tensors, dict(file.metadata() or {})
        except (OSError, SafetensorError):
            return None


def _check(name: str) -> None:
    if not NAME.fullmatch(name):
        raise ContractError(f"{name!r} cannot be the name of a checkpoint", fix="use 1 to 40 of a-z, 0-9 and hyphens")
