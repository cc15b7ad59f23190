"""The secret that a forge knows us by. It can be sent, and is never shown."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn
from urllib.parse import quote

from evaluator.errors import ForgeError

VARIABLE = "ESPALIER_FORGE_TOKEN"
LEFT_OUT = "[token left out]"


class Token:
    """A secret of which only the origin is visible: no repr, message, log line or pickle holds it."""

    __slots__ = ("_reveal", "origin")
    _reveal: Callable[[], str]
    origin: str

    def __init__(self, secret: str, origin: str) -> None:
        secret = secret.strip()
        if not re.fullmatch(r"[!#-\[\]-~]+", secret):
            problem = "holds no token" if not secret else "holds something else than one token"
            raise ForgeError(
                problem, where=origin, fix="put the token there, one word of ASCII without quotes, and nothing else"
            )
        self.origin = origin
        self._reveal = lambda: secret

    @classmethod
    def from_environment(cls, variable: str = VARIABLE) -> Token:
        """The token in an environment variable."""
        if variable not in os.environ:
            fix = f"set {variable}, or name a file that holds the token"
            raise ForgeError(
                "this forge wants a token, and there is none", where=f"environment variable {variable}", fix=fix
            )
        return cls(os.environ[variable], f"environment variable {variable}")

    @classmethod
    def from_file(cls, path: Path) -> Token:
        """The token in a file that not everybody may read."""
        try:
            if path.stat().st_mode & 0o007:
                raise ForgeError("everybody on this machine may read the token", where=path, fix=f"chmod 600 {path}")
            return cls(path.read_text(encoding="ascii"), str(path))
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not ASCII"
            raise ForgeError(f"the token cannot be read ({reason})", where=path) from None

    def header(self, scheme: str) -> str:
        """The value of the header Authorization. The only way out."""
        return f"{scheme} {self._reveal()}"

    def redact(self, text: str) -> str:
        """``text`` without the secret, as it is or as it stands in an address."""
        secret = self._reveal()
        return text.replace(secret, LEFT_OUT).replace(quote(secret, safe=""), LEFT_OUT)

    def __repr__(self) -> str:
        return f"Token(from {self.origin})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a token stays in its process")
