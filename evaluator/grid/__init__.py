"""The fixed grid: which data sets, networks, recipes, targets and seeds are measured. No PyTorch here."""

from evaluator.grid.cells import Cell
from evaluator.grid.loader import Grid, load_grid
from evaluator.grid.schema import Architecture, Benchmark, Dataset, Limits, Recipe, Start, Targets, Tier

__all__ = [
    "Architecture",
    "Benchmark",
    "Cell",
    "Dataset",
    "Grid",
    "Limits",
    "Recipe",
    "Start",
    "Targets",
    "Tier",
    "load_grid",
]
