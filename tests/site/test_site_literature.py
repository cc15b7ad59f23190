"""The corpus is read as its authors counted it; reported figures are labelled, and stand beside measured ones."""

from __future__ import annotations

import csv
import math
import re
from html import unescape

import pytest
from leaderboard.build import gather
from leaderboard.corpus import CORPUS, load_corpus, papers_of
from leaderboard.pages import beside, literature
from leaderboard.reported import by_factor, yearly
from leaderboard.series import in_turn

from evaluator.metadata import Reported
from tests.site.specifications import specifications
from tests.site.synthetic import Plan, fill, make_repository

CORPUS_READ = load_corpus()
RESNET_56 = ("CIFAR-10", "ResNet-56")


def page(site, path):
    return unescape((site.folder / path).read_text(encoding="utf-8"))


def test_counts_are_those_of_the_paper():
    """Blalock et al., section 4: papers, data sets, networks, the most used pairs, and who compares with nobody."""
    facts = literature.facts(CORPUS_READ)
    assert (facts["papers"], facts["results"], facts["datasets"], facts["networks"]) == (81, 551, 49, 132)
    assert facts["pairs"] == pytest.approx(195, abs=1)
    most = {pair: len(papers_of(reports)) for pair, reports in list(CORPUS_READ.pairs.items())[:4]}
    assert most == {("ImageNet", "VGG-16"): 22, ("ImageNet", "ResNet-50"): 15, RESNET_56: 14, ("MNIST", "LeNet-5-Caffe"): 14}
    none, one, *_ = literature.shares(len(set(paper.compares_to)) for paper in CORPUS_READ.papers)
    assert none.papers > 81 / 4
    assert one.papers > 81 / 4
    assert facts["spreads"] == 16


def report(number):
    return next(one for one in CORPUS_READ.reports if one.number == number)


@pytest.mark.parametrize(
    ("number", "top1", "change", "compression", "speedup"),
    [
        ("327", 91.90, -0.90, math.nan, 2.0),  # half of the FLOPs are kept
        ("142", 93.10, 0.06, 0.85 / 0.77, 0.125 / 0.112),  # an error, and counts before and after
        ("50", 76.52, -0.17, 5.0, math.nan),  # 80 % of the weights are removed
        ("401", 70.88, 2.52, 2.11, math.nan),  # a ratio as printed
        ("1", math.nan, math.nan, math.nan, math.nan),  # only that there is such a result
    ],
)
def test_arithmetic_of_a_row(number, top1, change, compression, speedup):
    found = report(number)
    figures = [found.top1, found.change, found.compression, found.speedup]
    assert figures == pytest.approx([top1, change, compression, speedup], abs=1e-9, nan_ok=True)


