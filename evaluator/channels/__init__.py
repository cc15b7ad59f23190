"""Structured pruning: which channels go together, how to remove them, what is saved, and how many to keep."""

from __future__ import annotations

from evaluator.channels.costs import Costs, channel_costs
from evaluator.channels.discovery import channel_groups
from evaluator.channels.groups import ChannelGroup, Side, Slice, bound
from evaluator.channels.solving import solve
from evaluator.channels.surgery import Kept, remove_channels, silence, silenced

__all__ = [
    "ChannelGroup",
    "Slice",
    "Side",
    "bound",
    "channel_groups",
    "Kept",
    "remove_channels",
    "silence",
    "silenced",
    "Costs",
    "channel_costs",
    "solve",
]
