"""Which forge an address means, and the way there."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from evaluator.errors import UsageError
from evaluator.forges.cache import Cache
from evaluator.forges.clock import Clock
from evaluator.forges.forge import Forge
from evaluator.forges.gitea import Gitea
from evaluator.forges.github import GitHub
from evaluator.forges.gitlab import GitLab
from evaluator.forges.http import Client
from evaluator.forges.limits import Timing
from evaluator.forges.local import LocalForge
from evaluator.forges.token import Token

KINDS: dict[str, type[GitHub] | type[GitLab]] = {"github": GitHub, "gitea": Gitea, "forgejo": Gitea, "gitlab": GitLab}
HOSTS = {"github.com": "github", "gitlab.com": "gitlab", "codeberg.org": "forgejo", "gitea.com": "gitea"}
EXAMPLES = "https://github.com/OWNER/NAME, gitlab+https://git.example.org/GROUP/NAME, or the folder of a bare repository"


@dataclass(frozen=True)
class Address:
    """An address of a project, taken apart: the kind of forge, scheme and host, path before the project, the project."""

    kind: str
    host: str
    prefix: str
    project: str

    @property
    def web(self) -> str:
        return f"{self.host}{self.prefix}/{self.project}"


def open_forge(
    where: str | Path,
    *,
    token: Token | Callable[[], Token] = Token.from_environment,
    login: str | None = None,
    cache: Cache | None = None,
    clock: Clock | None = None,
    timing: Timing | None = None,
) -> Forge:
    """The forge at an address or in a folder.

    Args:
        where: a project's address as people know it; on hosts of one's own with the kind before it, such as
            ``forgejo+https://git.example.org/owner/name``. Or the folder of a bare repository.
        token: what the forge knows us by, or how to get it; from ``ESPALIER_FORGE_TOKEN`` by default. A folder needs none.
        login: our own login, where the token may not ask for it.
        cache: where answers are kept; in memory by default.
        clock: time and chance.
        timing: how long to wait.

    Raises:
        UsageError: that is no address of a forge.
        ForgeError: it cannot be opened.
    """
    if isinstance(where, Path) or "://" not in where:
        return LocalForge(Path(where), login or "espalier")
    if where.startswith("file://"):
        return LocalForge(Path(urlsplit(where).path), login or "espalier")
    address = parse(where)
    kind = KINDS[address.kind]
    base = kind.interface(address.host + address.prefix)
    secret = token if isinstance(token, Token) else token()
    client = Client(base, secret, kind.manners, cache=cache, clock=clock, timing=timing)
    return kind(client, address.web, address.project, login)


def parse(where: str) -> Address:
    """Take an address apart.

    Raises:
        UsageError: it has a secret in it, is not safe to send a token to, or does not say which project of which forge.
    """
    kind, _, rest = where.rpartition("+") if "+" in where.partition("://")[0] else ("", "", where)
    parts = urlsplit(rest)
    if "@" in where:
        raise UsageError("an address with a login or password in it", fix="leave it out; the token says who we are")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(parts)):
        raise UsageError("a token goes over https only", where=where, fix=f"such as {EXAMPLES}")
    kind = kind or HOSTS.get(parts.netloc.lower(), "")
    if kind not in KINDS:
        known = ", ".join(f"{name}+https" for name in KINDS)
        raise UsageError(
            "it is not known what kind of forge this is", where=where, fix=f"put it before the address: {known}"
        )
    path = parts.path.removesuffix("/").removesuffix(".git").strip("/")
    if not re.fullmatch(r"[\w.-]+(?:/[\w.-]+)+", path, re.ASCII) or parts.query or parts.fragment:
        raise UsageError("it does not name a project", where=where, fix=f"such as {EXAMPLES}")
    before, project = ("", path) if kind == "gitlab" else _split(path)
    return Address(kind, f"{parts.scheme}://{parts.netloc.lower()}", before, project)


def _split(path: str) -> tuple[str, str]:
    """Owner and name are the last two parts; a forge may live in a folder of its host. GitLab's groups rule that out."""
    *before, owner, name = path.split("/")
    return "".join(f"/{part}" for part in before), f"{owner}/{name}"


def _is_loopback(parts: SplitResult) -> bool:
    try:
        return parts.hostname == "localhost" or ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False
