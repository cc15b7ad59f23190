"""Whether a site can be derived from the records: built again from them elsewhere, it has to be the same, byte for byte.

That holds for every number at once: those in the downloads, in the tables of the pages, and behind and in the charts. Only
the snapshots of earlier days are taken as they are: they hold the records of their day.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

from evaluator.repository import Repository
from leaderboard.address import Places
from leaderboard.build import MARKER, build
from leaderboard.errors import SiteError
from leaderboard.exports import LOCAL_PREFIX
from leaderboard.verify import same

BEAT = "static/heartbeat.js"
"""Ends with the time at which a runner was last seen."""
MARK_OF_BRANCH = ".nojekyll"
"""Empty; tells a forge that shows a branch to show it as it is."""
_SHOWN = 20
"""Characters of what is there, and of what should be."""
_SECONDS = re.compile(rb"\d{1,12}(?=\);\s*\Z)")


class Difference(NamedTuple):
    """A file of the site that is not as the records have it, and how."""

    file: str
    what: str


class Comparison(NamedTuple):
    """All differences, in the order of the files, what they probably come from, and the addresses that the site gives."""

    differences: list[Difference]
    hint: str | None
    places: Places


def compare(
    repository: Repository, site: Path, *, local: bool = False, say: Callable[[str], None] = lambda _: None
) -> Comparison:
    """Build the site of ``repository`` again, charts included, and compare.

    Args:
        site: the folder of a built site; its addresses are taken from it.
        local: whether it also shows what was measured on this machine.

    Raises:
        SiteError: ``site`` is no site, or none can be built of these records.
    """
    if not (site / MARKER).is_file():
        raise SiteError(f"there is no site here (no {MARKER})", where=site, fix="espalier site build")
    with tempfile.TemporaryDirectory(prefix="espalier-") as scratch:
        again = Path(scratch) / "site"
        places = Places(*(str(_facts(site / MARKER).get(name) or "") for name in Places._fields))
        build(repository, again, local=local, places=places, snapshots=site / "data", kept=Path(scratch) / "kept", say=say)
        names = [name for name in same(site, again) if not _of_publishing(name, site, again)]
        differences = [Difference(name, _difference(site / name, again / name)) for name in names]
        return Comparison(differences, _hint(differences, site, again) if differences else None, places)


def _of_publishing(name: str, site: Path, again: Path) -> bool:
    """Whether a difference is what a runner writes into a site that it has published, and shows no figure."""
    if name == BEAT:
        beats = [path.read_bytes() if (path := folder / name).is_file() else b"" for folder in (site, again)]
        return len({_SECONDS.sub(b"", beat) for beat in beats}) == 1
    return name == MARK_OF_BRANCH and not (site / name).read_bytes()


def _difference(found: Path, expected: Path) -> str:
    if not expected.is_file():
        return "is not made from these records"
    if not found.is_file():
        return "is missing"
    try:
        pair = [path.read_text(encoding="utf-8").splitlines() for path in (found, expected)]
    except UnicodeDecodeError:
        return "differs"
    first = next(((line, a, b) for line, (a, b) in enumerate(zip_longest(*pair), 1) if a != b), None)
    if first is None:
        return "differs in how its lines end"
    line, there, made = first
    return f"differs from line {line} on" + (_words(there, made) if there and made else "")


def _words(there: str, made: str) -> str:
    """What stands in a line, and what the records make of it, from the first word on that is another."""
    begin = next(
        (place for place, (a, b) in enumerate(zip(there, made, strict=False)) if a != b), min(len(there), len(made))
    )
    while begin and (there[begin - 1].isalnum() or there[begin - 1] in "+-."):
        begin -= 1
    found, expected = (line[begin : begin + _SHOWN].partition("<")[0].strip() for line in (there, made))
    return f": it says {found!r}, the records say {expected!r}" if found != expected else ""


def _hint(differences: list[Difference], site: Path, again: Path) -> str:
    """What the differences probably come from, and the remedy."""
    old, new = (_facts(folder / MARKER) for folder in (site, again))
    if any(one.file.startswith(f"data/{LOCAL_PREFIX}") for one in differences):
        return "it shows what some machine measured: build it with --no-local, or compare with --local"
    if old.get("grid_digest") != new.get("grid_digest"):
        return "it was built with another grid: take the checkout that it was built from"
    if old.get("records") != new.get("records"):
        return f"it was built of {old.get('records')} records, here are {new.get('records')}: `espalier site build`"
    if old.get("date") != new.get("date"):
        return f"its date is {old.get('date')}, here it is {new.get('date')}: other records, or another SOURCE_DATE_EPOCH"
    return "it was changed after it was built, or built of other records or by other versions: `espalier site build`"


def _facts(path: Path) -> dict[str, Any]:
    try:
        facts = json.loads(path.read_bytes())
    except ValueError:
        return {}
    return facts if isinstance(facts, dict) else {}
