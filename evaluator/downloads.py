"""Files that a digest of the grid names, from where the grid says they are."""

from __future__ import annotations

import http.client
import urllib.request
from collections.abc import Callable
from pathlib import Path

from evaluator.canonical import digest_bytes, write_atomically
from evaluator.errors import BaseModelError


def download(url: str, path: Path, sha256: str, *, say: Callable[[str], None]) -> None:
    """Write what is at ``url`` to ``path``, whole or not at all.

    Raises:
        BaseModelError: it cannot be had, or is not the file of that SHA-256.
    """
    say(f"downloading {url}")
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310 (the grid lets https through alone)
            content = answer.read()
    except (OSError, http.client.HTTPException) as error:
        fix = f"put {url} there"
        raise BaseModelError(f"not there, and cannot be downloaded ({error})", where=path, fix=fix) from None
    if (found := digest_bytes(content)) != sha256:
        raise BaseModelError(f"its SHA-256 is {found[:12]}, but the grid names {sha256[:12]}", where=url)
    write_atomically(path, content)
