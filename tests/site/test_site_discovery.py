"""A site that knows its address: sitemap, link previews, and a way back from any address; and one that does not."""

from __future__ import annotations

import re
import struct
import threading
import urllib.error
import urllib.request
from html import unescape
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest
from leaderboard import address, previews
from leaderboard.build import all_pages, build, gather
from leaderboard.downloads import Downloads
from leaderboard.errors import SiteError
from leaderboard.kept import NOTHING
from leaderboard.pictures import Drawer
from leaderboard.rebuild import compare
from leaderboard.render import Renderer
from leaderboard.serve import make_server
from leaderboard.verify import problems

from tests.site.methods import metadata, write_submission
from tests.site.synthetic import Plan, fill, make_repository

URL = "https://example.org/espalier/"
SOURCE = "https://forge.example.org/somebody/espalier"
LOC = "{http://www.sitemaps.org/schemas/sitemap/0.9}loc"


@pytest.fixture(scope="module")
def public(site, tmp_path_factory):
    """The shared site, for an address, given without its last slash, and of a project that is somewhere."""
    folder = tmp_path_factory.mktemp("public") / "site"
    build(site.repository, folder, places=address.Places(URL.rstrip("/"), f"{SOURCE}/"))
    return folder


def properties(path):
    found = re.findall(r'<meta (?:property|name)="([^"]+)" content="([^"]*)">', path.read_text(encoding="utf-8"))
    return {name: unescape(value) for name, value in found}


