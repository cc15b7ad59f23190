"""What networks of the grid do not have, and others do: every method takes it."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from evaluator.contract import ChannelGroup, Slice
from evaluator.job import Goal
from tests.submissions.specimens import CLASSES, SLUGS, goal, images, job, method, module, submission, total


class Block(nn.Module):
    """Answers with more than a tensor."""

    def __init__(self, **padding: str) -> None:
        super().__init__()
        self.conv = nn.Conv2d(8, 12, 3, **({"padding": 1} | padding))  # type: ignore[arg-type]
        self.norm = nn.BatchNorm2d(12, track_running_stats=False)

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        made = self.conv(x)
        return torch.relu(self.norm(made)), [made]


class Unusual(nn.Module):
    """Padding by a word, more on one side than on the other, and by what lies within; no running statistics."""

    def __init__(self, *, by_name: bool = False) -> None:
        super().__init__()
        self.by_name = by_name
        self.stem = nn.Conv2d(3, 8, (2, 3), padding="same")
        self.block = Block(padding_mode="reflect")
        self.after = nn.Conv2d(12, 8, (3, 2), dilation=2, padding="same", bias=False)
        self.classifier = nn.Linear(8, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        x, _ = self.block(x=torch.relu(self.stem(images)))
        return self.classifier(torch.relu(self.after(input=x) if self.by_name else self.after(x)).mean((2, 3)))


def unusual(*, by_name: bool = False) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        return Unusual(by_name=by_name).eval()


WANTING = {
    "deepinversion": "compares with running statistics that a BatchNorm need not have",
    "shapley": "keeps what modules return, and takes that for tensors",
    "thinet": "takes padding for a number",
}
"""What is known, and will be mended with the next measurement: whoever changes a method's code makes its records stale."""


@pytest.mark.parametrize(
    "slug",
    [
        pytest.param(slug, marks=[pytest.mark.xfail(reason=WANTING[slug], strict=True)] if slug in WANTING else [])
        for slug in SLUGS
    ],
)
def test_every_method_takes_what_networks_of_the_grid_do_not_have(slug: str) -> None:
    model = unusual()
    work = job(model, wanted := goal(slug, model), needs=submission(slug).metadata.needs)
    found = method(slug).prune(work)
    if wanted.keep:
        assert sum(int(mask.sum()) for mask in found.masks.values()) == wanted.keep < total(model)
    elif wanted.speedup:
        kept = {position: int(mask.sum()) for position, mask in found.channels.items()}
        assert work.costs().speedup(kept) == pytest.approx(wanted.speedup, rel=0.05)
    else:
        assert found.masks


@pytest.mark.xfail(reason=WANTING["thinet"], strict=True)
def test_thinet_sees_what_a_layer_pads_with() -> None:
    thinet, work = module("thinet"), job(unusual(), Goal(speedup=2))
    inputs, seen = images().take(torch.arange(5))[0], []

    def visit(_: ChannelGroup, piece: Slice, maps: Tensor) -> None:
        if piece.side == "in" and isinstance(piece.module, nn.Conv2d):
            reader = copy.deepcopy(piece.module)
            reader._forward_pre_hooks.clear()
            with torch.no_grad():
                made = reader(maps) - reader(torch.zeros_like(maps))
            number, outputs, *_ = made.shape
            places = torch.arange(made[0, 0].numel()).expand(number, -1)
            for output in range(outputs):
                added = thinet.contributions(piece, maps, places, torch.full_like(places, output))
                torch.testing.assert_close(added.sum(2), made[:, output].flatten(1).double(), rtol=1e-4, atol=1e-5)
            seen.append(piece.name)

    work.visit_channels(inputs, visit)
    assert seen == ["block.conv", "after"]


@pytest.mark.xfail(reason=WANTING["shapley"], strict=True)
@pytest.mark.parametrize("by_name", [False, True])
def test_shapley_values_add_up_whatever_a_module_answers_with(by_name: bool) -> None:
    shapley, work = module("shapley"), job(unusual(by_name=by_name), Goal(speedup=2))
    sample = images().take(torch.arange(6))
    random = torch.Generator().manual_seed(2)
    for group in work.groups():
        orders = torch.rand(len(sample[0]), group.size, generator=random).argsort(1)
        with shapley.game(work.model, group, sample) as worth:
            everyone, nobody = worth(torch.ones(orders.shape)), worth(torch.zeros(orders.shape))
            found = shapley.mean_contributions(worth, orders)
        with torch.no_grad():
            whole = work.model(sample[0]).softmax(1).gather(1, sample[1].unsqueeze(1)).squeeze(1).double()
        torch.testing.assert_close(everyone, whole)
        torch.testing.assert_close(found.sum(), (everyone - nobody).mean())
        assert found.abs().min() > 0
