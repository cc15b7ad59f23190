"""A prunable layer, as a method sees it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from evaluator.networks import Prunable


@dataclass(frozen=True)
class Layer:
    """A prunable layer of the job's model."""

    position: int
    module: Prunable

    @property
    def weight(self) -> Tensor:
        """(outputs, inputs / groups, ...); a view of the job's private model, which may be changed in place."""
        return self.module.weight.data

    @property
    def parameter(self) -> nn.Parameter:
        """The same with its gradient: what autograd knows, and what ``parameter.grad`` belongs to in a training hook."""
        return self.module.weight  # type: ignore[return-value]

    @property
    def groups(self) -> int:
        return self.module.groups if isinstance(self.module, nn.Conv2d) else 1

    @property
    def matrix(self) -> Tensor:
        """The weight as the matrix that multiplies :meth:`patches`: (groups, outputs / groups, features)."""
        return self.weight.reshape(self.groups, self.weight.shape[0] // self.groups, -1)

    def patches(self, inputs: Tensor) -> Tensor:
        """What each row of :attr:`matrix` is multiplied with: (groups, samples x positions, features)."""
        if isinstance(self.module, nn.Linear):
            return inputs.reshape(1, -1, inputs.shape[-1])
        conv = self.module
        rim = conv._reversed_padding_repeated_twice  # in numbers, also where it is given by a word
        around = F.pad(inputs, rim, "constant" if conv.padding_mode == "zeros" else conv.padding_mode)
        columns = F.unfold(around, conv.kernel_size, conv.dilation, 0, conv.stride)
        number, features, positions = columns.shape
        grouped = columns.view(number, self.groups, features // self.groups, positions)
        return grouped.permute(1, 0, 3, 2).reshape(self.groups, number * positions, features // self.groups)
