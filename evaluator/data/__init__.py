"""Data sets as arrays of uint8: decoded once, split once, checked by digest."""

from evaluator.data.prepare import Prepared, prepare

__all__ = ["Prepared", "prepare"]
