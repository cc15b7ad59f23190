"""Which files a submission may consist of, and what every text file must be."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from evaluator.characters import hidden
from evaluator.check.problems import Problem, error
from evaluator.metadata import LARGEST

REQUIRED = ("metadata.yaml", "method.py")
ALLOWED = (*REQUIRED, "README.md")
IGNORED = ("__pycache__",)
LISTED = 20
"""Entries of a folder, and characters of a file, that are complained about one by one."""


def read_files(folder: Path) -> tuple[dict[str, str], list[Problem]]:
    """The texts of a submission by file name, and what is wrong with its files; follows no link, reads nothing large."""
    if folder.is_symlink() or not folder.is_dir():
        return {}, [error(folder, 0, "not-a-folder", "this is not a folder", "a submission is a folder under submissions/")]
    try:
        names = sorted(name for name in os.listdir(folder) if name not in IGNORED)  # noqa: PTH208
        entries = {name: _entry(folder / name) for name in names}
    except OSError as failure:
        return {}, [error(folder, 0, "unreadable", f"cannot be read: {failure.strerror}", "make it readable")]
    problems: list[Problem] = []
    texts: dict[str, str] = {}
    room = LARGEST
    for name, (complaint, size) in entries.items():
        path = folder / name
        room -= size
        if complaint:
            problems.append(complaint)
        elif room < 0:
            fix = f"a submission holds at most {LARGEST // 1024} kB in all; data and weights have no place in it"
            problems.append(error(path, 0, "too-large", f"this file of {size} bytes makes the submission too large", fix))
        else:
            text, wrong = _text(path)
            problems += wrong
            if text is not None:
                texts[name] = text
    fix = "CONTRIBUTING.md shows one; `espalier new` writes one, into a new folder"
    problems += [error(folder, 0, "missing-file", f"{name} is missing", fix) for name in REQUIRED if name not in names]
    dropped = len(problems) - LISTED - 1
    if dropped > 0:
        problems[LISTED:] = [error(folder, 0, "more", f"{dropped + 1} more problems of files", "mend the others first")]
    return texts, problems


def _entry(path: Path) -> tuple[Problem | None, int]:
    """What is wrong with an entry of the folder before it is opened, and its size in bytes."""
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        return error(path, 0, "symlink", "this is a symbolic link", "put the file itself in its place"), 0
    if path.name not in ALLOWED:
        fix = f"a submission consists of {', '.join(ALLOWED)} and nothing else; remove it"
        return error(path, 0, "unexpected-file", "this file does not belong to a submission", fix), 0
    if not stat.S_ISREG(status.st_mode):
        return error(path, 0, "not-a-file", "this is not a regular file", "put a text file in its place"), 0
    return None, status.st_size


def _text(path: Path) -> tuple[str | None, list[Problem]]:
    try:
        data = path.read_bytes()
        text = data.decode()
    except UnicodeDecodeError as failure:
        line = data.count(b"\n", 0, failure.start) + 1
        message = f"byte {failure.start} is not UTF-8"
        return None, [error(path, line, "not-utf-8", message, "save the file as UTF-8; binary files are not accepted")]
    except OSError as failure:
        return None, [error(path, 0, "unreadable", f"cannot be read: {failure.strerror}", "make it readable")]
    text = text.replace("\r\n", "\n")
    return text, _characters(path, text)


def _characters(path: Path, text: str) -> list[Problem]:
    """Invisible characters and those that change how a text is shown: what is reviewed must be what is run."""
    suspects = [match.start() for match in re.finditer(r"[^\n\t -~]", text)]
    found = [position for position in suspects if hidden(text[position])]
    return [
        error(
            path,
            text.count("\n", 0, position) + 1,
            "hidden-character",
            f"U+{ord(text[position]):04X} is invisible or changes how the text around it is shown",
            "remove it; write an escape such as \\u200d where a string needs it",
        )
        for position in found[:LISTED]
    ]
