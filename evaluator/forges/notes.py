"""JSON kept in git notes: one value for an object, under a ref of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from evaluator.canonical import canonical_json
from evaluator.errors import ForgeError
from evaluator.forges.git import found, git

PREFIX = "refs/notes/espalier"


class Notes:
    """Notes of one kind in a bare repository. Whoever changes them holds the repository's lock."""

    def __init__(self, repository: Path, kind: str) -> None:
        self._repository, self._ref = repository, f"{PREFIX}-{kind}"

    def read(self, object_: str) -> Any:
        """What is noted on an object; None where nothing is.

        Raises:
            ForgeError: somebody wrote something else there.
        """
        kept = found(self._repository, "notes", f"--ref={self._ref}", "show", object_)
        try:
            return None if kept is None else json.loads(kept)
        except ValueError:
            fix = f"git notes --ref={self._ref} remove {object_}"
            raise ForgeError(f"the note on {object_} is not JSON", where=self._repository, fix=fix) from None

    def write(self, object_: str, value: Any) -> None:
        blob = git(self._repository, "hash-object", "-w", "--stdin", stdin=canonical_json(value))
        git(self._repository, "notes", f"--ref={self._ref}", "add", "--force", "--reuse-message", blob, object_)
