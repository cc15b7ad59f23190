"""The whole build, end to end, into a temporary folder."""

from __future__ import annotations

import json
import math
import re
import shutil
from dataclasses import replace

import altair
import pandas as pd
import pytest
from leaderboard import build as build_module
from leaderboard.build import build, gather
from leaderboard.errors import SiteError
from leaderboard.pages.method import coverage
from leaderboard.vendor import BUNDLE, FOLDER, MANIFEST
from leaderboard.verify import problems, same
from typer.testing import CliRunner

from evaluator.canonical import digest_file
from evaluator.commands.site import site as command
from evaluator.errors import EspalierError
from tests.site.methods import metadata, write_submission
from tests.site.specifications import specifications
from tests.site.synthetic import Plan, fill, make_repository

PAGE = "benchmarks/mnist-lenet-300-100.html"


def text(site, path):
    return (site.folder / path).read_text(encoding="utf-8")


def test_every_page_is_there(site):
    pages = {path.relative_to(site.folder).as_posix() for path in site.folder.rglob("*.html")}
    assert pages >= {"index.html", "methods.html", "protocol.html", "contribute.html", "data.html", "404.html",
                     "benchmarks/mnist-lenet-300-100.html", "methods/lamp.html"}  # fmt: skip
    assert site.built.pages == len(pages)


def test_site_keeps_its_own_rules(site):
    """Links resolve, nothing is loaded from outside, nothing is inline."""
    assert problems(site.folder) == []


def test_rebuild_is_byte_identical(site, tmp_path):
    """Elsewhere, later, without kept drawings: the same bytes."""
    shutil.copytree(site.repository.root, tmp_path / "copy", ignore=shutil.ignore_patterns("public", "cache"))
    again = build(make_repository_at(tmp_path / "copy"), tmp_path / "out")
    assert again.records == site.built.records
    assert same(site.folder, tmp_path / "out") == []


def make_repository_at(root):
    from evaluator.repository import Repository

    return Repository(root)


def test_local_figures_stand_apart(site):
    page = text(site, "benchmarks/digits-cnn.html")
    assert "Measured on this machine, not published" in page
    assert "Measured without a sandbox" in page
    assert "Measured on this machine" not in text(site, "benchmarks/digits-mlp.html")


def test_failures_and_gaps_are_shown(site):
    page = text(site, "benchmarks/mnist-lenet-300-100.html")
    assert "timeout (3)" in page
    assert "missing (1)" in page
    assert "collapsed" in page
    assert "the method ran longer than its 60 seconds" in page
    method = text(site, "methods/lamp.html")
    assert "kept 33400 of 266200 weights" in method
    assert "espalier evaluate lamp --cell mnist-lenet-300-100/one-shot/unstructured/2/0 --force" in method


def test_toy_tier_says_so(site):
    assert "too easy to rank methods" in text(site, "benchmarks/mnist-lenet-300-100.html")


def test_method_page_has_its_code_highlighted(site):
    page = text(site, "methods/lamp.html")
    assert '<span class="h-k">class</span>' in page
    assert "As reported" in page


def test_tables_stand_without_a_script(site):
    """Every figure of a chart is in the table, and a drawing is in its place."""
    page = text(site, PAGE)
    assert page.count('<svg class="marks"') == 4
    assert re.findall(r'<figure class="chart"[^>]*id="([^"]+)"', page) == list(specifications(site.folder, PAGE))
    assert len(re.findall(r'<tbody data-slug="', page)) == 2 * 4


def test_each_row_draws_its_losses_and_its_rank(site):
    """On one scale for the board: the largest loss of all ends at the bottom; who shares a first place is marked."""
    panels = re.findall(r'<table class="ranking">.*?</table>', text(site, PAGE), re.DOTALL)
    assert len(panels) == 2
    for panel in panels:
        lines = re.findall(r'<svg class="spark"[^>]*><path d="M([^"]+)"', panel)
        heights = [float(point.split()[1]) for line in lines for point in line.split("L")]
        assert len(lines) == 4
        assert (min(heights) >= 1, max(heights)) == (True, 15)
        assert panel.count('<svg class="range"') == panel.count('class="sub rank')
        assert 'class="figure best" title="shares rank 1' in panel


