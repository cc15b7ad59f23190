"""The house itself: imports run one way, modules stay small, and the quick parts do not load PyTorch."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.miniature import ROOT

PACKAGES = {"evaluator": ROOT / "evaluator", "leaderboard": ROOT / "site" / "leaderboard"}
MODULES = {
    ".".join((package, *path.relative_to(folder).with_suffix("").parts)).removesuffix(".__init__"): path
    for package, folder in PACKAGES.items()
    for path in folder.rglob("*.py")
}

LOW = (
    *("evaluator.errors", "evaluator.canonical", "evaluator.held", "evaluator.repository"),
    *("evaluator.grid", "evaluator.records"),
)
SITE_MAY_IMPORT = (*LOW, "evaluator.metadata", "evaluator.expectation", "evaluator.terminal", "leaderboard")


SITE_ALONE = {"altair", "markdown_it", "pandas", "pyarrow", "pygments", "vl_convert"}
"""Libraries that no machine needs which only measures."""


def imports(path: Path, *, top_level: bool = True) -> set[str]:
    """Modules of ours that a file imports; at its top level, or anywhere."""
    return {name for name in imported(path, top_level=top_level) if name in MODULES}


def imported(path: Path, *, top_level: bool) -> set[str]:
    """Whatever a file imports, modules and what is taken from them."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = tree.body if top_level else list(ast.walk(tree))
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def within(name: str, allowed: tuple[str, ...]) -> bool:
    return any(name == prefix or name.startswith(prefix + ".") for prefix in allowed)


def test_there_is_no_import_cycle() -> None:
    graph = {}
    for name, path in MODULES.items():
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        graph[name] = {other for other in imports(path) if other not in (name, package)}
    list(TopologicalSorter(graph).static_order())


@pytest.mark.parametrize("name", [name for name in MODULES if within(name, ("evaluator.grid", "evaluator.records"))])
def test_grid_and_records_know_nothing_above_them(name: str) -> None:
    assert [other for other in imports(MODULES[name], top_level=False) if not within(other, LOW)] == []


@pytest.mark.parametrize("name", [name for name in MODULES if within(name, ("leaderboard",))])
def test_the_site_imports_the_schema_and_the_grid_only(name: str) -> None:
    assert [
        other for other in imports(MODULES[name], top_level=False) if not within(other, (*SITE_MAY_IMPORT, "evaluator"))
    ] == []
    assert [o for o in imports(MODULES[name], top_level=False) if o != "evaluator" and not within(o, SITE_MAY_IMPORT)] == []


def test_only_the_command_line_imports_the_site() -> None:
    users = {
        name for name, path in MODULES.items() if any(within(o, ("leaderboard",)) for o in imports(path, top_level=False))
    }
    assert {name for name in users if not within(name, ("leaderboard",))} <= {
        "evaluator.commands.audit",
        "evaluator.commands.site",
        "evaluator.commands.verify",
    }


@pytest.mark.parametrize("name", [name for name in MODULES if within(name, ("evaluator",))])
def test_the_evaluator_needs_no_library_of_the_site(name: str) -> None:
    assert {library.partition(".")[0] for library in imported(MODULES[name], top_level=False)} & SITE_ALONE == set()


@pytest.mark.parametrize(
    "path", [*MODULES.values(), *(ROOT / "tests").rglob("*.py")], ids=lambda path: str(path.relative_to(ROOT))
)
def test_modules_stay_small(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


@pytest.mark.parametrize(
    "module",
    [
        "evaluator.records",
        "evaluator.plan",
        "evaluator.check",
        "evaluator.forges",
        "evaluator.__main__",
        "leaderboard.build",
    ],
)
def test_the_quick_parts_do_not_load_pytorch(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-P", "-c", code], check=True, cwd=ROOT)
