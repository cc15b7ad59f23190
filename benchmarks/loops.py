"""Ways to retrain pruned networks, as processes: the evaluator's on a CPU, fused, and the loop that most people write.

`python -m benchmarks.loops FORM NETWORK IMAGES THREADS [CELLS [TOGETHER [PRECISION]]]`, in the form `ours`, `fused` or
`plain`, trains CELLS networks for an epoch, TOGETHER at a time, and prints images per second over all of them. The plain
loop is that of ShrinkBench: a DataLoader of up to 8 workers over PIL images with torchvision's transforms, masks multiplied
in every forward pass, and three values read back each step. Network, recipe, data and masks are the same.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evaluator.data.images import Images
from evaluator.device import finish, set_up
from evaluator.fused import fuse
from evaluator.grid import Recipe
from evaluator.networks import Architecture, architecture, prunable_layers
from evaluator.training import MEMORY_FORMATS, Trainee, train_together

NETWORKS = {
    "lenet-300-100": ("contiguous", "none"),
    "lenet-5-caffe": ("channels_last", "none"),
    "resnet-20": ("channels_last", "flip-crop"),
    "resnet-56": ("channels_last", "flip-crop"),
    "vgg-16-bn": ("channels_last", "flip-crop"),
}
"""Network -> memory format in the grid, augmentation of its recipe."""
TOGETHER = 8
"""Networks side by side in one process, where a form needs several."""


def recipe_of(network: str, precision: str) -> Recipe:
    augment = NETWORKS[network][1]
    return Recipe(title="one epoch", lr=0.01, epochs=1, augment=augment, precision=precision)  # type: ignore[arg-type]


def made_up(number: int, shape: tuple[int, int, int]) -> Images:
    """Random images: speed does not depend on what they show."""
    random = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (number, *shape), generator=random, dtype=torch.uint8)
    labels = torch.randint(0, 10, (number,), generator=random)
    channels = (1, shape[0], 1, 1)
    return Images(pixels, labels, torch.full(channels, 1 / 64), torch.full(channels, -2.0))


def masks_of(model: nn.Module, kind: Architecture, density: float = 0.25) -> dict[nn.Parameter, Tensor]:
    random = torch.Generator().manual_seed(0)
    weights = [cast(nn.Parameter, module.weight) for _, module in prunable_layers(model, kind.classifier)]
    return {weight: (torch.rand(weight.shape, generator=random) < density).to(weight.device) for weight in weights}


def ours(kind: Architecture, images: Images, recipe: Recipe, memory_format: str, together: int) -> Callable[[], object]:
    trainees = _trainees(kind, images, recipe, memory_format, together)
    return lambda: train_together(trainees, images, recipe, seed=0)


def fused(kind: Architecture, images: Images, recipe: Recipe, memory_format: str, together: int) -> Callable[[], object]:
    trainees = fuse(_trainees(kind, images, recipe, memory_format, together))
    return lambda: train_together(trainees, images, recipe, seed=0)


def _trainees(kind: Architecture, images: Images, recipe: Recipe, memory_format: str, together: int) -> list[Trainee]:
    form = MEMORY_FORMATS[memory_format]
    models = [kind.build().to(images.labels.device) for _ in range(together)]
    return [Trainee(model, recipe, masks=masks_of(model, kind), memory_format=form) for model in models]


class Masked(nn.Module):
    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", mask.float())

    def forward(self, weight: Tensor) -> Tensor:
        return weight * self.mask


def plain(kind: Architecture, images: Images, recipe: Recipe, _: str, __: int) -> Callable[[], object]:
    from PIL import Image
    from torch.utils.data import DataLoader, Dataset
    from torchvision import transforms

    size, channels = images.pixels.shape[2], images.pixels.shape[1]
    augment = [transforms.RandomCrop(size, padding=4), transforms.RandomHorizontalFlip()]
    steps = augment if recipe.augment == "flip-crop" else []
    transform = transforms.Compose(
        [*steps, transforms.ToTensor(), transforms.Normalize([0.5] * channels, [0.25] * channels)]
    )
    device = images.labels.device
    arrays, targets = images.pixels.permute(0, 2, 3, 1).squeeze(-1).cpu().numpy(), images.labels.tolist()

    class Pictures(Dataset):  # type: ignore[type-arg]
        def __len__(self) -> int:
            return len(images)

        def __getitem__(self, index: int) -> tuple[Tensor, int]:
            return transform(Image.fromarray(arrays[index])), targets[index]

    model = kind.build().to(device)
    for weight, mask in masks_of(model, kind).items():
        module = next(m for m in model.modules() if getattr(m, "weight", None) is weight)
        nn.utils.parametrize.register_parametrization(module, "weight", Masked(mask))
    optimizer = torch.optim.SGD(model.parameters(), lr=recipe.lr, momentum=0.9, nesterov=True, weight_decay=5e-4)
    loader = DataLoader(Pictures(), recipe.batch, shuffle=True, num_workers=min(8, os.cpu_count() or 1))

    def epoch() -> None:
        model.train()
        total = top1 = top5 = 0.0
        for batch in loader:
            inputs, labels = (part.to(device) for part in batch)
            logits = model(inputs)
            loss = F.cross_entropy(logits, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            best = logits.topk(5, dim=1).indices == labels[:, None]
            total += loss.item()
            top1 += best[:, :1].sum().item()
            top5 += best.sum().item()

    return epoch


def images_per_second(form: str, network: str, processes: int, threads: int, *more: object, images: int) -> float:
    """Of so many processes at a time, in all."""
    command = [sys.executable, "-m", "benchmarks.loops", form, network, str(images), str(threads), *map(str, more)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(processes)]
    return sum(float(process.communicate()[0]) for process in running)


def main() -> None:
    form, network, number, threads, *rest = sys.argv[1:]
    cells, together = (int(value) for value in [*rest[:2], *["1", "1"][len(rest) :]])
    precision = rest[2] if len(rest) > 2 else "float32"
    device = set_up() if form == "ours" else torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.set_num_threads(int(threads))
    kind = architecture(network)
    memory_format, recipe = NETWORKS[network][0], recipe_of(network, precision)
    build = {"ours": ours, "fused": fused, "plain": plain}[form]
    build(kind, made_up(512, kind.shape).to(device), recipe, memory_format, together)()  # warm up
    images = made_up(int(number), kind.shape).to(device)
    epochs = [build(kind, images, recipe, memory_format, min(together, cells - done)) for done in range(0, cells, together)]
    started = time.perf_counter()
    for epoch in epochs:
        epoch()
    finish(device)
    sys.stdout.write(f"{cells * int(number) / (time.perf_counter() - started)}\n")


if __name__ == "__main__":
    main()
