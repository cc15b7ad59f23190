"""Captured steps on a GPU: the same training as step by step, whatever stands beside a network."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from evaluator.channels import channel_groups, remove_channels
from evaluator.fused import in_form
from evaluator.graphs import Graphs, train_apart
from evaluator.grid import Recipe
from evaluator.grid.schema import GpuForm
from evaluator.networks import architecture, prunable_layers
from evaluator.training import Hooks, Step, Trainee, batches, in_turn, learning_rate, stepper, stream, train_together
from tests.evaluator.grids import made_up
from tests.submissions import specimens
from tests.submissions.specimens import permission

TOLERANCE = 1e-4
"""Of weights after two epochs, relative to the largest; kernels may sum in another order beside others."""
OF_THE_WAY = {"float32": 0.05, "bfloat16": 0.25}
"""How far a network in a wide one may end from where it ends alone, of the way there, after two epochs. Rounding grows with
every step; on a CPU it is 0.01 and 0.09 of it, and half the learning rate 0.37."""
PLAIN = Recipe(title="two epochs", lr=0.05, batch=64, epochs=2, augment="flip-crop")
IN_FLOAT32 = PLAIN.model_copy(update={"lr": 0.01})
CIFAR = IN_FLOAT32.model_copy(update={"precision": "bfloat16"})
KINDS = {
    "digits-cnn": PLAIN,
    "digits-mlp": PLAIN,
    "lenet-5-caffe": PLAIN.model_copy(update={"augment": "none"}),
    "resnet-20": CIFAR,
    "vgg-16-bn": CIFAR,
}


def pruned(name: str, seed: int, hooks: Hooks | None = None, recipe: Recipe | None = None) -> Trainee:
    """With a random mask on a GPU, by the recipe and in the layout that its benchmark has."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        kind = architecture(name)
        model = kind.build()
        layers = prunable_layers(model, kind.classifier)
        masks: dict[nn.Parameter, Tensor] = {m.weight: torch.rand_like(m.weight) < 0.3 for _, m in layers}  # type: ignore[misc]
    form = torch.contiguous_format if name.startswith("digits") else torch.channels_last
    return Trainee(model.cuda(), recipe or KINDS[name], masks=masks, memory_format=form, hooks=hooks)


def trained(name: str, trainees: list[Trainee], *, captured: bool = True) -> list[Tensor]:
    """All weights after two epochs, whose last batch is a short one."""
    recipe = KINDS[name]
    images = made_up(300, architecture(name).shape).to("cuda")
    if captured:
        train_together(trainees, images, recipe, seed=3)
    else:
        advance = in_turn(trainees)
        for epoch in range(2):
            layout = trainees[0].memory_format
            for number, (inputs, labels) in enumerate(batches(images, recipe, stream("order", 3, epoch), layout), epoch * 5):
                step = Step(number, 10, learning_rate(recipe, number, 10))
                for trainee in trainees:
                    trainee.model.train()
                    trainee.pace(step.lr)
                advance(inputs, labels, step)
    return [weights(trainee) for trainee in trainees]


def weights(trainee: Trainee) -> Tensor:
    state = trainee.model.state_dict().values()
    return torch.cat([tensor.detach().flatten() for tensor in state if tensor.is_floating_point()])


def assert_close(one: Tensor, other: Tensor) -> None:
    apart = float((one - other).abs().max() / other.abs().max())
    print(f"apart by {apart:g} of the largest weight")
    assert apart <= TOLERANCE


@pytest.mark.parametrize("name", KINDS)
def test_a_captured_step_is_the_same_step(name: str) -> None:
    (captured,), (plain,) = trained(name, [pruned(name, 0)]), trained(name, [pruned(name, 0)], captured=False)
    assert float((captured - weights(pruned(name, 0))).abs().max()) > 0
    assert_close(captured, plain)


@pytest.mark.parametrize("name", ["digits-cnn", "resnet-20"])
def test_a_network_among_others_is_trained_as_alone(name: str) -> None:
    together = trained(name, [pruned(name, seed) for seed in range(8)])
    for seed in (0, 7):
        (alone,) = trained(name, [pruned(name, seed)])
        assert_close(together[seed], alone)


