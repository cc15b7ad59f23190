"""What a reader filters, sorts, picks and switches on a page: it stands in the address, and a link brings it back."""

from __future__ import annotations

import csv
import math
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from leaderboard import labels, scales
from leaderboard.build import STATIC, build, gather
from leaderboard.contests import against
from leaderboard.expressions import WIDTH
from leaderboard.facets import choice
from leaderboard.pages.site import board_of
from leaderboard.scales import drop_domain, drop_ticks, error_ticks
from leaderboard.series import COLOURS, CROWD

from tests.site.specifications import specifications
from tests.site.synthetic import Plan, fill, make_repository
from tests.site.test_site_browser import BENCHMARK, draw_all

BOARD = "one-shot-unstructured-lenet-300-100-retraining-cpu-published"
TIMES = "\N{MULTIPLICATION SIGN}"
DOTS = ".panel.after figure.chart:first-of-type .live g.layer_4_marks path"
MARKS = ".panel.after figure.chart:first-of-type .live g.layer_6_marks path"


def specification(folder, page):
    """Of the first chart after retraining on a page that is open."""
    name = Path(urlsplit(page.url).path).relative_to(folder.resolve())
    figure = page.locator(".panel.after figure.chart").first.get_attribute("id")
    return specifications(folder, str(name))[figure]


def shown(page):
    """Slugs in the visible table, from top to bottom."""
    visible = "bodies => bodies.filter(b => b.checkVisibility()).map(b => b.dataset.slug)"
    return page.eval_on_selector_all(".panel tbody[data-slug]", visible)


def address(page):
    return unquote(page.evaluate("location.hash"))


def use(page):
    """Open the filters of the board."""
    page.locator(f"#{BOARD} details.options > summary").click()


def test_filters_leave_rows_marks_and_an_address(site, visit):
    """Rows of the table, items of the legend and marks of the chart go together; a reload brings them back."""
    page = visit(site.folder / BENCHMARK).page
    draw_all(page)
    everybody = shown(page)
    use(page)
    page.get_by_label("Scope").select_option("global")
    some = shown(page)
    assert set(some) < set(everybody)
    assert address(page) == f"#board={BOARD}&scope=global"
    assert page.locator(f"#{BOARD} .shown").inner_text() == "2 of 4 methods: scope global. Ranks stay those among all."
    spec = specification(site.folder, page)
    left = [row for row in spec["datasets"]["means"] if row["m"] in some]
    page.wait_for_function("([s, n]) => document.querySelectorAll(s).length === n", arg=[MARKS, len(left)])
    assert page.locator(".panel.after .legend li:visible").count() == len(some)
    page.reload()
    assert shown(page) == some
    page.get_by_role("button", name="Clear").click()
    assert shown(page) == everybody
    assert address(page) == f"#{BOARD}"


def test_needs_are_left_out(site, visit):
    """Method 1 of the synthetic ones reads data; without metadata nothing is known, and a method is not shown."""
    page = visit(site.folder / BENCHMARK).page
    before = shown(page)
    use(page)
    page.locator(f"#{BOARD} .picks label", has_text="data").check()
    assert set(before) - set(shown(page)) == {"uniform-magnitude"}
    assert address(page).endswith("&without=data")


def test_link_brings_back_the_whole_view(site, visit):
    """Phase, axis, scale, order, picks, filters and hidden controls at once; the board comes into sight."""
    chosen = f"phase=before&axis=speedup&scale=drop&scope=global,&controls=hidden&sort=8{TIMES}:ascending"
    asked = f"{chosen}&m=erk-magnitude"
    seen = visit(site.folder / BENCHMARK, fragment=f"#board={BOARD}&{asked}")
    page = seen.page
    assert page.locator(".panel.before").is_visible()
    figures = [figure for figure in page.query_selector_all("figure.chart") if figure.is_visible()]
    assert [figure.get_attribute("data-axis") for figure in figures] == ["speedup"]
    draw_all(page)
    assert "Top-1 against dense, points" in figures[0].query_selector(".live").text_content()
    assert "ERK magnitude" in figures[0].query_selector(".live").text_content()  # the name of what is picked
    assert len(shown(page)) == 2
    heading = page.locator(".panel.before thead th", has_text=f"8{TIMES}")
    assert heading.get_attribute("aria-sort") == "ascending"
    assert not page.locator(".panel.before tbody[data-slug] tr.control").first.is_visible()
    assert page.locator(".panel.before .legend button[aria-pressed=true]").inner_text() == "ERK magnitude"
    assert "picked" in page.locator(".panel.before tbody[data-slug=erk-magnitude]").get_attribute("class")
    assert page.locator(".panel.before td .drop .half").first.is_visible()
    assert not page.locator(".panel.before tbody[data-slug] td .top1").first.is_visible()
    assert seen.console == []


