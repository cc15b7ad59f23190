"""Whether what is told of the past can be true: changes that lead from figure to figure, up to those of now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from evaluator.records import Change, Record
from evaluator.records.changes import Identity, Measured, follows
from evaluator.records.record import is_control

Found = tuple[int, str]
"""Number of a line, and what is wrong with it, in words."""


def broken(changes: Sequence[Change], records: Mapping[Identity, Record]) -> Iterator[Found]:
    """What is wrong with the changes of one file; ``records`` are those of the file that they are about."""
    latest: dict[Identity, tuple[int, Change]] = {}
    for line, change in enumerate(changes, 1):
        yield from ((line, problem) for problem in _alone(change))
        if change.identity in latest and not _leads(latest[change.identity][1], change):
            yield line, "it does not begin where the change before it ended"
        latest[change.identity] = (line, change)
    for identity, (line, change) in latest.items():
        record = records.get(identity)
        if record is not None and not _stands(change, record):
            yield line, "the record is not what its last change says"


def _alone(change: Change) -> Iterator[str]:
    if change.old.figures == change.new.figures:
        yield "nothing changed"
    for figures in (change.old.figures, change.new.figures):
        right = [count for count in (figures.before, figures.after) if count is not None]
        if right and max(right) > (figures.images or 0):
            yield "more images are right than there are"


def _leads(first: Change, second: Change) -> bool:
    """Whether the second begins where the first ended; a control of other masks begins anew."""
    control = is_control(second.variant)
    return first.new.figures == second.old.figures or (control and first.new.prune_key != second.old.prune_key)


def _stands(change: Change, record: Record) -> bool:
    """Whether a record has the figures that its last change ended with; and the keys, where it is that very measurement."""
    if is_control(change.variant) and change.new.prune_key != record.prune_key:
        return True
    return follows(change, record) and (change.new.created != record.created or change.new == Measured.of(record))
