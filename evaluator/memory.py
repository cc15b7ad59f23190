"""Whether an error says that memory ran out: some libraries have a class for that, others only words."""

from __future__ import annotations

import errno

ALLOCATION = (
    *("can't allocate memory", "not enough memory", "out of memory", "cannot allocate memory", "bad_alloc"),
    "outofmemory",  # the class of PyTorch, which may say nothing more
    *("alloc_failed", "allocation_failed"),  # so say the libraries of a GPU
)


def ran_out(error: BaseException, said: str) -> bool:
    """Whether memory ran out by ``error``; ``said`` is its class and what it says of itself."""
    lacking = isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
    return lacking or any(words in said.lower() for words in ALLOCATION)