UNKNOWN = (
    "#board=nowhere&scope=global",
    f"#board={BOARD}&scope=%22%3E&phase=x&sort=y:z&m=,,<a>&__proto__=1",
    f"#{BOARD}",
    "#board=%E0%A4%A",
)


@pytest.mark.parametrize("fragment", UNKNOWN)
def test_address_that_says_nothing_known_changes_nothing(site, visit, fragment):
    seen = visit(site.folder / BENCHMARK, fragment=fragment)
    assert len(shown(seen.page)) == 4
    assert seen.page.locator(".panel.after").is_visible()
    assert seen.console == []


def test_sorting_stands_in_the_address(site, visit):
    page = visit(site.folder / BENCHMARK).page
    first = shown(page)
    page.locator(".panel.after thead th", has_text=f"4{TIMES}").get_by_role("button").press("Enter")
    assert address(page).endswith(f"&sort=4{TIMES}:descending")
    ordered = shown(page)
    order = "o => [...document.querySelectorAll('.panel.after tbody[data-slug]')].map(b => b.dataset.slug).join() === o"
    page.evaluate("location.hash = ''")
    page.wait_for_function(order, arg=",".join(first))
    page.go_back()
    page.wait_for_function(order, arg=",".join(ordered))


@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("scale", ["", "&scale=drop", "&scale=control"])
def test_each_line_has_its_name_at_its_end(site, visit, width, scale):
    """All of them, none over another, none beyond the page."""
    page = visit(site.folder / BENCHMARK, width=width, fragment=f"#board={BOARD}{scale}").page
    draw_all(page)
    for figure in page.locator(".panel.after figure.chart").all():
        places = figure.locator(".live g.layer_7_marks text").evaluate_all(
            "all => all.map(t => { const b = t.getBoundingClientRect(); return [b.top, b.bottom, b.left, b.right]; })"
        )
        assert len(places) == 4
        for i, (top, bottom, _, right) in enumerate(places):
            assert right <= width
            assert all(bottom <= other[0] + 2 or top >= other[1] - 2 for other in places[:i])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_names_are_legible_in_every_colour(site, visit, scheme):
    """As text, at a contrast of 4.5 with the paper."""
    page = visit(site.folder / BENCHMARK).page
    page.emulate_media(color_scheme=scheme)
    contrasts = page.evaluate("""tokens => {
      const pen = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
      const light = (colour) => {
        pen.fillStyle = colour;
        pen.fillRect(0, 0, 1, 1);
        const [r, g, b] = [...pen.getImageData(0, 0, 1, 1).data].map(v => v / 255)
          .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05;
      };
      const place = document.querySelector('.canvas .mark-text.layer_7_marks');
      const paper = light(getComputedStyle(document.body).backgroundColor);
      return tokens.map(token => {
        const text = document.createElementNS('http://www.w3.org/2000/svg', 'text');
        text.setAttribute('fill', `var(--${token})`);
        place.append(text);
        const own = light(getComputedStyle(text).fill);
        return Math.max(own, paper) / Math.min(own, paper);
      });
    }""", [*(f"s{i}" for i in range(COLOURS)), "control"])  # fmt: skip
    assert min(contrasts) >= 4.5, contrasts


