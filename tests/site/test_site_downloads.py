"""A snapshot that names its day and its content, citations that parse, evaluation tables with the figures of the records."""

from __future__ import annotations

import json
import shutil
import zipfile
from html import unescape

import pandas as pd
import pytest
import yaml
from leaderboard.build import build
from leaderboard.rebuild import compare

from evaluator.canonical import digest_file
from tests.site.synthetic import Plan, fill, make_repository


@pytest.fixture(scope="module")
def data(site):
    return site.folder / "data"


@pytest.fixture(scope="module")
def records(data):
    return pd.read_csv(data / "records.csv")


@pytest.fixture(scope="module")
def tables(data):
    (task,) = json.loads((data / "evaluation-tables.json").read_text(encoding="utf-8"))
    assert task["task"] == "Network Pruning"
    return {one["dataset"]: one["sota"] for one in task["datasets"]}


def test_snapshot_is_named_by_its_day_and_content(data, records):
    (path,) = data.glob("*.zip")
    day = records["created"].max()[:10]
    assert path.name == f"espalier-{day}-{digest_file(data / 'records.csv')[:12]}.zip"
    with zipfile.ZipFile(path) as archive:
        members = {name.rpartition("/")[2]: archive.read(name) for name in archive.namelist()}
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}
    assert set(members) == {"records.parquet", "summary.parquet", "evaluation-tables.json", "columns.csv", "espalier.bib",
                            "CITATION.cff"}  # fmt: skip
    assert all((data / name).read_bytes() == content for name, content in members.items())


def test_columns_are_explained_beside_the_records(data, records):
    assert list(pd.read_csv(data / "columns.csv")["column"]) == list(records.columns)


def test_citations_parse_and_say_what_is_cited(site, data, records):
    cited = yaml.safe_load((data / "CITATION.cff").read_text(encoding="utf-8"))
    day, digest = records["created"].max()[:10], digest_file(data / "records.csv")
    assert (cited["cff-version"], cited["type"]) == ("1.2.0", "dataset")
    assert (str(cited["date-released"]), cited["version"]) == (day, f"{day}-{digest[:12]}")
    bibtex = (data / "espalier.bib").read_text(encoding="utf-8")
    assert bibtex.startswith(f"@misc{{espalier-{day},")
    assert bibtex.count("{") == bibtex.count("}")
    assert digest in bibtex
    assert "url" not in bibtex + str(cited)
    page = unescape((site.folder / "data.html").read_text(encoding="utf-8"))
    assert bibtex in page
    assert cited["version"] in page


def test_evaluation_tables_have_every_published_board(tables, records):
    boards = records[records["variant"] == "method"].groupby("benchmark")["submission"].nunique()
    assert sorted(len(one["rows"]) for one in tables.values()) == sorted(boards)
    assert not any("digits" in name and "CNN" in name for name in tables)


def test_evaluation_tables_hold_the_figures_of_the_records(tables, records):
    sota = next(one for name, one in tables.items() if "LeNet-300-100" in name)
    mine = records[(records["benchmark"] == "mnist-lenet-300-100") & (records["variant"] == "method")]
    for row in sota["rows"]:
        assert set(row["metrics"]) <= set(sota["metrics"])
        for target in ("2", "4", "8", "16", "32"):
            at = mine[(mine["submission"] == row["espalier"]["slug"]) & (mine["target"] == float(target))]
            shown = row["metrics"].get(f"Top-1 at {target}\N{MULTIPLICATION SIGN}")
            mean = at.loc[at["status"] == "ok", "after_accuracy"].mean()
            assert (shown is None) if pd.isna(mean) else float(shown) == pytest.approx(mean, abs=0.006)
    gaps = {row["espalier"]["slug"] for row in sota["rows"] if "NAUC on compression" not in row["metrics"]}
    assert gaps == {"lamp", "erk-magnitude"}
    assert all(row["espalier"]["rank"] is None for row in sota["rows"] if row["espalier"]["slug"] in gaps)


def test_what_one_machine_measured_is_not_to_be_cited(tmp_path):
    repository = make_repository(tmp_path)
    fill(repository, Plan(benchmarks=("digits-mlp",), methods=1), local=True)
    build(repository, tmp_path / "public")
    assert {path.name for path in (tmp_path / "public" / "data").glob("[!lc]*")} == {"search.js"}
    page = (tmp_path / "public" / "data.html").read_text(encoding="utf-8")
    assert "local-records.csv" in page
    assert "Citing it" not in page


def test_a_snapshot_that_was_published_stays_where_it_is(tmp_path):
    """Under its name, with its bytes, and listed; what is no snapshot is not carried over, and today's is made anew."""
    repository = make_repository(tmp_path)
    fill(repository, Plan(benchmarks=("digits-mlp",), methods=1))
    build(repository, tmp_path / "first")
    (first,) = (tmp_path / "first" / "data").glob("*.zip")
    earlier = tmp_path / "earlier"
    shutil.copytree(first.parent, earlier)
    (earlier / first.name).write_bytes(b"not what the records say")
    (earlier / "espalier-2026-01-02-0123456789ab.zip").write_bytes(b"cited by somebody")
    (earlier / "espalier-2026-01-01-0123456789ab.zip").symlink_to(first)
    (earlier / "espalier-2026-01-02-<script>.zip").touch()
    build(repository, tmp_path / "second", snapshots=earlier)
    data = tmp_path / "second" / "data"
    assert {path.name for path in data.glob("*.zip")} == {first.name, "espalier-2026-01-02-0123456789ab.zip"}
    assert (data / first.name).read_bytes() == first.read_bytes()
    assert (data / "espalier-2026-01-02-0123456789ab.zip").read_bytes() == b"cited by somebody"
    page = (tmp_path / "second" / "data.html").read_text(encoding="utf-8")
    assert "espalier-2026-01-02-0123456789ab.zip</a>, 17 bytes" in page
    assert "Earlier snapshots" not in (tmp_path / "first" / "data.html").read_text(encoding="utf-8")
    assert compare(repository, tmp_path / "second", local=True).differences == []
