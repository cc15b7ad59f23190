"""Which training of a method a GPU may replay from a captured step: what is the recipe's own, on the grid's layers."""

from __future__ import annotations

import functools

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from evaluator import method_training
from evaluator.grid.cells import TRAINING
from evaluator.method_training import Call, replayable
from evaluator.networks import architecture
from evaluator.training import Hooks
from tests.evaluator.grids import GRID
from tests.submissions.specimens import job, permission


class _Halved(nn.Module):
    def forward(self, weight: Tensor) -> Tensor:
        return weight / 2


class _Counted:
    def __call__(self, x: Tensor) -> Tensor:
        return x


class _Watched(nn.Parameter):
    pass


class _Lazy(Tensor):
    pass


HANGS_ON = {
    "module before": lambda model: model.conv1.register_forward_pre_hook(lambda *_: None),
    "module after": lambda model: model.conv1.register_forward_hook(lambda *_: None),
    "gradient before": lambda model: model.conv1.register_full_backward_pre_hook(lambda *_: None),
    "gradient after": lambda model: model.conv1.register_full_backward_hook(lambda *_: None),
    "tensor": lambda model: model.conv1.weight.register_hook(lambda gradient: None),
    "tensor's gradient": lambda model: model.conv1.weight.register_post_accumulate_grad_hook(lambda weight: None),
    "every module": lambda _: nn.modules.module.register_module_forward_hook(lambda *_: None),
    "other forward": lambda model: setattr(model.conv1, "forward", lambda x: x),
    "part of a forward": lambda model: setattr(model.conv1, "_conv_forward", functools.partial(F.conv2d, padding=1)),
    "a callable object": lambda model: setattr(model.conv1, "forward", _Counted()),
    "a parameter of another class": lambda model: setattr(model.conv1, "weight", _Watched(torch.zeros(16, 1, 3, 3))),
    "a buffer of another class": lambda model: setattr(model.bn1, "running_mean", torch.zeros(16).as_subclass(_Lazy)),
    "other weights": lambda model: parametrize.register_parametrization(model.conv1, "weight", _Halved()),
    "other module": lambda model: model.set_submodule("relu1", _Halved()),
    "chance": lambda model: model.set_submodule("relu1", nn.Dropout()),
    "a look back": lambda model: setattr(model.bn1, "momentum", None),
}


@pytest.mark.parametrize("what", HANGS_ON)
def test_what_hangs_on_to_a_step_is_run_in_every_step(what):
    """A GPU that replayed the step would leave it out."""
    model = architecture("digits-cnn").build()
    assert replayable(model, Call(1))
    handle = HANGS_ON[what](model)
    try:
        assert not replayable(model, Call(1))
    finally:
        if hasattr(handle, "remove"):
            handle.remove()
            assert replayable(model, Call(1))


@pytest.mark.parametrize(
    "call",
    [
        Call(1, weights=lambda layer, weight: weight),
        Call(1, hooks=Hooks(penalty=lambda step: torch.zeros(()))),
        Call(1, hooks=Hooks(after_backward=lambda step: None)),
        Call(1, hooks=Hooks(after_step=lambda step: None)),
        Call(1, learn=(torch.zeros(1, requires_grad=True),)),
    ],
)
def test_a_step_with_a_part_of_the_methods_own_is_not_replayed(call):
    assert not replayable(architecture("digits-cnn").build(), call)


@pytest.mark.parametrize("name", [name for name, entry in GRID.benchmarks.items() if set(entry.tracks) & set(TRAINING)])
def test_where_methods_train_the_recipes_own_step_is_replayed(name):
    with torch.device("meta"):
        model = architecture(GRID.benchmarks[name].architecture).build()
    assert replayable(model, Call(2, schedule=(1, 4)))


@pytest.mark.parametrize(("epochs", "hooks", "captured"), [
    (30, {}, "if it can be"), (30, {"after_step": lambda step: None}, "never"), (20, {}, "never"),
])  # fmt: skip
def test_long_calls_without_hooks_are_replayed(monkeypatch, epochs, hooks, captured):
    """An epoch has four steps here."""
    asked = []
    monkeypatch.setattr(method_training, "train_together", lambda *_, capture, **__: asked.append(capture) or [0.0])
    model = architecture("digits-cnn").build()
    work = job(model, 100, training=permission(model, 30))
    work.train(epochs, **hooks)
    assert asked == [captured]