def test_names_stand_in_the_drawing_too(site):
    """Without a script; a control by its short name, and in small charts none."""
    titles = ("Global magnitude", "Uniform magnitude", "LAMP", "ERK magnitude")
    page = (site.folder / BENCHMARK).read_text(encoding="utf-8")
    drawing = page[page.index('<svg class="marks"') : page.index("</figure>")]
    assert all(f">{title}</text>" in drawing for title in titles)
    method = (site.folder / "methods" / "lamp.html").read_text(encoding="utf-8")
    assert ">matched magnitude</text>" in method
    home = (site.folder / "index.html").read_text(encoding="utf-8")
    assert ">LAMP</text>" in home[: home.index('class="multiples"')]
    assert ">LAMP</text>" not in home[home.index('class="multiples"') :]


def test_chart_and_table_stand_out_together(site, visit):
    """A mark brings out its row and its name; a click on it picks the method; so does the keyboard in the legend."""
    page = visit(site.folder / BENCHMARK).page
    draw_all(page)
    figure = page.locator(".panel.after figure.chart").first
    slug = specification(site.folder, page)["datasets"]["means"][-1]["m"]
    mark = figure.locator(".live g.layer_6_marks path").last
    mark.hover(force=True)
    row = page.locator(f".panel.after tbody[data-slug={slug}]")
    page.wait_for_function("row => row.classList.contains('pointed')", arg=row.element_handle())
    mark.click(force=True)
    assert address(page).endswith(f"&m={slug}")
    assert "picked" in row.get_attribute("class")
    page.mouse.move(0, 0)
    button = page.locator(".panel.after .legend button[data-slug=global-magnitude]")
    button.focus()
    page.keyboard.press("Space")
    assert button.get_attribute("aria-pressed") == "true"
    named = "s => [...document.querySelectorAll(s)].map(t => t.textContent).includes('Global magnitude')"
    page.wait_for_function(named, arg=".panel.after .live g.layer_7_marks text")
    assert page.locator(f"#{BOARD} a.compare").get_attribute("href").endswith(f"&m={slug},global-magnitude")


def test_method_page_has_both_axes(site, visit):
    """One at a time; the switch stands in the address, as on the page of a benchmark."""
    page = visit(site.folder / "methods" / "lamp.html").page
    board = page.locator(f"[id='mnist-lenet-300-100-{BOARD}']")
    axes = "all => all.filter(f => f.checkVisibility()).map(f => f.dataset.axis)"
    charts = "figure.chart"
    assert board.locator(charts).evaluate_all(axes) == ["compression"] * 2
    board.get_by_text("speedup", exact=True).click()
    assert board.locator(charts).evaluate_all(axes) == ["speedup"] * 2
    assert address(page) == f"#board=mnist-lenet-300-100-{BOARD}&axis=speedup"
    page.reload()
    draw_all(page)
    assert board.locator(charts).evaluate_all(axes) == ["speedup"] * 2
    text = (site.folder / "methods" / "lamp.html").read_text(encoding="utf-8")
    assert text.count('<svg class="marks"') == text.count('<figure class="chart" data-axis="compression"')
    data = specifications(site.folder, "methods/lamp.html")
    [spec] = [spec for name, spec in data.items() if "300-100" in name and name.endswith("-after-speedup")]
    assert all(row["x"] == pytest.approx(row["s"], abs=1e-3) for row in spec["datasets"]["means"])


def test_methods_page_filters_by_traits(site, visit):
    page = visit(site.folder / "methods.html", fragment="#board=list&stage=after&data_use=calibration").page
    visible = "bodies => bodies.filter(b => b.checkVisibility()).map(b => b.dataset.slug)"
    assert page.eval_on_selector_all("tbody[data-slug]", visible) == ["uniform-magnitude"]
    assert page.locator("#stage-after").is_checked()


