"""What came out of a sandbox: accept it whole or refuse it. Runs in the scorer; the file is hostile until the end.

The file is in the form of safetensors: 8 bytes with the length of a header, the header (JSON: name -> dtype, shape, place
of its bytes), the bytes. It is read here by hand, since everything that may be in it is known beforehand.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor

from evaluator.canonical import canonical_json
from evaluator.errors import InvalidOutcome

Layers = Sequence[tuple[int, tuple[int, ...]]]
"""(position, shape of the weight) of every prunable layer."""

LENGTH_BYTES = 8
HEADER_BYTES_PER_TENSOR = 256
MASK, WEIGHT = "U8", "F32"
ITEM_BYTES = {MASK: 1, WEIGHT: 4}


@dataclass(frozen=True)
class Artifact:
    """What is kept and what has changed: admitted, or made by the evaluator itself.

    Args:
        masks: position -> boolean tensor of the weight's shape, True where the weight is kept.
        weights: position -> float32 tensor, zero where the mask is False; layers that are left out keep their weights.
        channels: position of a channel group -> boolean tensor (channels,), True where the channel is kept.
        state: index -> float32 tensor: every parameter and statistic of a network that the method trained, in the order of
            ``evaluator.networks.floating_state``; empty where it trained none.
    """

    masks: Mapping[int, Tensor] = field(default_factory=dict)
    weights: Mapping[int, Tensor] = field(default_factory=dict)
    channels: Mapping[int, Tensor] = field(default_factory=dict)
    state: Mapping[int, Tensor] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """SHA-256 of the content: positions, shapes, masks and kept new weights, however a file may hold them."""
        total = hashlib.sha256()
        for position, mask in sorted(self.masks.items()):
            weight = self.weights.get(position)
            total.update(canonical_json([position, list(mask.shape), weight is not None]).encode())
            total.update(np.packbits(mask.cpu().numpy().reshape(-1)).tobytes())
            if weight is not None:
                total.update(weight.cpu()[mask.cpu()].numpy().astype("<f4").tobytes())
        for position, kept in sorted(self.channels.items()):
            total.update(canonical_json(["channels", position, len(kept)]).encode())
            total.update(np.packbits(kept.cpu().numpy()).tobytes())
        loose = self.weights.items() if self.channels else ()
        for kind, tensors in (("weight", loose), ("state", self.state.items())):
            for position, tensor in sorted(tensors):
                total.update(canonical_json([kind, position, list(tensor.shape)]).encode())
                total.update(tensor.cpu().contiguous().numpy().astype("<f4").tobytes())
        return total.hexdigest()

    def save(self) -> bytes:
        """In the same form as it came from the sandbox; equal artifacts give equal bytes."""
        kinds = {"mask": self.masks, "weight": self.weights, "channels": self.channels, "state": self.state}
        named = {f"{kind}.{p}": tensor for kind, tensors in kinds.items() for p, tensor in sorted(tensors.items())}
        return save(
            {name: (t.to(torch.uint8) if t.dtype == torch.bool else t).cpu().contiguous() for name, t in named.items()}
        )

    @classmethod
    def load(cls, content: bytes) -> Artifact:
        """From :meth:`save`; for content whose origin is known."""
        tensors = load(content)

        def part(kind: str) -> dict[int, Tensor]:
            chosen = {int(name.partition(".")[2]): t for name, t in tensors.items() if name.startswith(f"{kind}.")}
            return {p: t.bool() if t.dtype == torch.uint8 else t for p, t in sorted(chosen.items())}

        return cls(part("mask"), part("weight"), part("channels"), part("state"))


@dataclass(frozen=True)
class Form:
    """What an outcome for one network and cell consists of.

    Args:
        layers: (position, shape of the weight) of every prunable layer.
        channels: number of channels of each group, where channels are removed; then there are no masks.
        state: shapes of all parameters and statistics, where the method trained the network.
        new_weights: whether there may be new values of weights.
    """

    layers: Layers
    channels: Sequence[int] = ()
    state: Sequence[tuple[int, ...]] = ()
    new_weights: bool = True

    def tensors(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Name -> (dtype, shape) of all that may be in it."""
        masks = {} if self.channels else {f"mask.{p}": (MASK, shape) for p, shape in self.layers}
        weights = {} if self.state or not self.new_weights else {f"weight.{p}": (WEIGHT, shape) for p, shape in self.layers}
        channels = {f"channels.{p}": (MASK, (size,)) for p, size in enumerate(self.channels)}
        state = {f"state.{i}": (WEIGHT, shape) for i, shape in enumerate(self.state)}
        return masks | weights | channels | state


