"""Tracks, divisions and recipes: every board says what it is, and has the figures that are defined on it."""

from __future__ import annotations

import json
import re
from html import unescape

import pandas as pd
import pytest
import yaml
from leaderboard.build import build, gather
from leaderboard.columns import COLUMNS
from leaderboard.pages.home import pages as home_pages
from leaderboard.pages.progress import state
from leaderboard.pages.site import board_of
from leaderboard.verify import problems

from evaluator.canonical import digest
from evaluator.grid import load_grid
from evaluator.repository import Repository
from tests.site.methods import ALL_KINDS, USUAL, metadata_of, write_submission
from tests.site.specifications import specifications
from tests.site.synthetic import Plan, fill, make_repository, open_everything

NAME = "digits-cnn"
TIMES, DASH = "\N{MULTIPLICATION SIGN}", "\N{EN DASH}"
PAGE = f"benchmarks/{NAME}.html"
STRUCTURED = f"benchmarks/{NAME}/one-shot-structured-digits-retraining-cpu-published.html"


@pytest.fixture(scope="module")
def repository(many) -> Repository:
    return many.repository


@pytest.fixture(scope="module")
def folder(many):
    return many.folder


@pytest.fixture(scope="module")
def standings(repository):
    """(track, division, recipe is the usual one) -> standings."""
    site = gather(repository)
    published = [of for of in site.standings if board_of(of).key.origin == "published"]
    return {(one.board.key.track, one.board.key.division, one.board.key.recipe != "lenet-5-retraining"): of
            for of in published for one in [next(iter(of.values()))]}  # fmt: skip


def page(folder, path=PAGE):
    return unescape((folder / path).read_text(encoding="utf-8"))


def board(folder, track, division):
    """What the page of one board (of the usual recipe) shows of it."""
    text = page(folder, address(folder, track, division))
    return text[text.index('<section class="board" id="') :]


def address(folder, track, division):
    paths = sorted((folder / "benchmarks" / NAME).glob(f"{track}-{division}-*-published.html"))
    return next(path.relative_to(folder).as_posix() for path in paths if "lenet-5-retraining" not in path.name)


def specs(folder, track, division, part):
    own = specifications(folder, address(folder, track, division))
    return [own[figure] for figure in re.findall(r'<figure class="chart"[^>]*id="([^"]+)"', part)]


def head(part):
    """Headings of its first table."""
    return re.sub(r"<[^>]+>", " ", part[part.index("<thead>") :].split("</thead>")[0])


def test_site_keeps_its_own_rules(folder):
    assert problems(folder) == []


def test_boards_are_listed_in_the_protocols_order(folder):
    """And every one of them can be reached from the list."""
    text = page(folder)
    titles = re.findall(r'<h3><a class="whole" href="[^"]+">([^<]+)</a>', text)
    assert titles == re.findall(r'<li><a href="[^"]+"[^>]*>([^<]+)</a></li>', board_nav(folder)) == [
        "Post-training · unstructured", "Post-training · structured", "One-shot · unstructured",
        "One-shot · unstructured · 1 epoch, learning rate 0.01, cosine", "One-shot · semi-structured",
        "One-shot · structured", "Iterative · unstructured", "At initialisation · unstructured",
        "Sparse training · unstructured", "One-shot · unstructured, on this machine",
    ]  # fmt: skip


def test_a_panel_names_the_controls_that_it_shows(folder):
    """Before retraining there is nothing of Scratch, which starts from new weights."""
    _, *panels = board(folder, "one-shot", "structured").split('<div class="panel ')
    assert {part.split('"')[0]: "and Scratch" in part for part in panels} == {"after": True, "before": False}
    assert {part.split('"')[0]: "Scratch-B" in part.split("<table")[0] for part in panels} == {
        "after": True,
        "before": False,
    }


def board_nav(folder):
    text = page(folder, address(folder, "one-shot", "structured"))
    return text[text.index('<nav class="boards"') :].split("</nav>")[0]


