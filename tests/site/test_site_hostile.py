"""Every contributed string is hostile: it is shown as text, in every field, on every page, and never runs."""

from __future__ import annotations

import re

import pytest
from leaderboard.build import build
from leaderboard.verify import problems

from evaluator.grid import load_grid
from evaluator.metadata import load_submission
from evaluator.records import Store
from tests.site.methods import metadata, slugs, write_submission
from tests.site.synthetic import Plan, make_repository, records
from tests.site.test_site_browser import draw_all

RUN = "window.pwned=1"
CORPUS = (
    f"<script>{RUN}</script>",
    f"</script><script>{RUN}</script>",
    f"<!--<script>{RUN}//-->",
    f"--><script>{RUN}</script>",
    f"]]><script>{RUN}</script>",
    f"</title><script>{RUN}</script>",
    f"</textarea><script>{RUN}</script>",
    f"</style><script>{RUN}</script>",
    f"</pre></code><script>{RUN}</script>",
    f"<ScRiPt>{RUN}</sCrIpT>",
    f"<script/x>{RUN}</script>",
    f"<scr<script>ipt>{RUN}</script>",
    f"<img src=x onerror={RUN}>",
    f"<img src=x onerror='{RUN}'>",
    f"<img/src=x/onerror={RUN}>",
    f"\"><img src=x onerror={RUN}>",
    f"'><img src=x onerror={RUN}>",
    f"`><img src=x onerror={RUN}>",
    f"\" onmouseover=\"{RUN}",
    f"' onmouseover='{RUN}",
    f"\" autofocus onfocus=\"{RUN}",
    f"x\" tabindex=1 onfocus={RUN} y=\"",
    f"<svg onload={RUN}>",
    f"<svg/onload={RUN}>",
    f"<svg><script>{RUN}</script></svg>",
    f"<svg><animate onbegin={RUN} attributeName=x>",
    f"<svg><set onbegin={RUN} attributename=x>",
    f"<math><mtext><script>{RUN}</script></mtext></math>",
    f"<body onload={RUN}>",
    f"<iframe srcdoc='<script>parent.{RUN}</script>'>",
    f"<iframe src=javascript:{RUN}>",
    f"<object data=javascript:{RUN}>",
    f"<embed src=javascript:{RUN}>",
    f"<a href=javascript:{RUN}>x</a>",
    f"javascript:{RUN}",
    f"<form action=javascript:{RUN}><input type=submit>",
    f"<button formaction=javascript:{RUN}>x",
    f"<details open ontoggle={RUN}>",
    f"<video><source onerror={RUN}>",
    f"<audio src=x onerror={RUN}>",
    f"<input autofocus onfocus={RUN}>",
    f"<select autofocus onfocus={RUN}>",
    f"<marquee onstart={RUN}>",
    f"<meta http-equiv=refresh content='0;url=javascript:{RUN}'>",
    "<base href=https://example.org/>",
    "<link rel=stylesheet href=https://example.org/x.css>",
    "<style>@import 'https://example.org/x.css';</style>",
    "<img src=https://example.org/x.png>",
    "<div style='background:url(https://example.org/x)'>",
    f"{{{{ ''.__class__ }}}}{RUN}",
    f"{{% for x in ().__class__.__base__.__subclasses__() %}}{RUN}{{% endfor %}}",
    f"${{{RUN}}}",
    f"#{{{RUN}}}",
    f"&lt;script&gt;{RUN}&lt;/script&gt;",
    f"&#60;script&#62;{RUN}&#60;/script&#62;",
    f"%3Cscript%3E{RUN}%3C/script%3E",
    f"\\u003cscript\\u003e{RUN}\\u003c/script\\u003e",
    f"\\x3cscript\\x3e{RUN}\\x3c/script\\x3e",
    f"\uff1cscript\uff1e{RUN}\uff1c/script\uff1e",
    f"\u2028{RUN}//\u2029",
    f"'-({RUN})-'",
    f"\";{RUN};//",
    f"\\\";{RUN};//",
    f"datum.x;{RUN}",
    f"[](javascript:{RUN}) ![x](javascript:{RUN})",
    f"<noscript><p title=\"</noscript><img src=x onerror={RUN}>\">",
    f"<template><script>{RUN}</script></template>",
    f"<xmp><script>{RUN}</script></xmp>",
    "\u202egnihtemos\u202c \u200b\u2066x\u2069",
    "Robert'); DROP TABLE methods;-- & \" ' < > /",
)  # fmt: skip


