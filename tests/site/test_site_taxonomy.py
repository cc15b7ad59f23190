"""The tree has every method once, and both matrices count what the records hold."""

from __future__ import annotations

import re
from collections import Counter
from html import unescape

import pytest
from leaderboard.build import gather
from leaderboard.pages.progress import state
from leaderboard.pages.taxonomy import CRITERIA, DIVISIONS, STAGES, pages, tree
from leaderboard.rows import to_frame

from tests.site.methods import ALL_KINDS
from tests.site.synthetic import Plan, fill, make_repository, open_everything


@pytest.fixture(scope="module")
def gathered(tmp_path_factory):
    """Two methods of every track and division; those of one kind are measured."""
    repository = make_repository(tmp_path_factory.mktemp("taxonomy"))
    open_everything(repository, "digits-cnn")
    fill(repository, Plan(benchmarks=(), methods=2, kinds=ALL_KINDS))
    fill(repository, Plan(benchmarks=("digits-cnn",), methods=2), submissions=False)
    return gather(repository)


def test_every_method_is_one_leaf(gathered):
    limbs = tree(gathered, [])
    leaves = [leaf.slug for limb in limbs for branch in limb.branches for leaf in branch.leaves]
    assert sorted(leaves) == sorted(gathered.submissions)
    assert len(limbs) == len(DIVISIONS) * len(STAGES)


def test_branches_are_the_metadatas_and_gaps_are_named(gathered):
    for limb in tree(gathered, []):
        here = {one.metadata.facets.criterion for one in gathered.submissions.values()
                if (one.metadata.division, one.metadata.stage) == (limb.division, limb.stage)}  # fmt: skip
        assert {branch.criterion for branch in limb.branches} == here
        assert set(limb.absent) == set(CRITERIA) - here


def test_matrix_of_facets_counts_methods_and_measured_ones(gathered):
    [page] = pages(gathered)
    measured = set(to_frame(gathered.results.rows)["submission"]) - {"dense"}
    expected = Counter((one.metadata.facets.criterion, one.metadata.division, one.metadata.stage)
                       for one in gathered.submissions.values())  # fmt: skip
    for criterion, branches in page.context["matrix"].items():
        for (division, stage), branch in zip(((d, s) for d in DIVISIONS for s in STAGES), branches, strict=True):
            assert (len(branch.leaves) if branch else 0) == expected[criterion, division, stage]
            if branch:
                assert branch.measured == sum(leaf.slug in measured for leaf in branch.leaves)


def test_coverage_counts_cells(gathered):
    """Measured cells are the records', and all cells of a benchmark are its methods' together."""
    [page] = pages(gathered)
    frame = to_frame(gathered.results.rows)
    columns = [one.name for one in page.context["columns"]]
    for rows in page.context["rows"].values():
        for row in rows:
            for name, tally in zip(columns, row.tallies, strict=True):
                own = frame[
                    (frame["submission"] == row.slug) & (frame["benchmark"] == name) & (frame["variant"] == "method")
                ]
                assert (tally.measured if tally else 0) == len(own)
    one = state(gathered, "digits-cnn")
    assert one.cells == sum(tally.cells for tally in one.tallies.values())
    assert one.measured == len(frame[frame["variant"] == "method"]) > 0


def test_figures_stand_on_the_page(site):
    """Of the built site: a failed and a missing cell are told from measured ones."""
    text = unescape((site.folder / "taxonomy.html").read_text(encoding="utf-8"))
    row = re.search(r'<tr><th scope="row">(?:(?!</tr>).)*?methods/lamp\.html(?:(?!</tr>).)*</tr>', text, re.DOTALL)
    cells = [re.sub(r"<[^>]+>", "", cell) for cell in re.findall(r"<td.*?</td>", row.group(), re.DOTALL)]
    assert "12 / 153 failed" in cells  # one of five targets timed out, with its three seeds
    assert 'href="taxonomy.html"' in (site.folder / "methods.html").read_text(encoding="utf-8")