@pytest.mark.parametrize(
    ("track", "setup", "may", "then"),
    [
        ("post-training", "None retrained", "change those that it keeps", "Nothing is retrained."),
        ("one-shot", "S4.2 of Wang et al. (2023)", "without training", "Recipe: 3 epochs"),
        ("iterative", "S3.2 of Wang et al. (2023)", "train between them", "Methods train by: 10 epochs"),
        ("at-init", "S3.2 of Wang et al. (2023)", "before any training", "trains what is left"),
        ("sparse-training", "SX-A of Wang et al. (2023)", "trains the network itself", "Nothing is retrained."),
    ],
)
def test_a_board_says_what_it_is(folder, track, setup, may, then):
    part = board(folder, track, "unstructured")
    assert all(words in part for words in (setup, may, then, "Single weights go"))


def test_dense_control_is_named_by_what_it_had(folder):
    assert "dense + same retraining" in board(folder, "iterative", "unstructured")
    assert "dense, same training" in board(folder, "at-init", "unstructured")
    assert "same retraining" not in board(folder, "post-training", "unstructured").split("<table")[1]


def test_structured_boards_stand_on_speedup(folder, standings):
    part = board(folder, "one-shot", "structured")
    assert head(part).split()[:6] == ["Method", "NAUC,", "speedup", "S@1", "C@1", f"1.5{TIMES}"]
    assert "Top-1 against materialised speedup" in part
    first, second = specs(folder, "one-shot", "structured", part)[:2]
    titles = [spec["layer"][6]["encoding"]["x"]["axis"]["title"] for spec in (first, second)]
    assert titles == ["Speedup, materialised: MACs, dense ÷ kept", "Compression: parameters, dense ÷ kept"]
    assert first["layer"][6]["encoding"]["x"]["axis"]["values"] == [1.5, 2, 3]
    entry = standings["one-shot", "structured", True]["after"].methods[0]
    assert entry.area["speedup"].gap is None
    assert entry.reach["speedup"][1.0].factor > 1


def test_an_area_without_a_range_is_explained(folder, standings):
    """To a quarter of three there is nothing above one."""
    part = board(folder, "one-shot", "structured")
    assert "NAUC, compression" not in part
    assert "NAUC against compression runs from 1 to a quarter of the largest target; that is 0.75 here" in part
    entry = standings["one-shot", "structured", True]["after"].methods[0]
    assert entry.area["compression"].gap == "no range"


def test_networks_from_scratch_are_controls(folder, standings):
    """In the tables, charts and legends of boards that are retrained, and nowhere else."""
    part = board(folder, "one-shot", "structured")
    assert "Scratch-E and Scratch-B are the small network" in part
    after, before = part.split('<div class="panel before">')
    assert after.count("Scratch-B: the same for longer") == 1 + 2  # legend, and a row of each method
    assert "Scratch-B: the same" not in before.split("<tbody data-slug=")[1]
    assert {row["v"] for row in specs(folder, "one-shot", "structured", part)[0]["datasets"]["controls"]} == {
        "matched-random", "matched-magnitude", "scratch-e", "scratch-b"}  # fmt: skip
    assert "Scratch" not in board(folder, "post-training", "structured")
    assert "Scratch" not in board(folder, "one-shot", "unstructured")
    assert standings["one-shot", "structured", True]["after"].variants[-2:] == ["scratch-e", "scratch-b"]


def test_a_network_from_scratch_says_by_what_it_was_trained(folder, repository):
    """Its record is kept under the recipe of the board; the digest of the recipe that trained it is among its inputs."""
    grid = load_grid(repository.grid)
    used, kept = grid.recipe_name(NAME, "at-init"), grid.recipe_name(NAME, "one-shot")
    assert used != kept
    (path,) = (folder / "records" / "one-shot-structured-0").glob(f"{NAME}-one-shot-structured-{kept}-*-published.html")
    parts = re.split(r'<h3 id="[\d.]+-(\w[^"]*)">', page(folder, path.relative_to(folder)))
    text = {variant: re.sub(r"<[^>]+>", " ", part) for variant, part in zip(parts[1::2], parts[2::2], strict=True)}
    for variant in ("scratch-e", "scratch-b"):
        assert re.search(rf"Recipe\s+{used}\s", text[variant])
        assert digest(grid.recipes[used].functional()) in text[variant]
        assert re.search(r"Setup\s+new weights", text[variant])
        assert kept not in text[variant]
        assert re.search(r"Seed 0: [\d.]+ % after training, speedup ", text[variant])
    assert re.search(rf"Recipe\s+{kept}\s", text["method"])
    assert "S4.2" in text["method"]
    assert re.search(r" % after retraining, speedup ", text["method"])


