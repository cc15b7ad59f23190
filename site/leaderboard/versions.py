"""Which version of a board is shown while the grid is measured anew: the one before, whole, until the new one is complete.

What the grid made stale stands in its old place until it is measured again, and then among the previous records. A board
shows these two together as long as one of its cells waits; what is measured of the new version meanwhile is not shown on it.
No table ever holds two versions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from evaluator.records.record import DENSE, MATCHED, SCRATCH
from leaderboard.freshness import Freshness
from leaderboard.rows import Row, identity


class Table(NamedTuple):
    """A board, whatever the origin of its records."""

    benchmark: str
    track: str
    division: str
    recipe: str
    device_class: str

    @classmethod
    def of(cls, record: Row) -> Table:
        """For a dense record, the board of its own division; it serves the others too."""
        return cls(record.benchmark, record.track, record.division, record.recipe, record.device_class)

    @property
    def dense(self) -> Table:
        """What boards share that share a dense control."""
        return self._replace(division="")


@dataclass(frozen=True)
class Remeasuring:
    """A board that shows the version before: what changed, and how many of its cells are measured anew."""

    reasons: tuple[str, ...]
    done: int
    cells: int


@dataclass
class Shown:
    """Records of the new version and of the one before that stand in tables; ``left_out`` counts those that do not, by
    benchmark, submission and reason."""

    current: list[Row] = field(default_factory=list)
    before: dict[tuple[Table, tuple[str, str, str, str]], Row] = field(default_factory=dict)
    remeasuring: dict[Table, Remeasuring] = field(default_factory=dict)
    left_out: Counter[tuple[str, str, str]] = field(default_factory=Counter)


def choose(records: Iterable[Row], previous: Iterable[Row], freshness: Freshness, *, whole: bool) -> Shown:
    """Sort the records of a store by version, board by board; unless ``whole``, only the new version is shown."""
    judged = [(record, freshness.judge(record)) for record in records]
    fresh = _by_table(record for record, verdict in judged if not verdict.reasons)
    waiting = _by_table(record for record, verdict in judged if verdict.waits and whole)
    old = [record for record in previous if freshness.judge(record).by_grid]
    outdated = _by_table([*old, *(record for record, verdict in judged if verdict.by_grid)])
    shown = Shown()
    boards = sorted(key for key in fresh.keys() | outdated.keys() if key.division)
    for key in boards:
        if left := [record for record in _of(key, waiting) if Table.of(record) == key]:
            table = _before(_of(key, outdated), _of(key, fresh))
            shown.before |= {(key.dense, identity(record)): record for record in table}
            shown.remeasuring[key] = _progress(key, table, left, freshness)
    hidden = shown.remeasuring.keys() | _only_before(boards, shown.remeasuring)
    shown.current = [record for record, verdict in judged if not verdict.reasons and _key(record) not in hidden]
    seen = set(map(id, shown.before.values()))
    shown.left_out.update(
        (record.benchmark, record.submission, "; ".join(verdict.reasons))
        for record, verdict in judged
        if verdict.reasons and id(record) not in seen
    )
    return shown


def _by_table(records: Iterable[Row]) -> dict[Table, list[Row]]:
    """Those of a board by the board, dense ones by what it shares."""
    found: dict[Table, list[Row]] = {}
    for record in records:
        found.setdefault(_key(record), []).append(record)
    return found


def _key(record: Row) -> Table:
    key = Table.of(record)
    return key.dense if record.submission == DENSE else key


def _of(key: Table, found: Mapping[Table, list[Row]]) -> list[Row]:
    """A board's records, with the dense ones that it shares."""
    return found.get(key, []) + found.get(key.dense, [])


def _only_before(boards: Sequence[Table], remeasuring: Mapping[Table, Remeasuring]) -> set[Table]:
    """Dense controls that no board of the new version needs."""
    return {key.dense for key in boards} - {key.dense for key in boards if key not in remeasuring}


def _before(outdated: Sequence[Row], fresh: Iterable[Row]) -> list[Row]:
    """The version before: what is outdated, and what the change of the grid does not concern, as the other seeds' networks
    where one base model changed."""
    old = _one_version(outdated)
    concerned = {(_kind(record), record.seed) for record in old}
    same = [record for record in fresh if (_kind(record), record.seed) not in concerned]
    return list({identity(record): record for record in (*same, *old)}.values())


def _one_version(records: Sequence[Row]) -> list[Row]:
    """Where the grid changed twice, the version of most records: the one that was complete."""

    def protocol(record: Row) -> Hashable:
        return (record.input_contract, record.prune_protocol, record.scoring_protocol, record.input_train_data,
                record.input_test_data)  # fmt: skip

    def recipes(record: Row) -> Hashable:
        controls = 0 if _kind(record) == "own" else record.controls_protocol
        return (record.input_recipe, record.input_training, controls)

    found = _most(records, lambda _: None, protocol)
    found = _most(found, _kind, recipes)
    return _most(found, lambda record: (_kind(record), record.seed), lambda record: record.input_base)


def _most(records: Sequence[Row], part: Callable[[Row], Hashable], version: Callable[[Row], Hashable]) -> list[Row]:
    """In each part the records of the version that most have; of two that as many have, the newer one."""
    parts: dict[Hashable, dict[Hashable, list[Row]]] = {}
    for record in records:
        parts.setdefault(part(record), {}).setdefault(version(record), []).append(record)
    largest = (max(of.values(), key=lambda found: (len(found), max(r.created for r in found))) for of in parts.values())
    return [record for found in largest for record in found]


def _kind(record: Row) -> str:
    """Records of one kind, seed and board rest on the same."""
    if record.variant in MATCHED:
        return "matched"
    return "scratch" if record.variant in SCRATCH else "own"


def _progress(key: Table, table: Iterable[Row], left: Iterable[Row], freshness: Freshness) -> Remeasuring:
    """Counted in cells of methods and of the dense control that are still asked for."""
    verdicts = [(record, freshness.judge(record)) for record in table if Table.of(record) == key]
    cells = {(r.submission, r.cell) for r, v in verdicts if _kind(r) == "own" and (v.waits or not v.reasons)}
    reasons = dict.fromkeys(reason for _, verdict in verdicts for reason in verdict.reasons)
    return Remeasuring(tuple(sorted(reasons)), len(cells - {(r.submission, r.cell) for r in left}), len(cells))
