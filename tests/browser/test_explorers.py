"""What every explorer does in JupyterLab: widths, themes, keys, labels, complaints, copies, and reloads."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser import driving
from tests.browser.driving import EXPLORER, IDLE, START_MS

pytestmark = pytest.mark.browser

SHOW = "from migkit.widgets import Explorer\n\nexplorer = Explorer()\nexplorer"
SLOW = "import time\n\nfor second in range({}):\n    print(second, end=' ')\n    time.sleep(1)"
THEME = "name => jupyterapp.commands.execute('apputils:change-theme', { theme: `JupyterLab ${name}` })"
ACTIVE_CELL = "() => [...jupyterapp.shell.widgets('main')][0].content.activeCellIndex"
CELLS = "() => [...jupyterapp.shell.widgets('main')][0].content.widgets.length"
COLOURS = r"""() => ({
  text: getComputedStyle(document.querySelector(".migkit-figure text")).fill.match(/\d+/g).slice(0, 3).join(),
  page: getComputedStyle(document.querySelector(".migkit-figure")).color.match(/\d+/g).slice(0, 3).join(),
  paper: getComputedStyle(document.querySelector(".migkit-figure svg.main-svg")).background,
})"""
BOXES = """() => {
  const plot = document.querySelector(".migkit-figure .js-plotly-plot");
  const box = (element) => { const b = element.getBoundingClientRect(); return [b.left, b.top, b.right, b.bottom] };
  return {
    area: box(plot.closest(".jp-OutputArea-output")),
    plot: box(plot.querySelector("svg.main-svg")),
    legend: box(plot.querySelector(".legend")),
    panels: [...plot.querySelectorAll(".cartesianlayer > .subplot .gridlayer")].map(box),
    titles: [...plot.querySelectorAll(".xtitle, .x2title")].map(box),
  };
}"""


@pytest.fixture
def complaints(page, lab):
    return driving.complaints_of(page, lab)


@pytest.fixture
def explorer(page, lab, complaints, request):
    """An explorer in a notebook of its own; nothing that a test does to it may make the page complain."""
    driving.open_notebook(
        page, lab, driving.write_notebook(lab, f"{request.node.name[:40]}.ipynb".replace("[", "-"), SHOW)
    )
    driving.run_all(page)
    yield page.locator(EXPLORER)
    assert complaints == []


def _overlap(one, other):
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _field(explorer, label):
    return explorer.locator(
        ".migkit-field", has=explorer.page.locator(".widget-label", has_text=re.compile(f"^{label}$"))
    )


def _wear(page, name):
    """Change the theme, and wait until the figure has its colours: its style sheet comes after its name."""
    page.evaluate(THEME, name)
    bright = str(name == "Dark").lower()  # what text is then
    page.wait_for_function(
        f"() => {{ const c = ({COLOURS})(); return c.text === c.page && (parseInt(c.page) > 127) === {bright} }}"
    )
    return page.evaluate(COLOURS)


def test_figures_wear_the_colours_of_the_theme_as_it_changes(page, explorer):
    seen = {name: _wear(page, name) for name in ("Light", "Dark")}
    assert all("rgba(0, 0, 0, 0)" in colours["paper"] for colours in seen.values())
    assert seen["Dark"]["text"] != seen["Light"]["text"]


def test_a_theme_that_comes_while_the_page_is_hidden_is_worn_when_it_is_back(page, explorer):
    page.evaluate(
        """() => {
          const [panel, style] = [document.querySelector(".jp-NotebookPanel"), document.createElement("style")];
          style.textContent = ".migkit-figure { color: rgb(1, 2, 3) !important }";
          panel.classList.add("lm-mod-hidden");
          document.body.append(style);
          document.body.dataset.jpThemeName = "another one";
          requestAnimationFrame(() => panel.classList.remove("lm-mod-hidden"));
        }"""
    )
    page.wait_for_function(f"() => ({COLOURS})().text === '1,2,3'")


def test_what_takes_long_follows_when_the_hand_on_a_slider_rests(page, lab, complaints):
    show = SHOW.replace("Explorer", "StrategyExplorer")
    driving.open_notebook(page, lab, driving.write_notebook(lab, "strategies.ipynb", show))
    driving.run_all(page)
    plots = page.locator(f"{EXPLORER} .js-plotly-plot")
    expect(plots).to_have_count(3)
    last = plots.nth(2).element_handle()
    page.wait_for_function("plot => plot.data", arg=last)
    before = last.evaluate("plot => JSON.stringify(plot.data[0].y)")
    page.locator(f"{EXPLORER} [aria-label='memory']").focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    page.wait_for_function("([plot, before]) => JSON.stringify(plot.data[0].y) !== before", arg=[last, before])
    assert complaints == []


def test_figures_that_are_no_widgets_wear_the_colours_of_the_theme_as_it_changes(page, lab, complaints):
    cell = "from migkit import Guest, predict\n\npredict(Guest(memory_bytes=2**30), level=None).plot()"
    driving.open_notebook(page, lab, driving.write_notebook(lab, "figure.ipynb", cell))
    page.locator(".lm-MenuBar-itemLabel", has_text="Run").first.click()
    page.locator(".lm-Menu-itemLabel", has_text="Run All Cells").first.click()
    expect(page.locator(".js-plotly-plot .xtitle").first).to_be_attached(timeout=START_MS)
    bright = """bright => { const ink = getComputedStyle(document.querySelector(".js-plotly-plot .xtitle")).fill;
                            return (parseInt(ink.match(/\\d+/)[0]) > 200) === bright }"""
    page.wait_for_function(  # the rules take no room
        "() => [...document.querySelectorAll('.jp-OutputArea-child')].filter((one) => one.offsetHeight).length === 1"
    )
    for name in ("Light", "Dark"):  # Lab keeps the theme that an earlier test chose
        page.evaluate(THEME, name)
        page.wait_for_function(bright, arg=name == "Dark")
    assert complaints == []


@pytest.mark.parametrize(("width", "below_each_other"), [(700, True), (1280, False), (1920, False)])
def test_figures_fill_the_width_and_nothing_overlaps(page, explorer, width, below_each_other):
    page.set_viewport_size({"width": width, "height": 1400})
    page.wait_for_function(
        """() => { const f = document.querySelector(".migkit-figure"); const p = f.querySelector("svg.main-svg");
                   return Math.abs(f.clientWidth - p.clientWidth) < 2 }"""
    )
    boxes = page.evaluate(BOXES)
    area, plot, panels = boxes["area"], boxes["plot"], boxes["panels"]
    assert plot[2] <= area[2] + 1
    assert plot[2] - plot[0] > 0.95 * (area[2] - area[0])
    assert len(panels) == 2
    assert (panels[1][1] > panels[0][3]) == below_each_other
    shown = [boxes["legend"], *panels, *boxes["titles"]]
    assert not any(_overlap(one, other) for at, one in enumerate(shown) for other in shown[:at])


def test_keys_in_a_list_choose_there_and_never_reach_the_cells(page, explorer):
    cells, active = page.evaluate(CELLS), page.evaluate(ACTIVE_CELL)
    choice = explorer.locator("select")
    choice.focus()
    page.keyboard.press("ArrowDown")
    expect(choice).to_have_value(re.compile("stop-copy|stopcopy|post"))
    for key in ("ArrowDown", "b", "a", "d", "d", "j", "k", "ArrowUp"):
        page.keyboard.press(key)
    assert (page.evaluate(CELLS), page.evaluate(ACTIVE_CELL)) == (cells, active)
    expect(choice).to_be_focused()


def test_sliders_say_what_they_are_and_their_value_with_its_unit(page, explorer):
    handles = explorer.locator(".noUi-handle")
    labels = [handles.nth(at).get_attribute("aria-label") for at in range(handles.count())]
    assert labels == ["memory", "bandwidth", "working set", "downtime limit", "page writes"]
    memory = explorer.get_by_role("slider", name="memory")
    expect(memory).to_have_attribute("aria-valuetext", "4 GiB")
    memory.focus()
    page.keyboard.press("ArrowRight")
    expect(memory).to_have_attribute("aria-valuetext", "6 GiB")
    expect(memory).to_have_attribute("aria-description", re.compile("memory of the guest"))
    assert explorer.get_by_role("combobox", name="strategy").count() == 1


def test_everything_can_be_reached_by_the_tab_key(page, explorer):
    explorer.locator(".noUi-handle").first.focus()
    reached = []
    for _ in range(24):
        reached.append(page.evaluate("() => document.activeElement.ariaLabel ?? document.activeElement.textContent"))
        page.keyboard.press("Tab")
    wanted = {"memory", "page writes", "strategy", "save SVG", "save PNG", "copy as Python"}
    assert wanted <= set(reached)


def test_a_wrong_value_is_told_beside_its_slider_and_the_picture_stays(page, explorer):
    before = driving.first_path(page).get_attribute("d")
    handle = explorer.get_by_role("slider", name="working set")
    handle.focus()
    page.keyboard.press("End")
    complaint = _field(explorer, "working set").get_by_role("alert")
    expect(complaint).to_contain_text("exceed the memory (4 GiB)")
    expect(explorer.get_by_role("alert")).to_have_count(1)
    assert driving.first_path(page).get_attribute("d") == before
    page.keyboard.press("Home")
    expect(explorer.get_by_role("alert")).to_have_count(0)


def test_the_call_behind_the_picture_is_shown_and_copied(page, explorer):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    before = driving.first_path(page).get_attribute("d")
    explorer.get_by_role("slider", name="bandwidth").focus()
    page.keyboard.press("ArrowLeft")
    expect(driving.first_path(page)).not_to_have_attribute("d", before)
    explorer.get_by_role("button", name="copy as Python").click()
    expect(explorer.locator(".migkit-foot pre")).to_contain_text('link={"bandwidth": "1.5 Gbit/s"}')
    expect(explorer.get_by_role("status")).to_contain_text("copied")
    copied = page.evaluate("() => navigator.clipboard.readText()")
    assert copied == explorer.locator(".migkit-foot pre").text_content()
    assert "predict(scenario" in copied


@pytest.mark.parametrize(("kind", "begins"), [("SVG", b"<svg"), ("PNG", b"\x89PNG\r\n")])
def test_a_figure_is_saved_without_a_network(page, explorer, tmp_path, kind, begins):
    _wear(page, "Dark")
    with page.expect_download() as download:
        explorer.get_by_role("button", name=f"save {kind}").click()
    assert download.value.suggested_filename == f"migkit-explorer.{kind.lower()}"
    download.value.save_as(tmp_path / "figure")
    saved = (tmp_path / "figure").read_bytes()
    assert saved.startswith(begins)
    assert len(saved) > 5000
    if kind == "SVG":
        assert b"rgb(34, 34, 34)" in saved  # ink of paper, whatever the theme
    _wear(page, "Light")


def test_a_reload_keeps_picture_and_values_while_the_kernel_is_busy(page, lab, complaints):
    driving.open_notebook(page, lab, driving.write_notebook(lab, "busy.ipynb", SHOW, SLOW.format(25)))
    driving.start_all(page)
    expect(page.locator(".jp-OutputArea-output", has_text="0 1 2")).to_be_visible(timeout=START_MS)
    path, readouts = driving.first_path(page).get_attribute("d"), page.locator(".widget-readout").all_inner_texts()
    driving.save(page)

    page.goto(lab.url("busy.ipynb"))
    kept = page.locator(".migkit-kept")
    expect(kept).to_be_visible(timeout=START_MS)
    assert kept.locator(".js-line").first.get_attribute("d") == path
    assert kept.locator(".widget-readout").all_inner_texts() == readouts
    expect(page.locator(IDLE)).to_have_count(0)  # the cell has not ended

    expect(page.locator(IDLE)).to_be_attached(timeout=START_MS)
    expect(kept).to_have_count(0, timeout=START_MS)
    handle = page.get_by_role("slider", name="bandwidth")
    handle.focus()
    page.keyboard.press("ArrowLeft")
    expect(driving.first_path(page)).not_to_have_attribute("d", path)
    assert complaints == []
