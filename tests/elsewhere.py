"""A device that is not there: tensors that say they are on it, compute on the CPU, and refuse what a GPU would refuse.

Without a GPU nobody notices a tensor that was made on the CPU and meets the network's; here that is the error that it
would be there. Nothing else of a GPU is pretended: neither its streams nor its rounding.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.optim import optimizer
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

THERE = torch.device("meta")
MOVES = {"copy_", "_to_copy", "_copy_from", "_copy_from_and_resize"}
INDEXED = {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index", "_unsafe_index_put"}
"""Operations that take an index from the CPU."""


class Elsewhere(Tensor):
    """A tensor on the device that is not there; ``here`` holds its numbers."""

    here: Tensor

    @staticmethod
    def __new__(cls, here: Tensor) -> Elsewhere:
        return torch.Tensor._make_wrapper_subclass(
            cls, here.size(), strides=here.stride(), storage_offset=here.storage_offset(), dtype=here.dtype, device=THERE
        )  # fmt: skip

    def __init__(self, here: Tensor) -> None:
        self.here = here

    def __repr__(self) -> str:  # type: ignore[override]
        return f"Elsewhere({self.here!r})"

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(function, args, kwargs or {})


class _Mode(TorchDispatchMode):
    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(function, args, kwargs or {})


class _NewTensors(TorchFunctionMode):
    """`torch.tensor` asks for its device beneath what a dispatch mode sees."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        device = kwargs.pop("device", None)
        if function is torch.tensor and device is not None:
            return torch.tensor(*args, **kwargs).to(device)
        if function is Tensor.tolist and isinstance(args[0], Elsewhere):
            return args[0].here.tolist()
        return function(*args, **(kwargs if device is None else {**kwargs, "device": device}))


def _run(function: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    name = function.overloadpacket.__name__
    there = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Elsewhere)]
    _check(name, there, args, kwargs)
    stays = bool(there) and name != "_local_scalar_dense"
    if kwargs.get("device") is not None:
        stays = torch.device(kwargs["device"]) == THERE
        kwargs = {**kwargs, "device": torch.device("cpu")}
    args_here, kwargs_here = tree_map(lambda leaf: leaf.here if isinstance(leaf, Elsewhere) else leaf, (args, kwargs))
    result = function(*args_here, **kwargs_here)
    if name == "copy_":
        return args[0]
    known = {id(leaf.here): leaf for leaf in there}

    def wrap(leaf: Any) -> Any:
        return known.get(id(leaf), Elsewhere(leaf) if stays else leaf) if isinstance(leaf, Tensor) else leaf

    return tree_map(wrap, result)


def _check(name: str, there: list[Elsewhere], args: Any, kwargs: dict[str, Any]) -> None:
    device = kwargs.get("device")
    target = torch.device(device).type if device is not None else (THERE.type if there else "cpu")
    if target == THERE.type and isinstance(kwargs.get("generator"), torch.Generator):
        raise RuntimeError(f"{name}: Expected a 'cuda' device type for generator but found 'cpu'")
    if not there or name in MOVES:
        return
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    if name in INDEXED:
        if not isinstance(args[0], Elsewhere):
            raise RuntimeError(f"{name}: indices should be either on cpu or on the same device as the indexed tensor (cpu)")
        tensors = [leaf for leaf in (args[0], *args[2:3]) if isinstance(leaf, Tensor)]
    if any(tensor.dim() and not isinstance(tensor, Elsewhere) for tensor in tensors):
        raise RuntimeError(f"{name}: Expected all tensors to be on the same device, but found two devices")


def _autocast(kind: str, *args: Any, **options: Any) -> torch.autocast:
    return AUTOCAST("cpu" if kind == THERE.type else kind, *args, **options)


AUTOCAST = torch.autocast


@contextmanager
def elsewhere() -> Iterator[torch.device]:
    """Inside there is a device that is not there: this one."""
    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(torch, "autocast", _autocast))
        fused = [*optimizer._get_fused_kernels_supported_devices(), THERE.type]
        stack.enter_context(mock.patch.object(optimizer, "_get_fused_kernels_supported_devices", return_value=fused))
        stack.enter_context(mock.patch.object(torch, "inference_mode", torch.no_grad))  # views of it cannot be wrapped
        stack.enter_context(warnings.catch_warnings())
        warnings.filterwarnings("ignore", "for .*: copying from a non-meta parameter")  # it does copy
        torch.__future__.set_swap_module_params_on_conversion(True)  # else a conversion would leave `here` as it is
        stack.callback(torch.__future__.set_swap_module_params_on_conversion, False)
        stack.enter_context(_Mode())
        stack.enter_context(_NewTensors())
        yield THERE
