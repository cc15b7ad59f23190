"""What a board is, in plain words: tracks, divisions, controls and axes, each said once for all pages.

The tracks and their comparison setups are those of sections 3 and 4 of the measurement protocol, after Wang et al. 2023.
"""

from __future__ import annotations

from dataclasses import dataclass

from evaluator.grid.cells import SETUP, TRAINING
from leaderboard.entries import Axis, Phase


@dataclass(frozen=True)
class TrackWords:
    """One track: sentences that go on from each other, and what its two scores are called.

    ``dense`` names the dense control behind each score; ``controls`` says what the controls beside a method were given.
    """

    title: str
    may: str
    then: str
    setup: str
    phases: dict[Phase, str]
    dense: dict[Phase, str]
    notes: dict[Phase, str]
    controls: str


_RECALIBRATED = "BatchNorm recalibrated on the same batches for all, nothing retrained"
_RETRAINED: dict[Phase, str] = {"after": "after retraining", "before": "before retraining"}
_TRAINED: dict[Phase, str] = {"after": "after training", "before": "before training"}
_SAME_RETRAINING: dict[Phase, str] = {"after": "dense + same retraining", "before": "dense"}
_SAME_TRAINING: dict[Phase, str] = {"after": "dense, same training", "before": "dense"}

TRACKS: dict[str, TrackWords] = {
    "post-training": TrackWords(
        title="Post-training",
        may="starts from a trained base model; it may read data, remove weights and change those that it keeps.",
        then="The evaluator recalibrates BatchNorm and scores. Nothing is retrained.",
        setup="outside the setups of Wang et al. (2023), where everybody retrains: the score is of pruning alone",
        phases={"after": "after retraining", "before": "as pruned"},
        dense=_SAME_RETRAINING,
        notes={"before": f"Networks as the method left them, {_RECALIBRATED}."},
        controls="Controls start from the same base model.",
    ),
    "one-shot": TrackWords(
        title="One-shot",
        may="starts from a trained base model; it may read data, remove weights and change those that it keeps (its page "
            "says so), without training.",
        then="The evaluator retrains what is left with one recipe for all, and scores before and after.",
        setup="the strictest: the same base models, no pruning epochs for anybody, the same schedule of retraining",
        phases=_RETRAINED,
        dense=_SAME_RETRAINING,
        notes={"before": f"Networks as the method left them, {_RECALIBRATED}: the entry of each method in the post-training "
                         "track."},
        controls="Controls start from the same base model and get the same retraining.",
    ),
    "iterative": TrackWords(
        title="Iterative",
        may="starts from a trained base model; it may remove weights in many steps and train between them, with the "
            "benchmark's pruning recipe and for as many epochs at most as that has.",
        then="The evaluator then retrains what is left with one recipe for all.",
        setup="the same base models and the same schedule of retraining; epochs spent on pruning differ, and stand in the "
              "table",
        phases=_RETRAINED,
        dense=_SAME_RETRAINING,
        notes={"before": f"Networks as the method left them after its own training, {_RECALIBRATED}."},
        controls="Controls start from the same base model and get the same retraining, but none of the epochs of pruning: "
                 "a difference to them may be longer training.",
    ),
    "at-init": TrackWords(
        title="At initialisation",
        may="starts from initial weights; it may read data and remove weights before any training.",
        then="The evaluator trains what is left with one recipe for all.",
        setup="the same initial weights and the same schedule of training",
        phases=_TRAINED,
        dense=_SAME_TRAINING,
        notes={},
        controls="Controls start from the same initial weights and get the same training.",
    ),
    "sparse-training": TrackWords(
        title="Sparse training",
        may="starts from initial weights and trains the network itself, removing and returning weights on the way, within "
            "the epochs of one recipe.",
        then="The evaluator scores what comes out. Nothing is retrained.",
        setup="the same number of epochs in all, however a method spends them",
        phases=_TRAINED,
        dense=_SAME_TRAINING,
        notes={},
        controls="Controls are drawn among the initial weights with the densities that the method ended with, and trained "
                 "by the same recipe.",
    ),
}  # fmt: skip

PATTERNED = "semi-structured"
"""The division whose targets are patterns."""

