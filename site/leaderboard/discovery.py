"""What search engines read: robots.txt, and a sitemap where the site knows its address, since a sitemap holds no others.

A robots.txt is looked for at the top of a host only; of a site below it, the sitemap has to be named to the search engine by
hand. The sitemap gives no dates: a page has none of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from leaderboard.pages.site import Page, Site

_HEAD = '<?xml version="1.0" encoding="utf-8"?>\n<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n'


def files(site: Site, pages: Iterable[Page]) -> Iterator[tuple[str, str]]:
    """Name and text of each; what carries a notice, as a preview does, is not to be found."""
    sitemap = f"Sitemap: {site.url}sitemap.xml\n" if site.url else ""
    yield "robots.txt", f"User-agent: *\nDisallow:{' /' if site.notice else ''}\n{sitemap}"
    if site.url:
        lines = [f"<url><loc>{site.address(page)}</loc></url>\n" for page in pages if page.findable]
        yield "sitemap.xml", f"{_HEAD}{''.join(lines)}</urlset>\n"
