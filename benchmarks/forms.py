"""Forms that a GPU's training and scoring can have: what each takes, and what changes.

Training networks of one shape: each on a stream of its own, fused into a wide one, or that one compiled, where BatchNorm,
activation and addition are one kernel each way. The grid says which form a network has. Scoring in float32: in either memory
format, in larger batches, compiled, or captured, so that it does not wait for its host.
"""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from benchmarks import convolutions, trials
from benchmarks.gpu import ROUNDS, head, row, side_by_side, speed, together
from benchmarks.loops import NETWORKS, made_up
from evaluator.data.images import Images
from evaluator.device import finish, set_up
from evaluator.fused import COMPILER, NOT_COMPILED, NOT_WIDE, in_form
from evaluator.grid.schema import GpuForm
from evaluator.networks import architecture
from evaluator.scoring import Measured, measure
from evaluator.training import MEMORY_FORMATS, Step, batches, stepper, stream

FORMS: tuple[GpuForm, ...] = ("streams", "fused", "compiled")
TOGETHER = {
    "resnet-20": (4, 8, 16),
    "resnet-56": (8,),
    "vgg-16-bn": (8,),
    "lenet-300-100": (8, 16),
    "lenet-5-caffe": (8, 16),
}
CONVOLUTIONS = (1, 4, 8, 16)
OTHER = {NOT_WIDE: "not used", NOT_COMPILED: "not compiled"}
"""What a network's ``form`` says where it was trained in another form than asked for, and what stands in place of a time."""
BATCH, LARGER = 250, 1000
IMAGES = 10_000


def bench() -> None:
    device = set_up("cuda")
    columns = "streams, ms", "fused, ms", "compiled, ms", "compiling, s", "fused, off", "compiled, off"
    head("networks of one shape", *columns)
    for network, numbers in TOGETHER.items():
        for number in numbers:
            trained(network, number, device)
    for network in ("resnet-20", "vgg-16-bn"):
        scored(network, device)
    trials.bench(device)
    convolutions.bench(CONVOLUTIONS, device)


def trained(network: str, number: int, device: torch.device, compiler: str = COMPILER, steps: int = 100) -> None:
    """Milliseconds of a step in each form; how far the first network gets in three from where it gets alone."""
    taken, off = [], []
    alone = _first_of(network, 1, device, "streams")
    for form in FORMS:
        started = time.perf_counter()
        trainees = together(network, number, device, form, compiler)
        ready = time.perf_counter() - started
        step = speed(network, trainees, device, steps=steps).step
        other = next((told for said, told in OTHER.items() if said in trainees[0].form), None)
        taken.append(other or f"{1000 * step:.2f}")
        off.append(f"{_distance(_first_of(network, number, device, form, compiler), alone):.1e}")
    row(f"{network}, {number}", *taken, f"{ready:.1f}", *off[1:])


def _first_of(
    network: str, number: int, device: torch.device, form: GpuForm, compiler: str = COMPILER, steps: int = 3
) -> nn.Module:
    """The first of so many networks, after a few steps side by side."""
    torch.manual_seed(0)
    trainees = side_by_side(network, number, device)
    images = made_up(128 * steps, architecture(network).shape).to(device)
    recipe, layout = trainees[0].recipe, trainees[0].memory_format
    all_of_them = in_form(form, trainees, lambda: next(batches(images, recipe, stream(0), layout)), compiler)
    advance = stepper(all_of_them)
    for count, (inputs, labels) in enumerate(batches(images, recipe, stream(0), layout)):
        for trainee in all_of_them:
            trainee.pace(0.01)
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
    plain = copy.deepcopy(model).to(memory_format=torch.contiguous_format)
    forms: dict[str, tuple[Callable[[], nn.Module], int, torch.memory_format]] = {
        f"as trained, {BATCH}": (lambda: model, BATCH, form),
        f"contiguous, {BATCH}": (lambda: plain, BATCH, torch.contiguous_format),
        f"contiguous, {LARGER}": (lambda: plain, LARGER, torch.contiguous_format),
        f"compiled, {BATCH}": (lambda: _Called(torch.compile(plain, backend=compiler)), BATCH, torch.contiguous_format),
    }
    if device.type == "cuda":
        shape = (BATCH, *kind.shape)
        captured = partial(_Replayed, plain, shape, device, torch.contiguous_format)
        forms[f"captured, {BATCH}"] = captured, BATCH, torch.contiguous_format
    head(f"{network}, {number} images", "s", "other classes")
    usual = measure(model, images, 10, BATCH, form)
    for name, (make, batch, layout) in forms.items():
        try:
            seconds, found = _timed(make(), images, batch, layout)
        except RuntimeError as error:  # compiling needs a C compiler, which not every machine has
            row(name, "none", f"  ({' '.join(str(error).split())[:100]})")
            continue
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
        logits: Tensor = self._function(inputs)
        return logits


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
