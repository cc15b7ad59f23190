"""Forms that a GPU's training and scoring could have beside the evaluator's: what each would save, and what change.

A compiled step: of BatchNorm, activation and addition the compiler makes one kernel each way, where a step as it is reads
and writes the maps for each. Scoring in float32: in larger batches, or captured, so that it does not wait for its host.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from benchmarks import convolutions
from benchmarks.gpu import ROUNDS, head, row, side_by_side, speed
from benchmarks.loops import NETWORKS, made_up
from evaluator.data.images import Images
from evaluator.device import finish, set_up
from evaluator.networks import architecture
from evaluator.scoring import Measured, measure
from evaluator.training import MEMORY_FORMATS, Step, batches, stepper, stream

COMPILER = "inductor"
NUMBERS = (1, 4, 8, 16)
BATCH, LARGER = 250, (1000, 2500)
IMAGES = 10_000


def bench() -> None:
    device = set_up("cuda")
    torch.use_deterministic_algorithms(True)  # compiled kernels must not be chosen by the clock either
    _where_possible(lambda: compiled("resnet-20", NUMBERS, device))
    for network in ("resnet-20", "vgg-16-bn"):
        _where_possible(partial(scored, network, device))
    convolutions.bench(NUMBERS, device)


def _where_possible(table: Callable[[], None]) -> None:
    """Compiling needs a C compiler, which not every machine has."""
    try:
        table()
    except RuntimeError as error:
        said, *_ = str(error).strip().split("\n")
        print(f"not measured further: {said}", flush=True)


def compiled(network: str, numbers: Sequence[int], device: torch.device, compiler: str = COMPILER, steps: int = 100) -> None:
    """Networks side by side in captured steps, and how far a compiled one is from where it gets alone."""
    head(f"{network}, compiled", "ms a step", "as it is, ms", "ratio", "first, s", "alone, off by")
    for number in numbers:
        found = speed(network, side_by_side(network, number, device, compiler=compiler), device, steps=steps)
        usual = speed(network, side_by_side(network, number, device), device, steps=steps)
        off = _distance(*(_trained(network, many, device, compiler) for many in (number, 1)))
        row(
            f"{network}, {number}",
            *(f"{1000 * found.step:.2f}", f"{1000 * usual.step:.2f}", f"{usual.step / found.step:.2f}x"),
            *(f"{found.first:.1f}", f"{off:.1e}"),
        )


def _trained(network: str, number: int, device: torch.device, compiler: str, steps: int = 3) -> nn.Module:
    """The first of so many networks, after a few steps side by side."""
    torch.manual_seed(0)
    trainees = side_by_side(network, number, device, compiler=compiler)
    images = made_up(128 * steps, architecture(network).shape).to(device)
    advance = stepper(trainees)
    pairs = batches(images, trainees[0].recipe, stream(0), trainees[0].memory_format)
    for count, (inputs, labels) in enumerate(pairs):
        advance(inputs, labels, Step(count, steps, 0.01))
    finish(device)
    return trainees[0].model


def _distance(one: nn.Module, other: nn.Module) -> float:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return max(float((a.double() - b.double()).abs().max()) for a, b in pairs)


def scored(network: str, device: torch.device, number: int = IMAGES, compiler: str = COMPILER) -> None:
    """Seconds for the whole test set, and the predictions that are other ones than in the evaluator's form."""
    kind, form = architecture(network), MEMORY_FORMATS[NETWORKS[network][0]]
    torch.manual_seed(0)
    model = kind.build().to(device).to(memory_format=form).eval()
    images = made_up(number, kind.shape).to(device)
    forms: dict[str, tuple[Callable[[], nn.Module], int]] = {
        f"batches of {BATCH}": (lambda: model, BATCH),
        **{f"batches of {batch}": (lambda: model, batch) for batch in LARGER},
        f"of {BATCH}, compiled": (lambda: _Called(torch.compile(model, backend=compiler)), BATCH),
    }
    if device.type == "cuda":
        shape = (BATCH, *kind.shape)
        forms[f"of {BATCH}, captured"] = lambda: _Replayed(model, shape, device, form), BATCH
    head(f"{network}, {number} images", "s", "other classes")
    usual = measure(model, images, 10, BATCH, form)
    for name, (make, batch) in forms.items():
        seconds, found = _timed(make(), images, batch, form)
        others = sum(a != b for a, b in zip(found.predictions, usual.predictions, strict=True))
        row(name, f"{seconds:.4f}", str(others))


def _timed(model: nn.Module, images: Images, batch: int, form: torch.memory_format) -> tuple[float, Measured]:
    """The first time is not counted: there kernels are compiled and chosen."""
    found, taken = measure(model, images, 10, batch, form), []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        found = measure(model, images, 10, batch, form)
        taken.append(time.perf_counter() - started)
    return statistics.median(taken), found


class _Called(nn.Module):
    """A function in a network's place."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self._function = function

    def forward(self, inputs: Tensor) -> Tensor:
        return self._function(inputs)


class _Replayed(nn.Module):
    """A network's logits for one size of batch, from a captured graph."""

    def __init__(self, model: nn.Module, shape: tuple[int, ...], device: torch.device, form: torch.memory_format) -> None:
        super().__init__()
        self._inputs = torch.zeros(shape, device=device).to(memory_format=form)
        with torch.no_grad():
            self._replay, self._logits = convolutions.captured(lambda: model(self._inputs))

    def forward(self, inputs: Tensor) -> Tensor:
        self._inputs.copy_(inputs)
        self._replay()
        return self._logits.clone()
