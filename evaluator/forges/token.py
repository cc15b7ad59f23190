"""The secret that a forge knows us by. It can be sent, and is never shown."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
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
            message = "this forge wants a token, and there is none"
            raise ForgeError(message, where=f"environment variable {variable}", fix=f"set {variable}")
        return cls(os.environ[variable], f"environment variable {variable}")

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
