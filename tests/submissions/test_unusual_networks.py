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
        self.scale = nn.BatchNorm2d(12)

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        made = self.conv(x)
        return torch.relu(self.scale(input=self.norm(made))), [made]


class Unusual(nn.Module):
    """Padding by a word, more on one side than on the other, and by what lies within; no running statistics; layers that
    are called by name."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, (2, 3), padding="same")
        self.block = Block(padding_mode="reflect")
        self.after = nn.Conv2d(12, 8, (3, 2), dilation=2, padding="same", bias=False)
        self.classifier = nn.Linear(8, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        x, _ = self.block(x=torch.relu(self.stem(images)))
        return self.classifier(torch.relu(self.after(input=x)).mean((2, 3)))


class Tokens(nn.Module):
    """Linear layers that read the tokens of all images as so many rows; buffers of which some are masks; a sum behind which
    the activation writes over what enters it, which the shortcut takes then."""

    seen: Tensor
    hidden: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.first, self.second = nn.Linear(8, 40), nn.Linear(40, 8)
        self.relu, self.branch = nn.ReLU(inplace=True), nn.Conv2d(8, 8, 1)
        self.classifier = nn.Linear(8, CLASSES)
        self.register_buffer("seen", torch.arange(36) < 30)
        self.register_buffer("hidden", torch.where(torch.arange(36) < 30, 0.0, -torch.inf))

    def forward(self, images: Tensor) -> Tensor:
        x = self.stem(images)
        x = self.branch(self.relu(x)) + x
        tokens = x.flatten(2).transpose(1, 2)
        rows = self.second(torch.relu(self.first(tokens.flatten(0, 1))))
        tokens = (tokens + rows.view_as(tokens)).masked_fill(~self.seen[:, None], 0)
        shares = (tokens.mean(2) + self.hidden).softmax(1)
        return self.classifier((tokens * shares[:, :, None]).sum(1))


def unusual(kind: type[nn.Module] = Unusual) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        return kind().eval()


@pytest.mark.parametrize("kind", [Unusual, Tokens])
@pytest.mark.parametrize("slug", SLUGS)
def test_every_method_takes_what_networks_of_the_grid_do_not_have(slug: str, kind: type[nn.Module]) -> None:
    model = unusual(kind)
    work = job(model, wanted := goal(slug, model), needs=submission(slug).metadata.needs)
    found = method(slug).prune(work)
    if wanted.keep:
        assert sum(int(mask.sum()) for mask in found.masks.values()) == wanted.keep < total(model)
    elif wanted.speedup:
        kept = {position: int(mask.sum()) for position, mask in found.channels.items()}
        assert work.costs().speedup(kept) == pytest.approx(wanted.speedup, rel=0.05)
    else:
        assert found.masks


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


@pytest.mark.parametrize("kind", [Unusual, Tokens])
def test_shapley_values_add_up_whatever_a_module_answers_with(kind: type[nn.Module]) -> None:
    shapley, work = module("shapley"), job(unusual(kind), Goal(speedup=2))
    with torch.no_grad():
        whole = unusual(kind)(images().take(torch.arange(6))[0])
    sample = images().take(torch.arange(6))
    random = torch.Generator().manual_seed(2)
    for group in work.groups():
        orders = torch.rand(len(sample[0]), group.size, generator=random).argsort(1)
        with shapley.game(work.model, group, sample) as worth:
            everyone, nobody = worth(torch.ones(orders.shape)), worth(torch.zeros(orders.shape))
            found = shapley.mean_contributions(worth, orders)
        torch.testing.assert_close(everyone, whole.softmax(1).gather(1, sample[1].unsqueeze(1)).squeeze(1).double())
        torch.testing.assert_close(found.sum(), (everyone - nobody).mean())
        assert found.abs().min() > 0


def test_relevance_reaches_what_a_layer_pads_with() -> None:
    """As it does where a module pads and the layer does not."""

    def network(*middle: nn.Module) -> nn.Sequential:
        ends = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, CLASSES)
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), *middle, nn.ReLU(), *ends).eval()

    inside = network(nn.Conv2d(4, 6, 3, padding=1, padding_mode="reflect"))
    before = network(nn.ReflectionPad2d(1), nn.Conv2d(4, 6, 3))
    before.load_state_dict(dict(zip(before.state_dict(), inside.state_dict().values(), strict=True)))
    flows = []
    for model in (inside, before):
        copied, _ = module("lrp").instrumented(job(model, Goal(speedup=1.5)))
        convolutions = [part for part in copied if isinstance(part, nn.Conv2d)]
        flows.append(module("lrp").relevance(copied, convolutions, images().take(torch.arange(5))))
    for here, there in zip(*flows, strict=True):
        torch.testing.assert_close(here, there)
        assert here.abs().sum() > 0


def test_a_norm_that_is_called_by_name_gives_its_signs_to_the_layer_before() -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
            self.norm.weight.data[1::2] = -1

        def forward(self, images: Tensor) -> Tensor:
            return self.norm(input=self.conv(images))

    lrp, model = module("lrp"), Named().eval()
    (signs,) = lrp.signs_of_scales(model, lrp.speckle(3, 6, 6)).items()
    assert (signs[0], signs[1].tolist()) == (model.conv, [1, -1, 1, -1])
