"""What was measured before and need not be measured again: who keeps the same weights shares the score. No PyTorch here."""

from __future__ import annotations

from collections.abc import Iterator

from evaluator.errors import SignatureError
from evaluator.messages import Measurement
from evaluator.records import AllowedSigners, Record, Store
from evaluator.records.record import DENSE
from evaluator.records.soundness import contradictions, unpublishable
from evaluator.setting import Setting


def measured_before(slug: str, benchmark: str, setting: Setting) -> dict[str, Measurement]:
    """By score key: what was measured in this environment, of whichever submission; and what is published of this one.

    The latter may come from another environment, and goes before the former: code that changes without changing what it
    removes keeps its figures. The dense control is measured in every environment.
    """
    found: dict[str, Measurement] = {}
    own: dict[str, Measurement] = {}
    for store in setting.reuse:
        published = store.folder == setting.repository.published
        for record in _vouched_for(store, benchmark):
            if record.status != "ok" or record.score_key is None:
                continue
            if record.environment == setting.environment:
                found[record.score_key] = Measurement.of(record)
            if published and record.submission == slug != DENSE and _stands(record, setting):
                own[record.score_key] = Measurement.of(record)
    return found | own


def _vouched_for(store: Store, benchmark: str) -> Iterator[Record]:
    """The records of a benchmark; where the store names signers, of the files that they signed."""
    signers = AllowedSigners.of(store.folder)
    for path in store.files_of(benchmark):
        try:
            signed = signers is None or signers.verify(path).state == "ok"
        except SignatureError:  # nothing here can verify it
            signed = False
        if signed:
            yield from store.read(benchmark, path.stem).values()


def _stands(record: Record, setting: Setting) -> bool:
    """Whether a published record is one that could be published today."""
    tier = setting.grid.tiers[setting.grid.benchmarks[record.benchmark].tier]
    same = record.environment.device_class == setting.environment.device_class
    wrong = any(contradictions(record)) or any(unpublishable(record, setting.grid))
    return same and tier.accepts_torch(record.environment.torch) and not wrong
