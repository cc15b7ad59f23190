"""Our SGD is PyTorch's, bit for bit, and leaves PyTorch's compiler where it is."""

from __future__ import annotations

import copy
import subprocess
import sys

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evaluator.optimizer import Sgd

USE = """
import sys, torch
from evaluator.optimizer import Sgd
weight = torch.zeros(3, requires_grad=True)
optimizer = Sgd([weight], lr=0.1, momentum=0.9, nesterov=True, fused=True)
weight.grad = torch.ones(3)
optimizer.step()
optimizer.zero_grad(set_to_none=True)
assert weight.tolist() != [0, 0, 0]
print("torch._dynamo" in sys.modules)
"""


def trained(kind: type[torch.optim.SGD], model: nn.Module, **options: float | bool) -> list[Tensor]:
    """Everything that five steps change, on a copy of the model: its state, and the momenta."""
    model = copy.deepcopy(model)
    first, second = [*model.parameters()][:2], [*model.parameters()][2:]
    optimizer = kind([{"params": first}, {"params": second, "weight_decay": 0.0}], lr=0.1, **options)
    random = torch.Generator().manual_seed(5)
    for step in range(5):
        for group in optimizer.param_groups:
            group["lr"] = 0.1 / (step + 1)
        images, labels = torch.randn(8, 3, 8, 8, generator=random), torch.randint(0, 4, (8,), generator=random)
        loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    momenta = [state["momentum_buffer"] for state in optimizer.state.values() if state.get("momentum_buffer") is not None]
    return [*model.state_dict().values(), *momenta]


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize(("momentum", "nesterov"), [(0.9, True), (0.9, False), (0.0, False)])
def test_the_arithmetic_is_pytorchs(momentum: float, nesterov: bool, fused: bool) -> None:
    torch.manual_seed(1)
    model = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Linear(216, 4))
    options = {"momentum": momentum, "nesterov": nesterov, "weight_decay": 1e-3, "fused": fused}
    ours, theirs = trained(Sgd, model, **options), trained(torch.optim.SGD, model, **options)
    assert len(ours) == len(theirs) >= len(model.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_the_compiler_is_not_imported() -> None:
    done = subprocess.run([sys.executable, "-c", USE], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
