"""The evaluator: reruns contributed pruning methods on a fixed grid and records what they achieve.

Reading order: ``contract`` (what a contributor writes), ``grid`` (what is measured), ``evaluation`` (one cell from
top to bottom), ``records`` (what is kept).  Importing this package does not import PyTorch.
"""

__version__ = "0.1.0"