def test_nothing_is_better_than_it_was_reported():
    """No factor below one, no accuracy that its row does not give."""
    with (CORPUS / "results.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["Name"]: row for row in csv.DictReader(file)}
    for one in CORPUS_READ.reports:
        assert all(factor >= 1 for factor in one.factors)
        row = rows[one.number]
        said = row["Top1"] or row["Err1"] or (row["dTop1"] and (row["OrigTop1"] or row["OrigErr1"]))
        assert math.isfinite(one.top1) == bool(said)


def test_best_of_a_year_by_hand():
    reports = CORPUS_READ.pairs[RESNET_56]
    for year, found in yearly(reports).items():
        best = max(one.top1 for one in reports if one.paper.year == year and max(one.factors, default=0) >= 2
                   and math.isfinite(one.top1))  # fmt: skip
        assert found[0].top1 == best


def test_chart_has_every_trade_off_once():
    reports = CORPUS_READ.pairs[RESNET_56]
    drawing = by_factor(reports, "speedup", in_turn({one.series for one in reports}))
    known = [one for one in reports if math.isfinite(one.top1) and math.isfinite(one.speedup)]
    assert len(drawing.means) == len(known)
    assert {row["m"] for row in drawing.means} == set(drawing.series)
    assert all("as reported" in row["tip"] for row in drawing.means)


def test_pages_hold_all_of_it(site):
    results = page(site, "literature/results.html")
    assert len(re.findall(r"<tbody", results)) == 551
    assert "As reported, not comparable." in results
    papers = page(site, "literature/papers.html")
    assert len(re.findall(r"<tbody", papers)) == 81
    assert all(paper.title in papers for paper in CORPUS_READ.papers)
    pairs = page(site, "literature/pairs.html")
    assert len(re.findall(r"<tbody", pairs)) == len(CORPUS_READ.pairs) + 49 + 132


def test_licence_travels_with_the_data(site):
    folder = site.folder / "data" / "literature"
    assert "MIT License" in (folder / "LICENSE").read_text(encoding="utf-8")
    assert "Blalock" in (folder / "README.md").read_text(encoding="utf-8")
    assert (folder / "results.csv").read_bytes() == (CORPUS / "results.csv").read_bytes()


def test_reported_stands_beside_measured_of_the_same_method(site):
    """LAMP says 98.4 at 12.2; the smallest target beyond is 16, where it failed: then nothing is put beside."""
    gathered = gather(site.repository)
    one = beside.view(gathered, CORPUS_READ, "mnist-lenet-300-100")
    near = {claim.slug: found for claim, found in one.lines}
    assert near["lamp"] is None
    entry = one.standing.entry("global-magnitude")
    point = next(point for point in entry.points if point.target.label == "16")
    assert near["global-magnitude"].point.accuracy == point.accuracy
    text = page(site, "literature.html")
    section = text[text.index('id="beside-mnist-lenet-300-100"') :].split("</table>")[0]
    assert f"{point.accuracy.mean:.2f}" in section
    assert "As reported, not comparable." in text
    assert one.silent == 12


def test_one_source_of_several_figures_is_named_once():
    def of(source):
        return Reported(dataset="MNIST", architecture="LeNet-5", metric="top-1", value=99, source=source), None

    assert beside.runs([of(source) for source in ("a", "a", "b", "a")]) == [2, 0, 1, 1]
    assert beside.runs([]) == []


def test_a_method_page_has_its_reported_figures_beside_its_own(site):
    """In the table, with what is not the same; and in the chart, as a mark of its own."""
    gathered = gather(site.repository)
    [(one, match)] = beside.matches(gathered, "global-magnitude")
    assert (one.value, match.title, match.point.target.label) == (98.4, "MNIST / LeNet-300-100", "16")
    assert beside.matches(gathered, "lamp")[0][1] is None
    text = page(site, "methods/global-magnitude.html")
    section = text[text.index("As reported <small>") :].split("</section>")[0]
    assert f"{match.point.accuracy.mean:.2f}" in section
    dense = match.standing.dense["after"].mean
    assert f"The dense network has {dense:.2f} % here, where reported it is not said." in section
    found = specifications(site.folder, "methods/global-magnitude.html")
    told = {name: [row for row in spec["datasets"]["means"] if row["t"] == "as reported"] for name, spec in found.items()}
    [(name, [row])] = [(name, rows) for name, rows in told.items() if rows]
    assert name.endswith("-after-compression")  # of retraining; no speedup is reported
    assert (row["x"], row["a"]) == (12.2, 98.4)


def test_other_form_of_the_same_pictures_is_a_relative(tmp_path):
    """Put side by side, with what differs; never as the same pair."""
    repository = make_repository(tmp_path)
    path = repository.grid / "benchmarks.yaml"
    path.write_text(path.read_text().replace("title: MNIST / LeNet-300", "title: MNIST (inverted) / LeNet-300"))
    fill(repository, Plan(benchmarks=("mnist-lenet-300-100",), methods=2))
    gathered = gather(repository)
    [one] = beside.relatives(gathered, CORPUS_READ)
    assert (one.title, one.pair) == ("MNIST (inverted) / LeNet-300-100", "MNIST / LeNet-300-100")
    assert {claim.slug for claim, near in one.lines if near} == {"global-magnitude", "uniform-magnitude"}
    assert one.differs[0] == "Reported on MNIST, measured on MNIST (inverted): other pictures."
    assert "Compression is of all parameters here; reports often count prunable weights alone." in one.differs
    assert "mnist-lenet-300-100" not in [other.name for other in beside.views(gathered, CORPUS_READ) if other.lines]
    assert beside.claims(gathered, "global-magnitude", "mnist-lenet-300-100") == []
    [(_, match)] = beside.matches(gathered, "global-magnitude")
    assert match.differs[0] == one.differs[0]


def test_other_images_are_another_pair(site):
    """CIFAR-10 (JPEG) is not CIFAR-10."""
    names = [one.name for one in beside.views(gather(site.repository), CORPUS_READ)]
    assert "cifar10-resnet-56" in names
    assert not [name for name in names if "jpeg" in name]
