"""Where a site can be read: the address from which its absolute links are made, for those who see a page elsewhere; and
where the project is, which its readers may want to contribute to.

A site does without: then it has no sitemap, no pictures for link previews, and its page for lost readers finds the other
pages only from the top folder.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from leaderboard.errors import SiteError

_HOST = re.compile(r"[A-Za-z0-9.-]+(:\d{1,5})?|\[[0-9A-Fa-f:.]+\](:\d{1,5})?")
_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)*/?")


class Places(NamedTuple):
    """Addresses, each empty where nobody has said it: where the site will be read, and where the project's repository is."""

    url: str = ""
    source: str = ""


NOWHERE = Places()


def normal(url: str) -> str:
    """The address with one slash at its end; empty where there is none.

    Raises:
        SiteError: it is not that of a folder on the web.
    """
    if url and not _is_plain(url, ("https", "http")):
        raise SiteError(f"{url!r} is not the address of a site", fix="give one like https://example.org/espalier/")
    return f"{url.rstrip('/')}/" if url else ""


def project(url: str) -> str:
    """The address of a repository, without a slash at its end; empty where there is none.

    Raises:
        SiteError: it is none that a published page may link to.
    """
    if url and not _is_plain(url, ("https",)):
        raise SiteError(f"{url!r} is not the address of a project", fix="give one like https://example.org/someone/espalier")
    return url.rstrip("/")


def _is_plain(url: str, schemes: Sequence[str]) -> bool:
    """Whether it is a scheme, a host and a path, and nothing else."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    plain = any(f"{scheme}://{parts.netloc}{parts.path}" == url for scheme in schemes)
    return plain and bool(_HOST.fullmatch(parts.netloc)) and bool(_PATH.fullmatch(parts.path))


def base(url: str) -> str:
    """The path of an address, from which links hold at any depth; empty where there is none."""
    return urlsplit(url).path