def test_the_dictionary_says_by_what_networks_from_scratch_were_trained():
    meaning = {column.name: column.meaning for column in COLUMNS}
    assert "scratch-e and scratch-b stand on that board, but were trained by" in meaning["recipe"]
    assert "scratch-b" in meaning["setup"]
    assert "retraining" not in meaning["input_recipe"].split(";")[0]


def test_differences_to_scratch_stand_on_the_methods_page(folder, standings):
    text = page(folder, "methods/one-shot-structured-0.html")
    assert all(f"Against {name}" in text for name in ("matched random", "matched magnitude", "Scratch-E", "Scratch-B"))
    assert "A method that does not beat them has found widths, not weights" in text
    assert "Against Scratch-E" not in page(folder, "methods/post-training-structured-0.html")


def test_patterns_have_a_table_and_a_chart_but_no_curve(folder, standings):
    part = board(folder, "one-shot", "semi-structured")
    assert head(part).split() == ["Method", "2:4", "1:4", "4:8", "Mean", "drop", "Cost", "n"]
    assert "A pattern is no point on an axis" in part
    assert "Pareto front" not in part
    [spec] = specs(folder, "one-shot", "semi-structured", part.split('<div class="panel before">')[0])
    x = spec["layer"][6]["encoding"]["x"]
    assert x["axis"]["values"] == [1, 2, 4]
    assert '["2:4", "1:4", "4:8"]' in x["axis"]["labelExpr"]
    assert spec["layer"][5]["mark"]["strokeWidth"] == 0
    assert len(spec["datasets"]["means"]) == 2 * 3
    standing = standings["one-shot", "semi-structured", True]["after"]
    assert {entry.area["compression"].gap for entry in standing.methods} == {"no axis"}
    assert {entry.reach["speedup"][1.0].gap for entry in standing.methods} == {"no axis"}
    assert set(standing.drop_ranks) == {entry.slug for entry in standing.methods}
    means = [entry.mean_drop.interval.mean for entry in standing.methods]
    assert means == sorted(means, reverse=True)


def test_epochs_stand_where_a_method_trains(folder):
    for track in ("iterative", "sparse-training"):
        assert "Its epochs" in head(board(folder, track, "unstructured"))
        assert "Its epochs" in page(folder, f"methods/{track}-unstructured-0.html")
    assert "Its epochs" not in head(board(folder, "one-shot", "unstructured"))
    assert f">2{DASH}8</td>" in board(folder, "sparse-training", "unstructured")
    assert "up to 20 epochs of training" in page(folder, "methods/iterative-unstructured-0.html")


def test_latency_has_its_circumstances(folder):
    """Device, threads, batch and type; median, quartiles, and the ratio to dense, paired by seed."""
    text = page(folder, "methods/one-shot-structured-1.html")
    table = text[text.index("<h3>Latency") :].split("</table>")[0]
    assert "Synthetic CPU, 1 thread, float32, 10 runs" in table
    assert "Batch 1, ms" in table
    assert "Batch 128, ms" in table
    assert "does other work meanwhile" in table
    two = re.sub(r"<[^>]+>", " ", table[table.index(f'<th scope="row">2{TIMES}') :].split("</tr>")[0]).split()
    median, ratio = sum(0.6 * (1 + seed) / 2 for seed in range(3)) / 3, 2.0
    assert two[1:6] == [f"{median:.3f}", f"{0.9 * median:.3f}", DASH, f"{1.1 * median:.3f}", f"{ratio:.2f}"]
    assert "<h3>Latency" not in page(folder, "methods/global-magnitude.html")