def trained_wide(name: str, form: GpuForm, recipe: Recipe, spoilt: int | None = None) -> list[tuple[Tensor, Tensor]]:
    """Of six networks side by side where all weights were and where they are; one of them may begin with NaN."""
    trainees = [pruned(name, seed, recipe=recipe) for seed in range(6)]
    if spoilt is not None:
        with torch.no_grad():
            next(trainees[spoilt].model.parameters()).fill_(math.nan)
    before = [weights(trainee) for trainee in trainees]
    images = made_up(300, architecture(name).shape).to("cuda")
    layout = trainees[0].memory_format
    together = in_form(form, trainees, lambda: next(batches(images, recipe, stream("order", 3, 0), layout)))
    train_together(together, images, recipe, seed=3)
    assert all("in a wide one" in trainee.form for trainee in trainees), trainees[0].form
    assert all(("compiled by" in trainee.form) == (form == "compiled") for trainee in trainees), trainees[0].form
    return [(start, weights(trainee)) for start, trainee in zip(before, trainees, strict=True)]


WIDE: list[tuple[str, GpuForm, Recipe]] = [
    ("digits-cnn", "fused", PLAIN),
    *(("resnet-20", form, recipe) for form in ("fused", "compiled") for recipe in (CIFAR, IN_FLOAT32)),  # type: ignore[misc]
]


@pytest.mark.parametrize(("name", "form", "recipe"), WIDE)
def test_a_network_in_a_wide_one_is_trained_as_alone_and_twice_alike(name: str, form: GpuForm, recipe: Recipe) -> None:
    one, other = (trained_wide(name, form, recipe) for _ in range(2))
    for seed in (0, 5):
        (start, end), (_, again) = one[seed], other[seed]
        assert torch.equal(end, again)
        trainee = pruned(name, seed, recipe=recipe)
        train_together([trainee], made_up(300, architecture(name).shape).to("cuda"), recipe, seed=3)
        alone = weights(trainee)
        apart = float((end - alone).norm() / (alone - start).norm())
        print(f"apart by {apart:g} of the way")
        assert apart <= OF_THE_WAY[recipe.precision]


@pytest.mark.parametrize(("name", "form", "recipe"), WIDE)
def test_what_goes_wrong_in_one_network_of_a_wide_one_does_not_reach_another(
    name: str, form: GpuForm, recipe: Recipe
) -> None:
    well, spoilt = trained_wide(name, form, recipe), trained_wide(name, form, recipe, spoilt=2)
    for seed in (0, 1, 3, 4, 5):
        assert torch.equal(well[seed][1], spoilt[seed][1])
    assert bool(spoilt[2][1].isnan().any())


@pytest.mark.parametrize("name", KINDS)
def test_the_same_training_twice_gives_the_same_bits(name: str) -> None:
    (one,), (other,) = trained(name, [pruned(name, 5)]), trained(name, [pruned(name, 5)])
    assert torch.equal(one, other)


def test_a_network_of_odd_widths_is_trained() -> None:
    kind = architecture("resnet-20")
    groups = channel_groups(kind.build(), kind.classifier, kind.shape)
    small = remove_channels(kind.build(), groups, {g.position: torch.arange(g.size) % 3 > 0 for g in groups}).cuda()
    trainee = Trainee(small, CIFAR, memory_format=torch.channels_last)
    before = weights(trainee)
    (after,) = trained("resnet-20", [trainee])
    assert bool(torch.isfinite(after).all())
    assert not torch.equal(before, after)


@pytest.mark.parametrize("name", ["digits-cnn", "resnet-20"])
def test_networks_of_several_seeds_are_trained_as_each_alone(name: str) -> None:
    """Base models, on batches of their own; once more is the same bits."""
    images = made_up(300, architecture(name).shape).to("cuda")

    def apart() -> dict[int, Tensor]:
        trainees = {seed: pruned(name, seed) for seed in (3, 4, 5)}
        train_apart(trainees, images, KINDS[name])
        return {seed: weights(trainee) for seed, trainee in trainees.items()}

    one, other = apart(), apart()
    for seed in one:
        assert torch.equal(one[seed], other[seed])
        trainee = pruned(name, seed)
        train_together([trainee], images, KINDS[name], seed=seed)
        assert_close(one[seed], weights(trainee))