def pages(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*.html")}


def test_sitemap_has_every_page_but_that_of_the_lost(public):
    places = [one.text.removeprefix(URL) for one in ElementTree.parse(public / "sitemap.xml").getroot().iter(LOC)]
    assert {unquote(place) or "index.html" for place in places} == pages(public) - {"404.html"}
    assert len(places) == len(set(places))
    assert f"Sitemap: {URL}sitemap.xml" in (public / "robots.txt").read_text()


def test_link_previews_name_a_picture_that_is_there(public):
    own = set()
    for name in pages(public) - {"404.html"}:
        said = properties(public / name)
        assert said["og:url"] == URL + ("" if name == "index.html" else name)
        assert said["og:title"]
        assert said["og:description"] == said["description"]
        picture = said["og:image"].removeprefix(URL)
        own.add(picture)
        assert struct.unpack(">8x4x4sII", (public / picture).read_bytes()[:24]) == (b"IHDR", 1200, 630)
        assert said["twitter:card"] == "summary_large_image"
    assert {path.relative_to(public).as_posix() for path in public.rglob("*.png")} == own
    assert {"previews/index.png", "previews/methods/lamp.png", "previews/benchmarks/mnist-lenet-300-100.png"} <= own
    assert properties(public / "literature.html")["og:image"] == f"{URL}previews/index.png"


def test_without_an_address_nothing_pretends_to_one(site):
    assert not (site.folder / "sitemap.xml").exists()
    assert list(site.folder.rglob("*.png")) == []
    assert (site.folder / "robots.txt").read_text() == "User-agent: *\nDisallow:\n"
    page = (site.folder / "index.html").read_text(encoding="utf-8")
    assert 'property="og:title"' in page
    assert not any(word in page for word in ("og:image", "og:url", "canonical", "the project's repository"))
    assert "a checkout of the project's repository, with" in (site.folder / "contribute.html").read_text(encoding="utf-8")
    assert "repository-code" not in (site.folder / "data" / "CITATION.cff").read_text()


def test_every_page_leads_to_the_project(public):
    for name in pages(public):
        assert f'<a href="{SOURCE}">the project\'s repository</a>' in (public / name).read_text(encoding="utf-8"), name
    contribute = (public / "contribute.html").read_text(encoding="utf-8")
    assert f'a checkout of <a href="{SOURCE}">the project\'s repository</a>, with' in contribute
    assert f"repository-code: {SOURCE}\n" in (public / "data" / "CITATION.cff").read_text()


def test_links_of_the_lost_hold_at_any_depth(public):
    page = (public / "404.html").read_text(encoding="utf-8")
    links = [link for link in re.findall(r'(?:href|src)="([^"#]+)', page) if link != SOURCE]
    assert len(links) > 12
    assert all((public / link.removeprefix("/espalier/")).is_file() for link in links)
    assert all(link.startswith("/espalier/") for link in links)


@pytest.mark.parametrize("known", [True, False])
def test_served_here_they_hold_too(site, public, known):
    """By this project's own server, which shows any site at its top."""
    server = make_server(public if known else site.folder, 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    top = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        with pytest.raises(urllib.error.HTTPError) as lost:
            urllib.request.urlopen(f"{top}/no/such/page.html")
        links = set(re.findall(r'(?:href|src)="([^"#]+)', lost.value.read().decode())) - {SOURCE}
        assert len(links) > 10
        for link in links:
            assert link.startswith("/")
            urllib.request.urlopen(top + link).close()
    finally:
        server.shutdown()
        server.server_close()


def test_such_a_site_follows_from_the_records_too(site, public):
    """Pictures included; where it is read is taken from the site itself."""
    assert compare(site.repository, public, local=True).differences == []


def test_the_verifier_knows_the_address(public, tmp_path):
    assert problems(public, URL) == []
    policy = '<meta http-equiv="Content-Security-Policy">'
    (tmp_path / "index.html").write_text(
        f'{policy}<link rel="canonical" href="{URL}gone.html"><link rel="canonical" href="https://other.org/">'
        f'<a href="{URL}a-page-of-somebody">x</a><a href="/espalier/lost.html">x</a>'
    )
    found = problems(tmp_path, URL)
    assert len(found) == 3
    assert [word in "".join(found) for word in ("gone.html", "loads https://other.org/", "lost.html")] == [True] * 3


def test_a_preview_of_a_change_is_not_to_be_found(tmp_path):
    build(
        make_repository(tmp_path),
        tmp_path / "public",
        notice="Preview of change 7: not published",
        places=address.Places(URL),
    )
    assert "Disallow: /\n" in (tmp_path / "public" / "robots.txt").read_text()


@pytest.mark.parametrize(
    "url",
    ["example.org", "ftp://example.org", "https://", "https://user@example.org/", "https://example.org/?q", "https://a.b/#c",
     'https://a.b/"><script>', "https://a.b/../c d", "javascript:alert(1)", "https://[", "//example.org/", "https://a.b//c"],
)  # fmt: skip
def test_what_is_no_address_is_refused(url):
    with pytest.raises(SiteError, match="is not the address of a site"):
        address.normal(url)
    with pytest.raises(SiteError, match="is not the address of a project"):
        address.project(url)


def test_a_page_may_link_to_what_is_encrypted_alone():
    assert address.normal("http://a.b/c") == "http://a.b/c/"
    with pytest.raises(SiteError, match="is not the address of a project"):
        address.project("http://a.b/c")


def test_a_picture_shows_contributed_text_as_text(tmp_path):
    """What the font does not have stands for nothing: then the slug is there instead."""
    repository = make_repository(tmp_path)
    fill(repository, Plan(benchmarks=("digits-mlp",), methods=3))
    titles = {"lamp": "\u526a\u679d \u202e", "global-magnitude": '</text><script>alert(1)</script> & "x"'}
    for slug, title in titles.items():
        write_submission(repository, metadata(slug, title=title))
    gathered = gather(repository, places=address.Places(URL))
    laid_out = {page.path: page for page in all_pages(gathered, lambda: Downloads([]))}
    charts = {path: [*page.charts, *(chart for part in page.parts for chart in part.fill().charts)]
              for path, page in laid_out.items()}  # fmt: skip
    chosen = {path: previews.choose(gathered, page, charts[path]) for path, page in laid_out.items()}
    assert chosen["methods/lamp.html"].heading == "lamp"
    renderer = Renderer(gathered, NOTHING, Drawer())
    cards = [renderer.card(preview) for preview in chosen.values() if preview is not None]
    for card in cards:
        root = ElementTree.fromstring(card)
        assert not any(element.tag.endswith("script") for element in root.iter())
        assert "var(--" not in card
    assert any(titles["global-magnitude"][:10] in "".join(ElementTree.fromstring(card).itertext()) for card in cards)
