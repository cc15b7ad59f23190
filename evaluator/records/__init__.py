"""Records: what was measured, under which keys, and where. Read by the evaluator and by the site; no PyTorch here."""

from evaluator.records.audit import Audits, Churn
from evaluator.records.changes import Change, Changes
from evaluator.records.keys import Inputs, prune_key, score_key, stale_reasons
from evaluator.records.record import (
    Cost,
    Counts,
    Environment,
    Latency,
    LayerCount,
    Record,
    Score,
    Status,
    Variant,
    controls_of,
)
from evaluator.records.signatures import AllowedSigners, SigningKey
from evaluator.records.store import Store

__all__ = [
    "AllowedSigners",
    "Audits",
    "Change",
    "Changes",
    "Churn",
    "Cost",
    "Counts",
    "Environment",
    "Inputs",
    "Latency",
    "LayerCount",
    "Record",
    "Score",
    "SigningKey",
    "Status",
    "Store",
    "Variant",
    "controls_of",
    "prune_key",
    "score_key",
    "stale_reasons",
]