def test_a_method_says_how_far_it_is_measured(site):
    """Two benchmarks published, one measured here; one of them has the points that Blalock et al. ask for, and a failure."""
    found = gather(site.repository)
    assert [coverage(found, slug).pairs for slug in ("global-magnitude", "lamp", "nobody")] == [1, 0, 0]
    whole, gap = coverage(found, "global-magnitude"), coverage(found, "lamp")
    assert (whole.measured_on, whole.enough, gap.tally.failed) == (3, False, 3)
    assert replace(whole, pairs=3, large=1).minimum == "met"
    assert not replace(whole, pairs=3, large=0).enough
    assert f"Minimum of Blalock et al. (2020): {whole.minimum}" in text(site, "methods/global-magnitude.html")
    assert (
        whole.minimum == "1 pair of data and network with 5 points and 3 seeds, where 3 are asked for; none of them is large"
    )
    assert ">Trainability</th>" in text(site, "methods/global-magnitude.html")


def test_the_minimum_counts_what_is_published(tmp_path):
    repository = make_repository(tmp_path)
    fill(repository, Plan(benchmarks=("mnist-lenet-300-100",), methods=1), local=True)
    assert coverage(gather(repository), "global-magnitude").pairs == 0
    fill(repository, Plan(benchmarks=("mnist-lenet-300-100",), methods=1))
    assert coverage(gather(repository), "global-magnitude").pairs == 1


def test_hypervolume_of_a_method_and_of_its_board(site):
    """By hand from the points of each seed; none for a method with a gap; a board's is at least that of its best method."""
    found = gather(site.repository)
    standing = next(one["after"] for one in found.standings if "mnist" in next(iter(one.values())).board.key.benchmark)
    entry = standing.entry("global-magnitude")
    by_hand = [
        sum(  # from the largest compression on, each point adds what lies above those beyond it
            math.log2(points[i][0]) * max(0, points[i][1] - max((a for _, a in points[i + 1 :]), default=10))
            for i in range(len(points))
        )
        for seed in standing.frame.seeds
        for points in [[(p.target.factor, t.accuracy) for p in entry.points for t in p.trials if t.seed == seed]]
    ]
    volume = standing.hypervolume("compression", [entry])
    assert (volume.mean, volume.n) == (pytest.approx(sum(by_hand) / 3), 3)
    assert volume.mean < standing.lossless
    assert standing.hypervolume("compression", [standing.entry("lamp")]).n == 0
    page, method = text(site, PAGE), text(site, "methods/global-magnitude.html")
    assert f"hypervolume <b>{volume.mean:.1f}</b>" in method
    assert "Hypervolume of all methods with every figure" in page


def test_downloads_agree(site):
    """CSV, JSON and Parquet hold the same records; local ones are apart."""
    data = site.folder / "data"
    csv, parquet = pd.read_csv(data / "records.csv"), pd.read_parquet(data / "records.parquet")
    rows = json.loads((data / "records.json").read_text())
    assert len(csv) == len(parquet) == len(rows) == len(pd.read_csv(data / "records.csv")) > 100
    assert list(csv.columns) == list(parquet.columns) == list(rows[0])
    assert csv["after_correct"].sum() == parquet["after_correct"].sum() == sum(row["after_correct"] or 0 for row in rows)
    assert set(csv["sandbox"]) == {"bubblewrap"}
    assert set(pd.read_csv(data / "local-records.csv")["sandbox"]) == {"none"}
    summary = pd.read_csv(data / "summary.csv")
    assert summary.loc[summary["submission"] == "lamp", "nauc_compression"].notna().any()
    page = text(site, "data.html")
    assert all(f"<code>{name}</code>" in page for name in csv.columns)


def test_empty_repository_builds(tmp_path):
    """Nothing measured, nothing submitted: still a site."""
    built = build(make_repository(tmp_path), tmp_path / "public")
    assert (built.records, built.warnings) == (0, [])
    assert "Nothing has been measured yet" in (tmp_path / "public" / "index.html").read_text()
    assert "newest record" not in (tmp_path / "public" / "index.html").read_text()


