"""Files of canonical lines, each an object of one schema that names its version."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from evaluator.canonical import canonical_json
from evaluator.errors import StoreError

Line = TypeVar("Line", bound=BaseModel)


def read_lines(path: Path, kind: type[Line], name: str, fix: str) -> list[tuple[str, Line]]:
    """Every line of a file with its place; none when there is no file. ``name`` says what a line is, ``fix`` how to mend it.

    Raises:
        StoreError: a line is damaged, or of a newer schema.
    """
    content = path.read_bytes().splitlines() if path.is_file() else ()
    return [
        (f"{path}:{number}", _parse(line, f"{path}:{number}", kind, name, fix)) for number, line in enumerate(content, 1)
    ]


def as_lines(found: Iterable[BaseModel]) -> bytes:
    return "".join(canonical_json(one.model_dump(mode="json")) + "\n" for one in found).encode()


def _parse(line: bytes, where: str, kind: type[Line], name: str, fix: str) -> Line:
    try:
        return kind.model_validate_json(line)
    except ValidationError as error:
        problem = error.errors()[0]
        if problem["loc"] == ("schema_version",) and _version(line) > kind.model_fields["schema_version"].default:
            raise StoreError(f"a newer Espalier wrote this {name}", where=where, fix="update Espalier") from None
        place = ".".join(str(part) for part in problem["loc"])
        raise StoreError(f"{place or f'this line is no {name}'}: {problem['msg']}", where=where, fix=fix) from None


def _version(line: bytes) -> int:
    version = json.loads(line).get("schema_version")  # the line is an object, or its version would not be what is wrong
    return version if isinstance(version, int) else 0