def test_methods_stand_by_their_titles_with_what_is_measured_of_them(site):
    """The order that the heading says, and the benchmarks at once."""
    text = (site.folder / "methods.html").read_text(encoding="utf-8")
    row = r'<tbody data-slug="([^"]+)".*?<th scope="row" data-value="([^"]+)">.*?</th>\s*<td[^>]*>(.*?)</td>'
    rows = re.findall(row, text, re.DOTALL)
    titles = [title for _, title, _ in rows]
    assert titles == sorted(titles)
    assert len(titles) == 4
    assert all("MNIST / LeNet-300-100" in measured for _, _, measured in rows)


def test_phone_has_results_first(site, visit):
    """Filters and rules wait behind their headings, the legend below its chart, and facts at the end."""
    page = visit(site.folder / BENCHMARK, width=360).page
    chart = page.locator(".panel.after figure.chart").first.bounding_box()
    assert chart["y"] < 1100
    assert chart["y"] < page.locator(".panel.after .legend").first.bounding_box()["y"]
    page = visit(site.folder / BENCHMARK, width=360, fragment=f"#board={BOARD}&scope=global").page
    assert not page.get_by_label("Scope").is_visible()
    assert not page.locator(f"#{BOARD} dl.terms").is_visible()
    chart = page.locator(".panel.after figure.chart").first.bounding_box()
    assert chart["y"] < 900
    use(page)
    assert page.get_by_label("Scope").is_visible()


@pytest.mark.parametrize("width", [1280, 360])
def test_headings_stay_while_a_long_table_scrolls(site, visit, width):
    """And the first column; what is reached by keys is not hidden behind them."""
    page = visit(site.folder / BENCHMARK, width=width).page
    page.set_viewport_size({"width": width, "height": 420})
    box = page.locator(".panel.after .scroll")
    places = """box => ['thead th:nth-child(2)', 'thead th', 'tbody[data-slug] th'].map(name => {
      const [own, outer] = [box.querySelector(name), box].map(one => one.getBoundingClientRect());
      return [Math.round(own.top - outer.top), Math.round(own.left - outer.left)];
    })"""
    [[top, _], corner, [_, left]] = box.evaluate(places)
    box.evaluate("box => box.scrollTo(60, 120)")
    assert box.evaluate("box => [box.scrollLeft, box.scrollTop]") == [60, 120]
    after = box.evaluate(places)
    assert (after[0][0], after[1], after[2][1]) == (top, corner, left)
    link = box.locator("tbody[data-slug] a.source").first
    box.evaluate("box => box.scrollTo(400, 400)")
    link.focus()
    seen = (
        "a => { const b = a.getBoundingClientRect(); return a.contains(document.elementFromPoint(b.left + 4, b.top + 4)); }"
    )
    page.wait_for_function(seen, arg=link.element_handle())


def test_facets_in_which_all_are_alike_are_no_filter():
    one = {"criterion": "magnitude", "scope": "global", "needs": ["data"]}
    base = dict.fromkeys(("schedule", "data_use", "supervision", "weight_update", "learned_by", "fusion"), "none")
    found = choice({"a": {**base, **one}, "b": {**base, **one, "scope": "layer", "needs": []}})
    assert [(facet.name, facet.values) for facet in found.facets] == [("scope", ["global", "layer"])]
    assert found.needs == ["data"]


def test_axis_of_differences():
    low, high = drop_domain([-80.0, -0.4, 0.3])
    assert low < -80
    assert 0.3 < high < 1
    ticks = drop_ticks(low, high)
    assert 0 in ticks
    assert all(low <= tick <= high for tick in ticks)
    assert -10 in ticks
    assert error_ticks(1, 100)[0] == 1


@pytest.mark.parametrize("name", ["digits-mlp", "mnist-lenet-300-100"])
def test_methods_at_one_target_stand_close_on_any_axis(site, name):
    """Three targets or five: side by side over the same share of the axis."""
    spec = next(iter(specifications(site.folder, f"benchmarks/{name}.html").values()))
    low, high = spec["layer"][-1]["encoding"]["x"]["scale"]["domain"]
    first = [math.log2(row["x"]) for row in spec["datasets"]["means"] if row["t"] == f"2{TIMES}"]
    assert len(first) == 4
    assert 0.04 < (max(first) - min(first)) / math.log2(high / low) < 0.07


