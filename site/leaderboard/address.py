"""Where a site can be read: the address from which its absolute links are made, for those who see a page elsewhere.

A site does without: then it has no sitemap, no pictures for link previews, and its page for lost readers finds the other
pages only from the top folder.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from leaderboard.errors import SiteError

_HOST = re.compile(r"[A-Za-z0-9.-]+(:\d{1,5})?|\[[0-9A-Fa-f:.]+\](:\d{1,5})?")
_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)*/?")


def normal(url: str) -> str:
    """The address with one slash at its end; empty where there is none.

    Raises:
        SiteError: it is not that of a folder on the web.
    """
    if not url:
        return ""
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    plain = any(f"{scheme}://{parts.netloc}{parts.path}" == url for scheme in ("https", "http"))
    if not (plain and _HOST.fullmatch(parts.netloc) and _PATH.fullmatch(parts.path)):
        raise SiteError(f"{url!r} is not the address of a site", fix="give one like https://example.org/espalier/")
    return f"{url.rstrip('/')}/"


def base(url: str) -> str:
    """The path of an address, from which links hold at any depth; empty where there is none."""
    return urlsplit(url).path
