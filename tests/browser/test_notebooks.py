"""The notebooks as a person sees them: JupyterLab in Chromium."""

import re

import ipywidgets
import pytest
from playwright.sync_api import expect

from migkit.widgets import Explorer, PolicyExplorer, StrategyExplorer

pytestmark = pytest.mark.browser

IDLE = ".jp-Notebook-ExecutionIndicator[data-status='idle']"
EXPLORER = ".jp-Cell-outputArea:has(.noUi-handle)"
START_MS = 90_000
EXPLORERS = {"00-start.ipynb": [Explorer], "03-precopy-vs-postcopy.ipynb": [StrategyExplorer, PolicyExplorer]}
# What a kernel says of a widget before the page listens to that is lost: "model not found".
LISTENS = """() => [...jupyterapp.shell.widgets("main")].some(
    (panel) => "jupyter.widget" in (panel.context?.sessionContext?.session?.kernel?._targetRegistry ?? {}))"""

SAVED = '() => ![...jupyterapp.shell.widgets("main")].some((panel) => panel.context?.model?.dirty)'


@pytest.fixture
def complaints(page, lab):
    """What the page should never do: raise errors, or ask other hosts for anything."""
    found = []
    page.on("pageerror", lambda error: found.append(f"page error: {error}"))
    page.on("request", lambda request: _is_foreign(request.url, lab) and found.append(f"foreign: {request.url}"))
    return found


def _is_foreign(url, lab):
    return not url.startswith((lab.address, lab.address.replace("http", "ws", 1), "data:", "blob:", "about:"))


def _open(page, lab, notebook):
    page.goto(lab.url(notebook))
    expect(page.locator(".jp-Notebook")).to_be_visible(timeout=START_MS)
    expect(page.locator(".jp-Toolbar-kernelName, .jp-KernelName").first).to_contain_text("Python 3", timeout=START_MS)
    expect(page.locator(IDLE)).to_be_attached(timeout=START_MS)
    page.wait_for_function(LISTENS, timeout=START_MS)


def _run_all(page):
    page.locator(".lm-MenuBar-itemLabel", has_text="Run").first.click()
    page.locator(".lm-Menu-itemLabel", has_text="Run All Cells").first.click()
    expect(page.locator(f"{EXPLORER} .js-line").first).to_be_attached(timeout=START_MS)
    expect(page.locator(IDLE)).to_be_attached(timeout=START_MS)


def _path(page):
    return page.locator(f"{EXPLORER} .js-line").first


def _drawn_points(page):
    """Return the points of the first line as plotly has drawn them, in the units of its axes."""
    plot = page.locator(f"{EXPLORER} .js-plotly-plot").first
    return plot.evaluate("plot => plot.calcdata[0].map(point => [point.x, point.y])")


def _sliders(widget):
    """Return how many sliders a widget holds."""
    return isinstance(widget, ipywidgets.SelectionSlider) + sum(map(_sliders, getattr(widget, "children", ())))


def _readouts(page, notebook):
    """Return what stands beside the sliders, once all of them are drawn and each says something."""
    readouts = page.locator(f"{EXPLORER} .widget-readout")
    expect(readouts).to_have_count(
        sum(_sliders(explorer().widget) for explorer in EXPLORERS[notebook]), timeout=START_MS
    )
    expect(readouts.filter(has_text=re.compile(r"\S"))).to_have_count(readouts.count(), timeout=START_MS)
    return page.locator(f"{EXPLORER} .widget-readout").all_inner_texts()


@pytest.mark.parametrize("notebook", EXPLORERS)
def test_a_moved_slider_moves_the_drawn_path_and_a_reload_keeps_it(page, lab, complaints, notebook):
    _open(page, lab, notebook)
    _run_all(page)
    expect(page.locator("[data-mime-type='application/vnd.jupyter.error']")).to_have_count(0)

    shown, first, first_points = _readouts(page, notebook), _path(page).get_attribute("d"), _drawn_points(page)
    handle = page.locator(f"{EXPLORER} .noUi-handle").first
    handle.focus()
    for _ in range(3):
        before = _path(page).get_attribute("d")
        handle.press("ArrowRight")
        expect(_path(page)).not_to_have_attribute("d", before)
    expect(page.locator(IDLE)).to_be_attached()
    points, moved = _drawn_points(page), _readouts(page, notebook)
    assert points != first_points
    assert moved[0] != shown[0]
    assert moved[1:] == shown[1:]

    page.keyboard.press("Control+s")
    page.wait_for_function(SAVED, timeout=START_MS)
    _open(page, lab, notebook)
    expect(_path(page)).to_be_attached(timeout=START_MS)
    expect(_path(page)).not_to_have_attribute("d", first)
    assert _drawn_points(page) == points
    assert _readouts(page, notebook) == moved
    assert complaints == []
