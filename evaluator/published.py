"""Weights that others trained and published, as a start for base models: found or downloaded, checked, renamed."""

from __future__ import annotations

import http.client
import re
import urllib.request
from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError

import torch
from torch import Tensor, nn

from evaluator.canonical import digest_bytes, digest_file, write_atomically
from evaluator.data.sources import data_folder
from evaluator.errors import BaseModelError
from evaluator.grid import Start

Tensors = dict[str, Tensor]


def load_published(start: Start, model: nn.Module, *, say: Callable[[str], None] = lambda _: None) -> None:
    """Fill ``model`` with published weights.

    Raises:
        BaseModelError: the file cannot be had, is not the one that the grid names, or does not fit the network.
    """
    path = find(start, say=say)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)  # a pickle: nothing but tensors is let through
        tensors = NAMES[start.names](content)
        missing, unexpected = model.load_state_dict(tensors, strict=False)
    except Exception as error:
        raise BaseModelError(f"these weights do not fit the network ({str(error).splitlines()[0]})", where=path) from None
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    if odd := [*missing, *unexpected]:
        raise BaseModelError(f"these weights do not fit the network ({odd[0]})", where=path)


def find(start: Start, *, say: Callable[[str], None] = lambda _: None) -> Path:
    """The file in ``$ESPALIER_DATA/weights``, downloaded there if it is missing; it has the grid's SHA-256."""
    path = data_folder() / "weights" / start.file
    if not path.is_file():
        say(f"downloading {start.url}")
        _download(start, path)
    found = digest_file(path)
    if found != start.sha256:
        raise BaseModelError(
            f"SHA-256 {found[:12]}, but the grid names {start.sha256[:12]}",
            where=path,
            fix=f"delete it; it is at {start.url}",
        )
    return path


def _download(start: Start, path: Path) -> None:
    fix = f"put {start.url} there"
    try:
        with urllib.request.urlopen(start.url, timeout=60) as answer:  # noqa: S310 (the grid lets https through alone)
            content = answer.read()
    except (URLError, OSError, http.client.HTTPException) as error:
        raise BaseModelError(f"not there, and cannot be downloaded ({error})", where=path, fix=fix) from None
    if digest_bytes(content) != start.sha256:
        raise BaseModelError("what was downloaded is not the file that the grid names", where=start.url, fix=fix)
    write_atomically(path, content)


def _akamaster(content: dict[str, Tensors]) -> Tensors:
    """The ResNets of github.com/akamaster/pytorch_resnet_cifar10: saved from DataParallel, two parts named otherwise."""
    renamed = ((r"^module\.", ""), (r"^layer(\d)\.", r"stage\1."), (r"^linear\.", "classifier."))
    tensors = content["state_dict"]
    for pattern, replacement in renamed:
        tensors = {re.sub(pattern, replacement, name): tensor for name, tensor in tensors.items()}
    return tensors


NAMES: dict[str, Callable[[dict[str, Tensors]], Tensors]] = {"akamaster": _akamaster}
"""Whose names a file's tensors have -> from what is in the file to the state dict of our network."""