def hostile(i: int, limit: int = 200) -> str:
    return CORPUS[i % len(CORPUS)][:limit]


def hostile_metadata(slug: str, start: int) -> dict:
    """Every free field holds another payload."""
    h = iter(range(start, start + 40))
    return metadata(
        slug,
        title=hostile(next(h)),
        summary=(hostile(next(h)) + " " * 20 + hostile(next(h)))[:1200].strip().ljust(20, "."),
        authors=[hostile(next(h)), hostile(next(h))],
        paper={"title": hostile(next(h)), "venue": hostile(next(h), 120), "url": "https://example.org/a&b=%3Cscript%3E"},
        licence=hostile(next(h), 60),
        hyperparameters={hostile(next(h)): hostile(next(h)), "b": hostile(next(h))},
        deviations=[hostile(next(h)), hostile(next(h))],
        reported=[{"dataset": hostile(next(h)), "architecture": hostile(next(h)), "metric": "top-1", "value": 1.0,
                   "source": hostile(next(h), 120)}],
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A site whose every contributed string is a payload: enough methods to go through the whole corpus."""
    root = tmp_path_factory.mktemp("hostile")
    repository = make_repository(root)
    grid = load_grid(repository.grid)
    count = len(CORPUS) // 15 + 2
    names = slugs(count)
    plan = Plan(
        benchmarks=("digits-mlp",), methods=count, controls=False, failures={(name, "8"): "method_error" for name in names}
    )
    for i, name in enumerate(names):
        write_submission(repository, hostile_metadata(name, 15 * i), code=f'"""{hostile(i)}"""\n# {hostile(i + 1)}\nx = 1\n')
    digests = {name: load_submission(repository.submissions / name).digest for name in names}
    made = []
    fields = ("device", "cuda", "driver", "python", "platform", "espalier")
    for i, record in enumerate(records(grid, plan)):
        environment = {name: hostile(i + j) for j, name in enumerate(fields)}
        digest = digests.get(record.submission, record.inputs.submission)
        made.append(record.model_copy(update={
            "inputs": record.inputs.model_copy(update={"submission": digest}),
            "reason": hostile(i) if record.status != "ok" else None, "log": hostile(i + 9) + "\n" + hostile(i + 10),
            "setup": hostile(i + 20), "environment": record.environment.model_copy(update=environment),
        }))  # fmt: skip
    Store(repository.published).add(made)
    open_door = [record for record in made if record.submission in ("dense", *names[:2])]
    Store(repository.local).add([_without_sandbox(record) for record in open_door])
    built = build(repository, root / "public")
    assert not [line for line in built.warnings if "left out" in line]
    return root / "public"


def _without_sandbox(record):
    """The same, measured here: a second board, and banners that name methods."""
    return record.model_copy(update={"environment": record.environment.model_copy(update={"sandbox": "none"})})


def test_corpus_is_large():
    assert len(set(CORPUS)) >= 60


def test_no_payload_becomes_markup(folder):
    """No tag, attribute or link comes from a payload; every payload that a page holds is escaped."""
    assert problems(folder) == []
    for path in folder.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        scripts = re.findall(r"<script[^>]*>", text, re.IGNORECASE)
        assert all("src=" in tag or 'type="application/json"' in tag for tag in scripts), path
        assert not re.search(
            r"<(img|iframe|object|embed|form|base|style|math|marquee|video|audio|body\s)", text, re.IGNORECASE
        ), path


def test_every_payload_is_on_some_page(folder):
    """The test above would pass on a site that shows nothing."""
    from html import unescape

    pages = "".join(unescape(path.read_text(encoding="utf-8")) for path in folder.rglob("*.html"))
    missing = [payload for payload in CORPUS if payload.strip() not in pages]
    assert missing == []


def test_nothing_runs_in_a_browser(folder, visit):
    """Real Chromium, every page: no payload runs, the policy is never even asked, nothing is fetched."""
    for path in sorted(folder.rglob("*.html")):
        seen = visit(path)
        page = seen.page
        page.wait_for_timeout(150)
        draw_all(page)
        for mark in page.query_selector_all(".live g.layer_6_marks path")[:3]:
            mark.hover(force=True)  # the tooltip holds a contributed title
        assert page.evaluate("window.pwned") is None, path.name
        assert seen.console == [], path.name
        assert [url for url in seen.requests if not url.startswith(("file:", "data:"))] == [], path.name
        page.close()
