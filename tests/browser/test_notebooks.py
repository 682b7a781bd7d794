"""The notebooks as a person sees them: JupyterLab in Chromium."""

import re

import ipywidgets
import pytest
from playwright.sync_api import expect

from migkit.widgets import CalibrationExplorer, Explorer, PolicyExplorer, StrategyExplorer
from tests.browser import driving
from tests.browser.driving import EXPLORER, IDLE, START_MS

pytestmark = pytest.mark.browser

GUEST = ".jp-Cell-outputArea:has([aria-label='memory'])"  # the first explorer of a guest
EXPLORERS = {
    "00-start.ipynb": [CalibrationExplorer, Explorer],
    "03-precopy-vs-postcopy.ipynb": [StrategyExplorer, PolicyExplorer],
}


@pytest.fixture
def complaints(page, lab):
    return driving.complaints_of(page, lab)


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
    driving.open_notebook(page, lab, notebook)
    driving.run_all(page)
    expect(page.locator(driving.ERRORS)).to_have_count(0)

    shown, first, first_points = (
        _readouts(page, notebook),
        driving.first_path(page, GUEST).get_attribute("d"),
        driving.drawn_points(page, GUEST),
    )
    handle = page.get_by_role("slider", name="memory").first
    handle.focus()
    for _ in range(3):
        before = driving.first_path(page, GUEST).get_attribute("d")
        handle.press("ArrowRight")
        expect(driving.first_path(page, GUEST)).not_to_have_attribute("d", before)
    expect(page.locator(IDLE)).to_be_attached()
    points, moved = driving.drawn_points(page, GUEST), _readouts(page, notebook)
    assert points != first_points
    assert sum(one != other for one, other in zip(moved, shown, strict=True)) == 1

    driving.save(page)
    driving.open_notebook(page, lab, notebook)
    expect(page.locator(".migkit-kept")).to_have_count(0, timeout=START_MS)  # the live explorers have come
    expect(driving.first_path(page, GUEST)).to_be_attached(timeout=START_MS)
    expect(driving.first_path(page, GUEST)).not_to_have_attribute("d", first)
    assert driving.drawn_points(page, GUEST) == points
    assert _readouts(page, notebook) == moved
    assert complaints == []