def test_every_seed_is_drawn_where_it_is_asked_for(visit, tmp_path):
    """In a crowd only the first methods have theirs at first; a link brings the others back."""
    repository = make_repository(tmp_path)
    fill(repository, Plan(benchmarks=("digits-mlp",), methods=CROWD + 1))
    build(repository, tmp_path / "public")
    page = visit(tmp_path / "public" / "benchmarks" / "digits-mlp.html").page
    draw_all(page)
    rows = specification(tmp_path / "public", page)["datasets"]["means"]
    first = set(shown(page)[:8])
    assert {row["m"] for row in rows if "lx" in row} == first  # in a crowd only these have their names at their ends
    dots, few = sum(len(row["as"]) for row in rows), sum(len(row["as"]) for row in rows if row["m"] in first)
    assert few < dots
    count = "([s, n]) => document.querySelectorAll(s).length === n"
    page.wait_for_function(count, arg=[DOTS, few])
    page.locator("details.options > summary").first.click()
    page.get_by_text("every seed", exact=True).first.click()
    page.wait_for_function(count, arg=[DOTS, dots])
    assert address(page).endswith("&seeds=every")
    page.reload()
    draw_all(page)
    page.wait_for_function(count, arg=[DOTS, dots])


def test_a_chart_gives_away_its_rows(site, visit):
    """As CSV, those that the reader sees."""
    page = visit(site.folder / BENCHMARK).page
    draw_all(page)
    use(page)
    page.get_by_label("Scope").select_option("global")
    with page.expect_download() as given:
        page.get_by_role("button", name="Save this chart as CSV").first.click()
    rows = list(csv.DictReader(Path(given.value.path()).read_text(encoding="utf-8").splitlines()))
    known = [row for row in specification(site.folder, page)["datasets"]["means"] if row["m"] in shown(page)]
    assert [(row["method"], float(row["top1"]), row["target"]) for row in rows] == [(r["m"], r["a"], r["t"]) for r in known]
    assert given.value.suggested_filename.endswith(".csv")


def test_is_it_the_score_or_the_allocation(site, visit):
    """A chart can stand on each method's own magnitude control: paired differences, which are those of the records."""
    page = visit(site.folder / BENCHMARK, fragment=f"#board={BOARD}&scale=control").page
    draw_all(page)
    assert page.get_by_text("Top-1 against its magnitude control, points").first.is_visible()
    rows = specification(site.folder, page)["datasets"]["means"]
    [standings] = [one for one in gather(site.repository).standings if board_of(one).key.anchor == BOARD]
    found = {(one.slug, f"{one.target}{TIMES}"): one.difference for one in against(standings["after"], "matched-magnitude")}
    assert found
    for row in rows:
        difference = found.get((row["m"], row["t"]))
        if difference is not None:
            assert (row["g"], row["f"]) == (
                pytest.approx(difference.mean, abs=1e-3),
                pytest.approx(difference.half, abs=1e-3),
            )
    count = "([s, n]) => document.querySelectorAll(s).length === n"
    page.wait_for_function(count, arg=[MARKS, sum("g" in row for row in rows)])


def test_names_are_cut_only_where_there_is_no_room():
    name = "Taylor expansion of channels, one-shot"
    assert labels.cut(name, 864) == name
    assert name.startswith(labels.cut(name, WIDTH).removesuffix("\N{HORIZONTAL ELLIPSIS}"))
    assert len(labels.cut(name, WIDTH)) == int(labels.LETTERS * WIDTH) < len(name)


def test_script_and_build_place_names_by_the_same_numbers():
    """What the page's script draws anew stands where the static drawing has it."""
    text = (STATIC / "charts.js").read_text(encoding="utf-8")
    [written] = re.findall(r"\[LETTERS, ROOM, NEAR\] = \[(.*?)\];", text)
    assert [float(one) for one in written.split(",")] == [labels.LETTERS, labels.ROOM, scales.NEAR]
