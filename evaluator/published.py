"""Weights that others trained and published, as a start for base models: found or downloaded, checked, renamed."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from evaluator.canonical import digest_file
from evaluator.data.sources import data_folder
from evaluator.downloads import download
from evaluator.errors import BaseModelError
from evaluator.grid import Start
from evaluator.networks import vit

Tensors = dict[str, Tensor]
Content = dict[str, Any]


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
        download(start.url, path, start.sha256, say=say)
    found = digest_file(path)
    if found != start.sha256:
        raise BaseModelError(
            f"SHA-256 {found[:12]}, but the grid names {start.sha256[:12]}",
            where=path,
            fix=f"delete it; it is at {start.url}",
        )
    return path


def _akamaster(content: Content) -> Tensors:
    """The ResNets of github.com/akamaster/pytorch_resnet_cifar10: saved from DataParallel, two parts named otherwise."""
    renamed = ((r"^module\.", ""), (r"^layer(\d)\.", r"stage\1."), (r"^linear\.", "classifier."))
    tensors: Tensors = content["state_dict"]
    for pattern, replacement in renamed:
        tensors = {re.sub(pattern, replacement, name): tensor for name, tensor in tensors.items()}
    return tensors


NAMES: dict[str, Callable[[Content], Tensors]] = {
    "akamaster": _akamaster,
    "torchvision": dict,
    "torchvision-vit": vit.from_torchvision,
}
"""Whose names a file's tensors have -> from what is in the file to the state dict of our network."""
