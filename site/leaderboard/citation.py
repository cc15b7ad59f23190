"""How to cite the data: BibTeX, and what CITATION.cff says of a data set. No contributed word stands in either."""

from __future__ import annotations

import datetime

import yaml

from leaderboard.pages.site import Site
from leaderboard.snapshot import Snapshot

TITLE = "Espalier: neural-network pruning, measured"
AUTHOR = "The Espalier authors"
LICENCE = "MIT"
FILES = ("espalier.bib", "CITATION.cff")


def bibtex(site: Site, snapshot: Snapshot) -> str:
    """One entry; its key has the snapshot's date."""
    day = datetime.date.fromisoformat(snapshot.date)
    months = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
    url = f"  url     = {{{site.url}}},\n" if site.url else ""
    return (
        f"@misc{{espalier-{snapshot.date},\n"
        f"  title   = {{{{{TITLE}}}}},\n"
        f"  author  = {{{{{AUTHOR}}}}},\n"
        f"  year    = {{{day.year}}},\n"
        f"  month   = {months[day.month - 1]},\n"
        f"{url}"
        f"  note    = {{Grid {site.grid.version}, {snapshot.records} records up to {snapshot.date}, "
        f"SHA-256 of records.csv {snapshot.digest}}},\n"
        "}\n"
    )


def cff(site: Site, snapshot: Snapshot) -> str:
    """Citation File Format 1.2."""
    content = {
        "cff-version": "1.2.0",
        "message": "If you use these data, please cite them, and the papers of the methods.",
        "type": "dataset",
        "title": TITLE,
        "authors": [{"name": AUTHOR}],
        "version": f"{snapshot.date}-{snapshot.digest[:12]}",
        "date-released": datetime.date.fromisoformat(snapshot.date),
        "license": LICENCE,
        "abstract": f"Grid {site.grid.version}, {snapshot.records} records up to {snapshot.date}.",
        "identifiers": [{"type": "other", "value": f"sha256:{snapshot.digest}", "description": "SHA-256 of records.csv"}],
    }
    places = {"url": site.url, "repository-code": site.source}
    return yaml.safe_dump(content | {name: place for name, place in places.items() if place}, sort_keys=False, width=120)
