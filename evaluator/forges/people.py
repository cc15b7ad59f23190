"""What people do on a local forge: open a change, push to it, approve, merge or close it.

python -m evaluator.forges create forge.git --from . --maintainer me
python -m evaluator.forges open forge.git HEAD --from . --title "A method" --author somebody
python -m evaluator.forges approve forge.git 1 --by me
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Literal

from evaluator.canonical import canonical_json
from evaluator.errors import ForgeError
from evaluator.forges.forge import Change
from evaluator.forges.git import alone, found, git
from evaluator.forges.local import LocalForge

How = Literal["merge", "squash", "rebase"]


def create(path: Path, checkout: Path, commit: str = "HEAD", *, maintainers: list[str] | None = None) -> LocalForge:
    """A new bare repository whose main is ``commit`` of a checkout."""
    path.mkdir(parents=True, exist_ok=True)
    git(path, "init", "--quiet", "--bare", "--initial-branch=main")
    for name in maintainers or []:
        git(path, "config", "--add", "espalier.maintainer", name)
    git(checkout, "push", "--quiet", str(path.resolve()), f"{_commit(checkout, commit)}:refs/heads/main")
    return LocalForge(path)


def open_change(
    forge: LocalForge, checkout: Path, commit: str = "HEAD", *, title: str, author: str, base: str = "main"
) -> Change:
    """Propose a commit of a checkout. The change is there once everything of it is: a crash leaves nothing half open."""
    head = _commit(checkout, commit)
    with alone(forge.path):
        number = max((int(name.partition("/")[0]) for name in forge.refs()), default=0) + 1
        content = canonical_json({"number": number, "title": title, "author": author, "base": base})
        blob = git(forge.path, "hash-object", "-w", "--stdin", stdin=content)
        git(checkout, "push", "--quiet", str(forge.path), f"{head}:refs/pull/{number}/head")
        git(forge.path, "update-ref", f"refs/pull/{number}/change", blob)
    return forge.change(number)


def push(forge: LocalForge, checkout: Path, number: int, commit: str = "HEAD") -> Change:
    """Make another commit the head of a change, as after a forced push."""
    forge.change(number)
    git(checkout, "push", "--quiet", "--force", str(forge.path), f"{_commit(checkout, commit)}:refs/pull/{number}/head")
    return forge.change(number)


def approve(forge: LocalForge, number: int, by: str, commit: str | None = None) -> Change:
    """Approve what the change proposes now, if that is ``commit``."""
    change = forge.change(number)
    if commit and commit != change.head:
        raise ForgeError(f"change {number} proposes {change.head[:12]} now", where=forge.path, fix="look at it again")
    forge.approve(change, by)
    return change


def merge(forge: LocalForge, number: int, by: str = "maintainer", how: How = "merge") -> Change:
    """Bring a change to its base branch, whatever else happened to that meanwhile.

    Args:
        how: as forges offer it: by a commit of two parents, as one new commit, or commit by commit.
    """
    with alone(forge.path):
        change = forge.change(number)
        if change.state != "open":
            raise ForgeError(f"change {number} is {change.state}", where=forge.path)
        base = git(forge.path, "rev-parse", "--verify", f"refs/heads/{change.base}")
        made = _rebased(forge.path, change, base, by) if how == "rebase" else _merged(forge.path, change, base, by, how)
        if made is None:
            fix = f"merge {change.base} into it and push (or install git 2.38 or later)"
            raise ForgeError(f"change {number} cannot be merged as it is", where=forge.path, fix=fix)
        if how != "merge":
            git(forge.path, "update-ref", f"refs/pull/{number}/merged", made)
        git(forge.path, "update-ref", f"refs/heads/{change.base}", made, base)
    return forge.change(number)


def _merged(bare: Path, change: Change, base: str, by: str, how: How) -> str | None:
    """The commit that merges a change into ``base``; None where they do not fit together."""
    tree = found(bare, "merge-tree", "--write-tree", base, change.head)
    if tree is None:
        return None
    parents = ["-p", base, *(["-p", change.head] if how == "merge" else [])]
    message = f"Merge change {change.number}: {change.title}"
    return git(bare, "commit-tree", tree, *parents, stdin=message, person=by)


def _rebased(bare: Path, change: Change, base: str, by: str) -> str | None:
    """The last of the commits of a change, made anew on ``base``; None where they do not fit on it."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        git(bare, "worktree", "add", "--quiet", "--detach", str(tree), change.head)
        try:
            git(tree, "rebase", "--quiet", "--no-ff", base, person=by)
            return git(tree, "rev-parse", "HEAD")
        except ForgeError:
            return None
        finally:
            git(bare, "worktree", "remove", "--force", str(tree))


def close(forge: LocalForge, number: int) -> Change:
    """Turn a change down."""
    change = forge.change(number)
    git(forge.path, "update-ref", f"refs/pull/{number}/closed", change.head)
    return forge.change(number)


def _commit(checkout: Path, commit: str) -> str:
    name = found(checkout, "rev-parse", "--quiet", "--verify", "--end-of-options", f"{commit}^{{commit}}")
    if name is None:
        fix = f"git switch -c {commit}, add the submission, and commit it"
        raise ForgeError(f"there is no branch or commit {commit!r}", where=checkout, fix=fix)
    return name
