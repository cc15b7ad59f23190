"""The optimiser of all training: PyTorch's SGD without what is around it for torch.compile.

That wrapping imports the compiler at the first step, a second and 150 MB in each process that trains, and compiles nothing
here. The arithmetic is PyTorch's own, from the fused kernel to the momentum.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch


class Sgd(torch.optim.SGD):
    """torch.optim.SGD, bit for bit."""

    add_param_group: Any = inspect.unwrap(torch.optim.SGD.add_param_group)
    zero_grad: Any = inspect.unwrap(torch.optim.SGD.zero_grad)
    step: Any = torch.no_grad()(inspect.unwrap(torch.optim.SGD.step))
