"""Every error that Espalier raises on purpose: what went wrong, where, and how to mend it (`nearest`, `numbered`).

EspalierError
├── UsageError          the command line was used wrongly (exit code 2)
├── GridError           a file of the grid is invalid, or a network is not one that can be pruned and counted
│   └── Unpinned        the grid does not name a base model or the digest of its data yet
├── SubmissionError     a submission cannot be used
├── DataError           a data set is missing or damaged
├── BaseModelError      a base model is missing or damaged
├── StoreError          the results store cannot be read or written
│   └── SignatureError  published records are not signed, or not by whom they should be
├── ForgeError          the forge where changes are proposed cannot be used, or answers nonsense
│   ├── ForgeRefused    it does not grant a request
│   ├── ForgeBusy       it lets us in again only later than we may wait
│   └── ForgeSilent     no answer came that could be used
│       └── AnswerLost  of a write; whether it was done is unknown
├── Interrupted         the user stopped us (exit code 130)
├── SandboxError        no sandbox is to be had, or it could not be started
└── ContractError       a method broke the contract (raised inside the sandbox)
    └── InvalidOutcome  its outcome is malformed or misses the target
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from itertools import islice

UNDIVIDED = (
    "keep divisors, and what roots and logarithms are taken of, above zero, e.g. std().clamp(min=1e-12);"
    " where the method trains, see that training did not diverge"
)
"""The usual remedy for scores that are not finite."""


class EspalierError(Exception):
    """An error with a place and a remedy, shown to users without a traceback.

    Args:
        what: one sentence on what is wrong.
        where: the file (and line) or the cell concerned.
        fix: what the reader can do about it.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: object = None, fix: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = str(where) if where is not None else None
        self.fix = fix

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        remedy = f"\n  fix: {self.fix}" if self.fix else ""
        return f"{place}{self.what}{remedy}"


class UsageError(EspalierError):
    exit_code = 2


class Interrupted(EspalierError):
    exit_code = 130


class GridError(EspalierError):
    pass


class Unpinned(GridError):
    pass


class SubmissionError(EspalierError):
    pass


class DataError(EspalierError):
    pass


class BaseModelError(EspalierError):
    pass


class StoreError(EspalierError):
    pass


class SignatureError(StoreError):
    pass


class ForgeError(EspalierError):
    pass


class ForgeRefused(ForgeError):
    """``status`` is HTTP's, from 300 to 499."""

    def __init__(self, what: str, *, status: int, where: object = None, fix: str | None = None) -> None:
        super().__init__(what, where=where, fix=fix)
        self.status = status


class ForgeBusy(ForgeError):
    """``seconds`` from now it may be asked again."""

    def __init__(self, what: str, *, seconds: float, where: object = None, fix: str | None = None) -> None:
        super().__init__(what, where=where, fix=fix)
        self.seconds = seconds


class ForgeSilent(ForgeError):
    pass


class AnswerLost(ForgeSilent):
    pass


class SandboxError(EspalierError):
    pass


class ContractError(EspalierError):
    pass


class InvalidOutcome(ContractError):
    pass


def nearest(name: str, known: Iterable[str], otherwise: str | None = None) -> str:
    """A remedy for a name that is not known: those that are like it; where none is, ``otherwise`` or all of them."""
    names = list(known)
    if close := difflib.get_close_matches(name, names):
        return f"did you mean {' or '.join(close)}?"
    return otherwise or f"one of: {', '.join(names) or 'there are none'}"


def numbered(given: Iterable[object], number: int) -> str:
    """A remedy where values are asked for by position, and some are not there."""
    some = [repr(key)[:40] for key in islice(given, 4)]
    yours = ", ".join(some[:3]) + ", ..." * (len(some) > 3)
    return f"keys are positions, 0 to {number - 1}; yours are {yours}" if some else f"keys are positions, 0 to {number - 1}"