@pytest.mark.parametrize("elsewhere", [False, True])
def test_latency_without_a_dense_network_has_no_ratio(tmp_path, elsewhere):
    """Nor has one whose dense network another processor ran: how much faster that is says nothing of the method."""
    repository = make_repository(tmp_path)
    fill(repository, Plan(benchmarks=(NAME,), methods=1, kinds=(("one-shot", "structured"),)))
    dense = repository.published / NAME / "dense.jsonl"
    records = [json.loads(line) for line in dense.read_text().splitlines()]
    for record in records:
        if elsewhere:
            record["environment"]["device"] = "Another CPU"
        else:
            record["latency"] = []
    dense.write_text("".join(json.dumps(record) + "\n" for record in records))
    text = page(build(repository, tmp_path / "public").folder, "methods/one-shot-structured-0.html")
    assert "The dense network was not timed there, so there is no ratio." in text
    assert f"{2.0:.2f}" not in text[text.index("<h3>Latency") :].split("</table>")[0]


def test_latency_by_the_kernels_of_a_pattern_says_so(tmp_path):
    """How many layers they ran; the dense network beside has the same precision, and its ratio."""
    repository = make_repository(tmp_path)
    fill(repository, Plan(benchmarks=(NAME,), methods=1, kinds=(("one-shot", "semi-structured"),)))
    slug = "one-shot-semi-structured-0"
    for name, layers, median in ((slug, 72, 2.0), ("dense", 0, 3.0)):
        path = repository.published / NAME / f"{name}.jsonl"
        timing = {"device": "NVIDIA H200", "threads": 1, "batch": 128, "dtype": "float16", "runs": 10,
                  "median_ms": median, "quartiles_ms": [median, median], "sparse_layers": layers}  # fmt: skip
        records = [json.loads(line) for line in path.read_text().splitlines()]
        timed = [record | {"latency": [timing]} if record["target"] in ("2:4", 1.0) else record for record in records]
        path.write_text("".join(json.dumps(record) + "\n" for record in timed))
    public = build(repository, tmp_path / "public").folder
    text = page(public, f"methods/{slug}.html")
    table = text[text.index("<h3>Latency") :].split("</table>")[0]
    assert "PyTorch's kernels for 2:4 sparsity ran 72 layers of the pruned network." in table
    assert "NVIDIA-H200, 1 thread, float16, 10 runs" in table
    assert "1.50" in table[table.index('<th scope="row">2:4') :].split("</tr>")[0]
    assert "float16, 72 layers by 2:4 kernels" in "".join(path.read_text() for path in (public / "records").rglob("*.html"))


def test_channels_kept_are_shown(folder):
    text = page(folder, "methods/one-shot-structured-0.html")
    table = text[text.index("<h3>Channels kept") :].split("</table>")[0]
    assert re.findall(r'<td class="figure">([\d.]+)</td>', table) == ["11", "8", "5", "21", "16", "11"]
    assert "<h3>Channels kept" not in page(folder, "methods/global-magnitude.html")


def test_downloads_have_latency_channels_and_epochs(folder):
    frame = pd.read_parquet(folder / "data" / "records.parquet")
    timed = frame[frame["latency_batch"].notna()]
    assert set(timed["variant"]) == {"method", "dense"}
    assert set(timed["division"]) == {"structured"}
    assert list(timed["latency_batch"].iloc[0]) == [1, 128]
    assert frame.loc[frame["track"] == "sparse-training", "pruning_epochs"].max() == 8
    assert {len(kept) for kept in frame.loc[frame["division"] == "structured", "channels"].dropna()} == {2}
    summary = pd.read_csv(folder / "data" / "summary.csv")
    patterns = summary[summary["division"] == "semi-structured"]
    assert patterns["nauc_compression"].isna().all()
    assert patterns.loc[patterns["variant"] == "method", "rank_drop_low"].notna().all()


def test_another_recipe_is_another_board(folder):
    text = page(folder, "methods/global-magnitude.html")
    assert "one-shot · unstructured · 1 epoch, learning rate 0.01, cosine" in text
    assert re.search(r"espalier evaluate global-magnitude --cell \S+ --recipe lenet-5-retraining --force", text)


