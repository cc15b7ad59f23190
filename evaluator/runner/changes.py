"""What a change touches: one submission and nothing else, or it is not the runner's to evaluate."""

from __future__ import annotations

import re

from evaluator.errors import EspalierError, ForgeRefused
from evaluator.forges import Change, Forge
from evaluator.metadata import LARGEST, SLUG
from evaluator.runner.git import Clone, Entry, TooLarge

FOLDER = "submissions"
PLAIN = ("100644", "100755")
MOST_FILES = 20
MOST_COMMITS = 20
"""Of a change that was merged by a rebase."""
MOST_NAME, MOST_PATH = 100, 200
"""Characters; a file system takes little more."""
SHOWN = 5
GONE = (404, 410)


class Refused(EspalierError):
    """The change is not one submission; its message is for its author."""


def fetched(number: int) -> str:
    """The ref of our clone that has the head of a change."""
    return f"refs/espalier/changes/{number}"


def still(forge: Forge, number: int) -> Change | None:
    """A change as it is now; None where the forge has no such change any more."""
    try:
        return forge.change(number)
    except ForgeRefused as refusal:
        if refusal.status not in GONE:
            raise
        return None


def is_approved(forge: Forge, change: Change) -> bool:
    """Whether somebody who may merge approved this very commit."""
    return any(approval.commit == change.head for approval in forge.approvals(change))


def submission_of(clone: Clone, head: str) -> str:
    """The slug of the one submission that a commit adds or changes, compared with where it left main.

    Raises:
        Refused: it touches something else, removes the submission, or holds what is no plain small file.
    """
    base = clone.left_main(head)
    if base is None:
        raise Refused("this branch has no history in common with main", fix="start it from main")
    try:
        slug = _one_slug(list(clone.touched(base, head)))
        files = list(clone.files(head, f"{FOLDER}/{slug}"))
    except TooLarge:
        raise Refused("this touches more files than can be listed", fix="propose the two files of a submission") from None
    if not files:
        raise Refused(f"this removes {FOLDER}/{slug}", fix="a maintainer removes methods by hand")
    _check_files(clone, files)
    return slug


def merged_submission(clone: Clone, commit: str) -> str | None:
    """The slug of the one submission that a merge brought to main; None where it brought something else.

    Of a rebase forges name the last commit, which alone may be empty, or undo what another did beside the submission: as
    many of those before it are taken together as make one submission.
    """
    for base in clone.before(commit, MOST_COMMITS):
        try:
            return _one_slug(list(clone.touched(base, commit)))
        except (Refused, TooLarge):
            continue
    return None


def _one_slug(entries: list[Entry]) -> str:
    parts = [entry.path.split("/") for entry in entries]
    slugs = {part[1] for part in parts if part[0] == FOLDER and len(part) > 2 and re.fullmatch(SLUG, part[1])}
    foreign = [e.path for e, part in zip(entries, parts, strict=True)
               if not (part[0] == FOLDER and len(part) > 2 and re.fullmatch(SLUG, part[1]))]  # fmt: skip
    if foreign:
        raise Refused(f"this touches more than a submission: {_listed(foreign)}",
                      fix=f"propose {FOLDER}/<slug>/ alone, and everything else as a change of its own")  # fmt: skip
    if not slugs:
        raise Refused("this changes nothing", fix=f"add {FOLDER}/<slug>/metadata.yaml and method.py")
    if len(slugs) > 1:
        raise Refused(
            f"this touches several submissions: {_listed(sorted(slugs))}", fix="propose each as a change of its own"
        )
    return slugs.pop()


def _check_files(clone: Clone, files: list[Entry]) -> None:
    if odd := [entry.path for entry in files if entry.mode not in PLAIN]:
        raise Refused(f"a submission has plain files only, no links and no repositories: {_listed(odd)}")
    if len(files) > MOST_FILES:
        raise Refused(f"a submission has two files; this one has {len(files)}")
    if odd := [ascii(entry.path)[1:-1][:MOST_NAME] for entry in files if not _is_plain(entry.path)]:
        raise Refused(f"a submission's files have plain names: {_listed(odd)}",
                      fix=f"printable ASCII, at most {MOST_NAME} characters, {MOST_PATH} with the folders")  # fmt: skip
    if large := [entry.path for entry in files if clone.size(entry.blob) > LARGEST]:
        raise Refused(f"a submission holds at most {LARGEST // 1024} kB in all: {_listed(large)}")


def _is_plain(path: str) -> bool:
    short = len(path) <= MOST_PATH and all(len(name) <= MOST_NAME for name in path.split("/"))
    return short and path.isascii() and path.isprintable()


def _listed(paths: list[str]) -> str:
    more = f" and {len(paths) - SHOWN} more" if len(paths) > SHOWN else ""
    return ", ".join(paths[:SHOWN]) + more