DIVISIONS: dict[str, str] = {
    "unstructured": "Single weights go, wherever they are. Nothing gets faster on stock hardware by that: speedup is "
                    "theoretical.",
    "semi-structured": "Of every m neighbouring weights along a layer's inputs, n stay; 2:4 is what some GPUs multiply "
                       "faster. Every layer has the same density: what is left to choose is which weights stay. Speedup is "
                       "theoretical; where a GPU has kernels for 2:4 that take the layers, latency is measured.",
    "structured": "Whole channels go, and the network is built anew without them. Speedup is materialised: the "
                  "multiply-accumulates are really gone, and latency is measured.",
}  # fmt: skip

CONTROLS: dict[str, dict[str, str]] = {
    "unstructured": {
        "matched-random": "same densities, random scores",
        "matched-magnitude": "same densities, magnitude scores",
    },
    "semi-structured": {
        "matched-random": "same pattern, random scores",
        "matched-magnitude": "same pattern, magnitude scores",
    },
    "structured": {
        "matched-random": "same widths, random channels",
        "matched-magnitude": "same widths, largest L1 norms",
        "scratch-e": "Scratch-E: same widths, new weights",
        "scratch-b": "Scratch-B: the same for longer",
    },
}
"""Division -> variant of a control -> what it is, for legends and rows."""

AGAINST = {
    "matched-random": "matched random",
    "matched-magnitude": "matched magnitude",
    "scratch-e": "Scratch-E",
    "scratch-b": "Scratch-B",
}
"""A control as the heading of a column of differences."""

SCRATCH = (
    "Scratch-E and Scratch-B are the small network that the method leaves, trained from new weights by the recipe for "
    "these: for its epochs (E), or for as many multiply-accumulates as the dense network would take, which are more epochs "
    "(B). A method that does not beat them has found widths, not weights (Liu et al. 2019)."
)

RANKS = (
    "A rank is a range of the places that the tests leave open. All that are not significantly worse than the best share "
    "place 1; the last place of a range leaves below it only those that are significantly worse. So a range can go from 1 "
    "to the end beside methods that are significantly worse than the best: the tests tell these from the best, but not from "
    "that one. Where the seeds of a method lie far apart, three of them do not tell it from the best however far behind its "
    "mean is: read a rank beside the figure."
)

COLUMNS = {
    "Mean drop": "mean over the targets of accuracy minus the dense control's, paired by seed; drawn: the root of the "
    "loss at each target; a collapsed network counts as chance",
    "Its epochs": "epochs that the method itself trained for, fewest and most over the targets",
    "Cost": "what pruning one network takes at the costliest target, without retraining, mean over seeds, on the machine "
    "that measured it; a processor does other work meanwhile, so that small differences mean nothing",
}
"""Heading of a column of a board's table -> what stands below it."""

SIDE_BY_SIDE = {
    "unstructured": "Compression, as asked for",
    "semi-structured": "Pattern: weights kept of so many neighbours",
    "structured": "Speedup, as asked for",
}
"""Division -> title of the horizontal axis where targets stand side by side."""

NO_CURVE = (
    "A curve needs two targets. So there is no NAUC, no C@d and no S@d here; methods are ordered, and ranked, by their drop "
    "at the one target."
)

NO_AXIS = (
    "A pattern is no point on an axis: several have the same compression, and nothing lies between them. So there is no "
    "NAUC, no C@d and no S@d here; methods are ordered, and ranked, by their mean drop."
)


def title(track: str, division: str) -> str:
    """Of a board, such as "One-shot · structured"."""
    return f"{TRACKS[track].title} · {division}"


def setup(track: str) -> str:
    """Name of the track's comparison setup."""
    return SETUP[track]


def trains(track: str) -> bool:
    """Whether a method trains the network itself, so that its epochs stand beside its figures."""
    return track in TRAINING


def axis_title(axis: Axis | None, division: str) -> str:
    """Of a chart's horizontal axis; None stands for patterns, or for a single target."""
    if axis is None:
        return SIDE_BY_SIDE[division]
    if axis == "compression":
        return "Compression: parameters, dense ÷ kept"
    kind = "Speedup, materialised" if division == "structured" else "Theoretical speedup"
    return f"{kind}: MACs, dense ÷ kept"


def caption(axis: Axis | None, division: str) -> str:
    """Of a chart; ``axis`` as above."""
    if axis is None:
        return "Top-1 by pattern" if division == PATTERNED else "Top-1 at the one target"
    if axis == "compression":
        return "Top-1 against compression"
    return f"Top-1 against {'materialised' if division == 'structured' else 'theoretical'} speedup"