def admit(path: Path, form: Form) -> Artifact:
    """Read the file that a sandbox wrote; touches nothing beyond what an outcome of this ``form`` can need.

    Raises:
        InvalidOutcome: it is not a plain file, or not exactly the tensors that it should be.
    """
    expected = form.tensors()
    header_limit = HEADER_BYTES_PER_TENSOR * (len(expected) + 1)
    data_limit = sum(ITEM_BYTES[dtype] * math.prod(shape) for dtype, shape in expected.values())
    header, data = _split(_read(path, LENGTH_BYTES + header_limit + data_limit), header_limit)
    places = _places(header, expected, len(data))
    found = {name: _tensor(data[begin:end], *expected[name]) for name, (begin, end) in places.items()}

    def part(kind: str, what: str) -> dict[int, Tensor]:
        names = [name for name in expected if name.startswith(f"{kind}.")]
        return {(p := int(name.partition(".")[2])): _bits(found.get(name), f"{what} {p}") for name in names}

    masks, channels = part("mask", "mask of layer"), part("channels", "mask of channel group")
    weights = {
        p: _finite(found[f"weight.{p}"], f"new weight of layer {p}") for p, _ in form.layers if f"weight.{p}" in found
    }
    weights = {p: torch.where(masks[p], weight, torch.zeros_like(weight)) if p in masks else weight
               for p, weight in weights.items()}  # fmt: skip
    state = {i: _finite(found.get(f"state.{i}"), f"trained tensor {i}") for i in range(len(form.state))}
    if empty := [p for p, kept in channels.items() if not bool(kept.any())]:
        raise InvalidOutcome(f"no channel of group {empty[0]} is kept", fix="keep at least one of each")
    return Artifact(masks, weights, channels, state)


def _read(path: Path, limit: int) -> bytes:
    try:
        # without following a link, and without waiting for the other end of a pipe
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise InvalidOutcome(f"the output cannot be opened as a plain file ({error.strerror})") from None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise InvalidOutcome("the output is not a plain file")
        if found.st_size > limit:
            raise InvalidOutcome(f"the output has {found.st_size} bytes; for this network it can have {limit}")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(found.st_size)
    finally:
        os.close(descriptor)


def _split(content: bytes, limit: int) -> tuple[dict[str, Any], bytes]:
    length = int.from_bytes(content[:LENGTH_BYTES], "little")
    if len(content) < LENGTH_BYTES or not 0 < length <= min(limit, len(content) - LENGTH_BYTES):
        raise InvalidOutcome(f"the output says that its header has {length} bytes, which it cannot have")
    end = LENGTH_BYTES + length
    try:
        header = json.loads(content[LENGTH_BYTES:end].decode("ascii"), object_pairs_hook=_unique, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise InvalidOutcome("the header of the output is not JSON") from None
    if not isinstance(header, dict):
        raise InvalidOutcome("the header of the output is not a mapping")
    return header, content[end:]


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(found := dict(pairs)) != len(pairs):
        raise InvalidOutcome("the header of the output names a tensor twice")
    return found


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _places(
    header: dict[str, Any], expected: Mapping[str, tuple[str, tuple[int, ...]]], size: int
) -> dict[str, tuple[int, int]]:
    """name -> first and last byte; together they are the data, without a gap and without a byte that counts twice."""
    places = {}
    for name, entry in header.items():
        if name not in expected:
            raise InvalidOutcome(f"the output holds {name[:40]!r}, which is no mask or weight of this network")
        places[name] = _place(name, entry, *expected[name])
    reached = 0
    for begin, end in sorted(places.values()):
        if begin != reached:
            raise InvalidOutcome("the tensors of the output overlap or leave a gap")
        reached = end
    if reached != size:
        raise InvalidOutcome(f"the tensors of the output have {reached} bytes, but {size} follow the header")
    return places


def _place(name: str, entry: Any, dtype: str, shape: tuple[int, ...]) -> tuple[int, int]:
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise InvalidOutcome(f"the header of the output does not describe {name} as safetensors do")
    if entry["dtype"] != dtype:
        raise InvalidOutcome(f"{name} is {str(entry['dtype'])[:20]}, not {dtype}")
    if not _whole(entry["shape"]) or tuple(entry["shape"]) != shape:
        raise InvalidOutcome(f"{name} has shape {str(entry['shape'])[:60]}, but the weight has {list(shape)}")
    offsets = entry["data_offsets"]
    if not _whole(offsets) or len(offsets) != 2 or offsets[0] < 0:
        raise InvalidOutcome(f"{name} has no proper place in the output")
    if offsets[1] - offsets[0] != ITEM_BYTES[dtype] * math.prod(shape):
        raise InvalidOutcome(f"{name} has another number of bytes than its shape asks for")
    return offsets[0], offsets[1]


def _whole(value: Any) -> bool:
    return isinstance(value, list) and all(type(item) is int for item in value)


def _tensor(data: bytes, dtype: str, shape: tuple[int, ...]) -> Tensor:
    array = np.frombuffer(data, dtype="<u1" if dtype == MASK else "<f4")
    return torch.from_numpy(array.astype(array.dtype.newbyteorder("="))).view(shape)


def _bits(values: Tensor | None, what: str) -> Tensor:
    if values is None:
        raise InvalidOutcome(f"the output holds no {what}", fix="give one for every layer or channel group of the job")
    if bool((values > 1).any()):
        raise InvalidOutcome(f"the {what} holds other values than 0 and 1")
    return values.bool()


def _finite(values: Tensor | None, what: str) -> Tensor:
    if values is None:
        raise InvalidOutcome(f"the output holds no {what}")
    if not bool(torch.isfinite(values).all()):
        raise InvalidOutcome(f"the {what} holds NaN or infinity")
    return values