def test_state_counts_a_methods_own_tracks(repository):
    """Each method in its division, on the tracks that its metadata opens; an alternative recipe is not counted."""
    site = gather(repository)
    found = state(site, NAME)
    without_training = [kind for kind in ALL_KINDS if kind[0] in ("post-training", "one-shot")]
    assert found.measured == len(ALL_KINDS) * 2 * 3 * 3
    assert found.missing == len(without_training) * 2 * 3 * 3  # on the other of the two tracks that are open to them
    assert (found.failed, found.waiting, found.infeasible) == (0, 0, 0)
    assert found.methods == len(ALL_KINDS) * 2


def test_a_benchmark_without_base_models_waits(tmp_path):
    """Neither missing nor failed: nobody can measure it. Methods of other tracks and divisions are not counted at all."""
    repository = make_repository(tmp_path)
    for slug in ("global-magnitude", "one-shot-structured-0", "at-init-unstructured-0"):
        write_submission(repository, metadata_of(slug))
    path = repository.grid / "benchmarks.yaml"
    content = yaml.safe_load(path.read_text())
    content["cifar10-resnet-56"].update(tracks=["one-shot"], divisions=["unstructured"])
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    found = state(gather(repository), "cifar10-resnet-56")
    assert (found.methods, found.missing, found.failed, found.waiting) == (1, 0, 0, 15)
    built = build(repository, tmp_path / "public")
    assert "waits for its base models" in (built.folder / "index.html").read_text()
    assert "Waiting for its base models" in (built.folder / "benchmarks" / "cifar10-resnet-56.html").read_text()


def test_hero_is_a_published_curve(tmp_path):
    """Of single weights, and of networks that were trained then: not the patterns, not channels, not networks as pruned, not
    what only this machine measured, however many methods and records there are."""
    repository = make_repository(tmp_path)
    open_everything(repository, NAME)
    kinds = (("one-shot", "semi-structured"), ("one-shot", "structured"), ("post-training", "unstructured"))
    fill(repository, Plan(benchmarks=(NAME,), methods=3, kinds=kinds))
    fill(repository, Plan(benchmarks=(NAME,), methods=2, kinds=(USUAL,)))
    fill(repository, Plan(benchmarks=("mnist-lenet-5",), methods=4), local=True)
    [home] = home_pages(gather(repository))
    key = home.context["standing"].board.key
    assert (key.benchmark, key.track, key.division, key.origin) == (NAME, "one-shot", "unstructured", "published")


def test_methods_are_told_apart_without_a_script(folder, visit):
    """Radio buttons and the style sheet alone."""
    opened = visit(folder / "methods.html").page
    rows = "tbody => tbody.filter(t => t.checkVisibility()).map(t => t.dataset.division + ' ' + t.dataset.stage)"
    shown = opened.eval_on_selector_all("tbody", rows)
    assert len(shown) == len(ALL_KINDS) * 2
    opened.get_by_text("channels", exact=True).click()
    assert set(opened.eval_on_selector_all("tbody", rows)) == {"structured after"}
    opened.locator("label[for=division-all]").click()
    opened.locator("label[for=stage-during]").click()
    assert set(opened.eval_on_selector_all("tbody", rows)) == {"unstructured during"}


@pytest.mark.parametrize(
    "path", [PAGE, STRUCTURED, "methods/one-shot-structured-0.html", "methods.html", "protocol.html", "index.html"]
)
@pytest.mark.parametrize("width", [360, 1280])
def test_pages_are_quiet_and_fit(folder, visit, path, width):
    """With all boards of a benchmark: nothing in the console, nothing sideways, every chart alive."""
    seen = visit(folder / path, width=width)
    for figure in seen.page.query_selector_all("figure.chart"):
        if figure.is_visible():
            figure.scroll_into_view_if_needed()
            seen.page.wait_for_function("f => f.classList.contains('drawn')", arg=figure, timeout=10_000)
    assert seen.console == []
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
