"""MLPs stacked: several as one network whose linear layers multiply all their weights at once, instead of one after another.

The evaluator has no such form: it is here to be measured against those that it has.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.loops import masks_of
from evaluator.data.images import Images
from evaluator.grid import Recipe
from evaluator.networks import Architecture
from evaluator.training import Step, Trainee, train_together


class Stack(nn.Module):
    """Networks of linear layers with ReLU between them, all on the same inputs; (N, ...) to (networks, N, classes).

    What the inputs are first multiplied by is one large matrix; from then on each network has its own.
    """

    def __init__(self, models: Sequence[nn.Module]) -> None:
        super().__init__()
        layers = list(zip(*([m for m in model.modules() if isinstance(m, nn.Linear)] for model in models), strict=True))
        self.weights = nn.ParameterList(torch.stack([layer.weight.detach() for layer in same]) for same in layers)
        self.biases = nn.ParameterList(torch.stack([layer.bias.detach()[None] for layer in same]) for same in layers)

    def forward(self, inputs: Tensor) -> Tensor:
        (first, *weights), (bias, *biases) = self.weights, self.biases
        x = F.linear(inputs.flatten(1), first.flatten(0, 1), bias.flatten()).unflatten(1, first.shape[:2]).transpose(0, 1)
        for weight, bias in zip(weights, biases, strict=True):
            x = torch.baddbmm(bias, F.relu(x), weight.mT)
        return x


class StackedTrainee(Trainee):
    """Several MLPs as one trainee; each takes the steps that it would take alone."""

    def __init__(self, models: Sequence[nn.Module], kind: Architecture, recipe: Recipe) -> None:
        stack = Stack(models)
        masks = zip(*(masks_of(model, kind).values() for model in models), strict=True)
        of_layers = zip(stack.weights, masks, strict=False)  # the classifier, which comes last, has none
        super().__init__(stack, recipe, masks={weight: torch.stack(same) for weight, same in of_layers})

    def step(self, inputs: Tensor, labels: Tensor, step: Step) -> None:  # noqa: ARG002
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=self.recipe.precision == "bfloat16"):
            logits = self.model(inputs).flatten(0, 1)
            loss = F.cross_entropy(logits, labels.repeat(len(logits) // len(labels)), reduction="sum") / len(labels)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self._zero()
        self.loss_sum += loss.detach() * len(labels)


def stacked(kind: Architecture, images: Images, recipe: Recipe, _: str, together: int) -> Callable[[], object]:
    trainee = StackedTrainee([kind.build().to(images.labels.device) for _ in range(together)], kind, recipe)
    return lambda: train_together([trainee], images, recipe, seed=0)