def test_invalid_submission_costs_its_own_page(tmp_path):
    repository = make_repository(tmp_path)
    write_submission(repository, metadata("fine-one"))
    write_submission(repository, {**metadata("broken-one"), "division": "no such"})
    built = build(repository, tmp_path / "public")
    assert (tmp_path / "public" / "methods" / "fine-one.html").is_file()
    assert len(built.warnings) == 1
    assert "broken-one" in built.warnings[0]


def test_method_without_metadata_has_a_page(tmp_path):
    repository = make_repository(tmp_path)
    fill(repository, Plan(benchmarks=("digits-mlp",), methods=1), submissions=False)
    build(repository, tmp_path / "public")
    assert "No metadata" in (tmp_path / "public" / "methods" / "global-magnitude.html").read_text()


def test_date_comes_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    build(make_repository(tmp_path), tmp_path / "public")
    assert "1970-01-01" in (tmp_path / "public" / "index.html").read_text()
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    with pytest.raises(SiteError, match="SOURCE_DATE_EPOCH"):
        build(make_repository(tmp_path / "b"), tmp_path / "b" / "public")


def test_foreign_folder_is_never_replaced(tmp_path):
    repository = make_repository(tmp_path)
    with pytest.raises(SiteError, match="something else"):
        build(repository, repository.root)
    assert repository.grid.is_dir()


def test_old_site_stays_when_the_new_one_is_wrong(tmp_path, monkeypatch):
    """A site that breaks its rules is not put in place, and leaves nothing behind."""
    repository = make_repository(tmp_path)
    output = tmp_path / "public"
    build(repository, output)
    before = digest_file(output / "index.html")
    monkeypatch.setattr(build_module, "problems", lambda *_: ["index.html: loads https://example.org/x.js"])
    fill(repository, Plan(benchmarks=("digits-mlp",), methods=1))
    with pytest.raises(SiteError, match=r"loads https://example\.org"):
        build(repository, output)
    assert digest_file(output / "index.html") == before
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".public")] == []


@pytest.mark.parametrize(
    ("html", "problem"),
    [
        ('<a href="gone.html">x</a>', "which is not there"),
        ('<a href="#gone">x</a>', "nothing has that identifier"),
        ('<a href="javascript:alert(1)">x</a>', "links to javascript:"),
        ('<img src="//example.org/a.png">', "loads //example.org"),
        ('<script>alert(1)</script>', "inline script"),
        ('<p style="color: red">', "inline style"),
        ('<p onclick="x()">', "event handler onclick"),
        ("<style>p{}</style>", "inline style"),
        ("<p>", "no content security policy"),
    ],
)  # fmt: skip
def test_verifier_finds(tmp_path, html, problem):
    (tmp_path / "index.html").write_text(html)
    assert any(problem in line for line in problems(tmp_path))


def test_vendored_bundle_is_what_its_manifest_says():
    """And of the Vega-Lite that Altair writes for."""
    manifest = json.loads((FOLDER / MANIFEST).read_text())
    assert digest_file(FOLDER / BUNDLE) == manifest["sha256"]
    assert altair.SCHEMA_VERSION.startswith(f"v{manifest['versions']['vega-lite']}.")


def test_command_line(tmp_path):
    """Exit codes: 0 built, 1 with --strict and something left out that is not merely stale; errors name the remedy."""
    repository = make_repository(tmp_path)
    fill(repository, Plan(benchmarks=("digits-mlp",), methods=1, sandbox="none"))
    runner = CliRunner()
    built = runner.invoke(command, ["build", "--root", str(tmp_path)])
    assert built.exit_code == 0
    assert "index.html" in built.output
    assert "refused" in built.output
    assert runner.invoke(command, ["build", "--root", str(tmp_path), "--strict"]).exit_code == 1
    lost = runner.invoke(command, ["serve", "--root", str(tmp_path), "--output", str(tmp_path / "none")])
    assert isinstance(lost.exception, EspalierError)
    assert "espalier site build" in str(lost.exception)
    assert runner.invoke(command, ["build", "--nonsense"]).exit_code == 2
