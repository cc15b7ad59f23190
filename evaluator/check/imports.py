"""What a method may import, and which parts of PyTorch and NumPy it has no use for."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from evaluator.check.problems import Problem, error, quoted, warning

LIBRARIES = ("torch", "numpy", "scipy")
STANDARD = (
    "__future__", "abc", "bisect", "cmath", "collections", "contextlib", "copy", "dataclasses", "enum", "fractions",
    "functools", "heapq", "itertools", "math", "numbers", "operator", "random", "statistics", "string", "typing",
)  # fmt: skip
OURS = ("evaluator.contract", "evaluator.selection")
ALLOWED = (*LIBRARIES, *STANDARD)
REFUSED = (
    "numpy.ctypeslib", "numpy.f2py", "numpy.fromfile", "numpy.load", "numpy.memmap", "numpy.save", "numpy.savez",
    "numpy.savetxt", "numpy.loadtxt", "numpy.genfromtxt", "operator.attrgetter", "operator.methodcaller", "scipy.io",
    "scipy.datasets", "torch.classes", "torch.distributed", "torch.from_file", "torch.hub", "torch.load",
    "torch.multiprocessing", "torch.ops", "torch.package", "torch.save", "torch.utils.cpp_extension", "torch.utils.data",
    "torch.utils.tensorboard",
)  # fmt: skip
"""Files, processes, native code, networks, attributes by their names."""
SYSTEM = ("builtins", "ctypes", "gc", "importlib", "inspect", "os", "subprocess", "sys")
"""Modules that libraries import for themselves, such as ``torch.sys``: no more for a method than if it imported them."""
OTHER_RANDOMNESS = (
    "numpy.random", "random", "torch.Generator", "torch.cuda.manual_seed", "torch.manual_seed", "torch.nn.init",
    "torch.random", "torch.rand_like", "torch.randint_like", "torch.randn_like", "torch.seed",
)  # fmt: skip
"""Sources that no generator of ours reaches."""
LIKE = {
    f"torch.{name}_like": f"it draws where w is: torch.{name}({high}w.shape, generator=job.generator).to(w)"
    for name, high in (("rand", ""), ("randn", ""), ("randint", "high, "))
}
"""Remedies for what draws on the device of its argument, where job.generator is not."""
DRAWS = ("rand", "randn", "randint", "randperm", "bernoulli", "multinomial", "normal", "poisson")
DRAWS_IN_PLACE = ("bernoulli_", "cauchy_", "exponential_", "geometric_", "log_normal_", "normal_", "random_", "uniform_")
"""Functions of torch and methods of tensors that take a generator."""


def check_imports(path: Path, nodes: list[ast.AST]) -> Iterator[Problem]:
    """Problems with what is imported and with what is used of it."""
    names: dict[str, str] = {}
    for node in nodes:
        for module, bound in _imported(node):
            names |= bound
            yield from _import(path, node, module)
    yield from _uses(path, nodes, names)


def _imported(node: ast.AST) -> Iterator[tuple[str, dict[str, str]]]:
    """(module as written, local name -> full name) for an import statement."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            local = alias.asname or alias.name.partition(".")[0]
            yield alias.name, {local: alias.name if alias.asname else local}
    elif isinstance(node, ast.ImportFrom):
        module = "." * node.level + (node.module or "")
        yield module, {alias.asname or alias.name: f"{module}.{alias.name}" for alias in node.names}


def _import(path: Path, node: ast.AST, module: str) -> Iterator[Problem]:
    line = getattr(node, "lineno", 1)
    if module.startswith("."):
        fix = "put everything into method.py"
        yield error(path, line, "import", "a submission has one module, it cannot import its neighbours", fix)
    elif module.partition(".")[0] == "evaluator":
        if module not in OURS:
            fix = f"import from {' or '.join(OURS)}; if something is missing there, open an issue"
            yield error(path, line, "import", f"{quoted(module)} is no part of the contract", fix)
    elif module.partition(".")[0] not in ALLOWED:
        fix = f"allowed are {', '.join((*OURS, *LIBRARIES))} and, of the standard library, {', '.join(STANDARD)}"
        yield error(path, line, "import", f"{quoted(module)} cannot be imported by a method", fix)
    for name in (alias.name for alias in node.names if alias.name in SYSTEM) if isinstance(node, ast.ImportFrom) else ():
        yield error(path, line, "import", f"{quoted(name)} cannot be imported by a method", "write it without")
    if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names):
        yield error(path, line, "import-star", "a star import hides what is used", "name what you import")


def _uses(path: Path, nodes: list[ast.AST], names: dict[str, str]) -> Iterator[Problem]:
    reported: set[tuple[int, str]] = set()
    for node in nodes:
        for full in _full_names(node, names):
            refused = _refused(full) if isinstance(node, ast.Attribute) or not full.startswith("evaluator.") else None
            line = getattr(node, "lineno", 1)
            if refused and (line, refused) not in reported:
                reported.add((line, refused))
                fix = "data come from the job and results go back to it; files, processes and networks are out of reach"
                yield error(path, line, "refused-use", f"{refused} has no place in a method", fix)
        if isinstance(node, ast.Call):
            yield from _randomness(path, node, names)


def _refused(full: str) -> str | None:
    """The beginning of a full name that must not be used, if any."""
    first, *rest = full.split(".")
    for number in range(1, len(rest) + 1):
        name = ".".join([first, *rest[:number]])
        if name in REFUSED or (first == "evaluator" and number == 1 and name not in OURS):
            return name
    return None


def _full_names(node: ast.AST, names: dict[str, str]) -> Iterator[str]:
    if isinstance(node, ast.Attribute):
        full = _dotted(node, names)
        if full:
            yield full
    elif isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and not node.level:
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _dotted(node: ast.expr, names: dict[str, str]) -> str | None:
    """``np.random.rand`` -> ``numpy.random.rand``; None for what does not start at an imported name."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name) or node.id not in names:
        return None
    return ".".join([names[node.id], *reversed(parts)])


def _randomness(path: Path, node: ast.Call, names: dict[str, str]) -> Iterator[Problem]:
    full = _dotted(node.func, names) or ""
    called = node.func.attr if isinstance(node.func, ast.Attribute) else full.rpartition(".")[2]
    seeded = "generator" in {word.arg for word in node.keywords}
    draws = called in DRAWS_IN_PLACE or (full.startswith("torch.") and called in DRAWS)
    if (draws and not seeded) or any(full == source or full.startswith(f"{source}.") for source in OTHER_RANDOMNESS):
        fix = LIKE.get(full, "draw with generator=job.generator, which is on the CPU, so that the cell's seed decides")
        yield warning(path, node.lineno, "own-randomness", f"{quoted(full or called)} does not draw from job.generator", fix)
    elif seeded and _elsewhere(node):
        fix = "leave device= out, draw there, and move what was drawn: .to(job.device)"
        message = "a generator and a device: job.generator is on the CPU, so this fails on a GPU"
        yield warning(path, node.lineno, "generator-device", message, fix)


def _elsewhere(node: ast.Call) -> bool:
    """Whether a call names a device other than the CPU."""
    devices = [word.value for word in node.keywords if word.arg == "device"]
    return any(not (isinstance(device, ast.Constant) and device.value in ("cpu", None)) for device in devices)