def test_what_is_masked_stays_zero() -> None:
    trainee = pruned("digits-cnn", 1)
    masks = {name: p == 0 for name, p in trainee.model.named_parameters() if p.dim() == 4}
    trained("digits-cnn", [trainee])
    assert all(bool((p[masks[name]] == 0).all()) for name, p in trainee.model.named_parameters() if name in masks)


def test_batches_are_counted_as_often_as_they_come() -> None:
    """The steps of the warm-up before a capture never happened."""
    trainee = pruned("digits-cnn", 1)
    trained("digits-cnn", [trainee])
    assert int(trainee.model.get_buffer("bn1.num_batches_tracked")) == 10


def test_on_a_gpu_steps_are_captured() -> None:
    assert stepper([pruned("digits-mlp", 0)]).__qualname__ == "Graphs.step"


def trained_by_a_method(name: str, *, held: bool = False, **hooks: Any) -> Tensor:
    """All weights after two calls, masked from the second on; with an autograd graph that is kept meanwhile."""
    model = pruned(name, 0).model
    images = made_up(300, architecture(name).shape).to("cuda")
    training = permission(model, 6, continuous=True, data=images, lr=0.01, batch=8)
    job = specimens.job(model, 1000, training=training, data=images, device=images.labels.device)
    masks = dict(job.keep_highest({i: w.abs() for i, w in job.weights()}).masks)
    kept = job.loss(next(job.train_batches(1, 8))) if held else None
    job.train(3, **hooks)
    job.masks = masks
    job.train(3, **hooks)
    assert kept is None or kept.requires_grad
    return torch.cat([value.detach().flatten() for value in job.model.state_dict().values()])


@pytest.mark.parametrize("name", ["digits-cnn", "resnet-20"])
def test_what_a_method_trains_by_the_recipe_alone_is_replayed_and_the_same(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with a hook that does nothing, for which each step is taken by itself."""
    captures, capture = [], Graphs._capture

    def counted(*step: Any) -> Any:
        captures.append(capture(*step))
        return captures[-1]

    monkeypatch.setattr(Graphs, "_capture", counted)
    replayed, single = trained_by_a_method(name), trained_by_a_method(name, after_backward=lambda step: None)
    assert len(captures) == 4, "two calls, each with whole batches and a last one"
    assert_close(replayed, single)


def test_a_method_may_keep_a_graph_of_its_own_while_it_trains(caplog: pytest.LogCaptureFixture) -> None:
    """Whether a step can be captured then, or is taken by itself."""
    assert_close(trained_by_a_method("digits-cnn", held=True), trained_by_a_method("digits-cnn"))
    print(caplog.text or "captured all the same")


def test_what_cannot_be_captured_is_trained_step_by_step_where_nobody_insists(caplog: pytest.LogCaptureFixture) -> None:
    def looks_back(trainee: Trainee) -> Trainee:
        model = trainee.model

        def forward(inputs: Tensor) -> Tensor:
            logits: Tensor = model(inputs)
            return logits * float(logits.sum() < 1e9)

        trainee._forward = forward
        return trainee

    name, images = "digits-mlp", made_up(300, architecture("digits-mlp").shape).to("cuda")
    one, other = looks_back(pruned(name, 0)), pruned(name, 0)
    train_together([one], images, PLAIN, seed=3, capture="if it can be")
    assert "steps are taken one by one" in caplog.text
    train_together([other], images, PLAIN, seed=3, capture="never")
    assert_close(weights(one), weights(other))
    with pytest.raises(RuntimeError):
        train_together([looks_back(pruned(name, 0))], images, PLAIN, seed=3)
    torch.cuda.synchronize()


def test_when_memory_runs_out_during_a_capture_it_says_so_and_the_next_one_works() -> None:
    trainees = [pruned("digits-mlp", seed) for seed in range(3)]
    forward = trainees[1].model

    def greedy(inputs: Tensor) -> Tensor:
        if torch.cuda.is_current_stream_capturing():
            torch.empty(1 << 45, device="cuda")
        logits: Tensor = forward(inputs)
        return logits

    trainees[1]._forward = greedy
    with pytest.raises(torch.OutOfMemoryError):
        trained("digits-mlp", trainees)
    (after,), (plain,) = (trained("digits-mlp", [pruned("digits-mlp", 0)], captured=how) for how in (True, False))
    assert_close(after, plain)
