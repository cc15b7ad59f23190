from __future__ import annotations

from tests.sandbox.conftest import opened, pycache

__all__ = ["opened", "pycache"]
