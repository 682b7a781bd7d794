"""A log dropped on the page, and a real migration started from it: JupyterLab in Chromium."""

import gzip

import pytest
from playwright.sync_api import expect

from migkit.traces import data
from tests.browser import driving
from tests.browser.driving import EXPLORER, IDLE, START_MS

pytestmark = pytest.mark.browser

LOG = "from migkit.widgets import LogExplorer\n\nlog = LogExplorer()\nlog.upload.most_bytes = 30 * 2**20\nlog"
CAPTURE = (
    "from migkit.widgets import CaptureExplorer\n\n"
    'live = CaptureExplorer()\nlive.memory.value = "64 MiB"\nlive.working_set.value = "8 MiB"\nlive'
)
RUN_MS = 300_000
DROP = """([name, text, times]) => {
  const dropped = new DataTransfer();
  dropped.items.add(new File([text.repeat(times)], name));
  const field = document.querySelector(".migkit-upload");
  field.dispatchEvent(new DragEvent("drop", { dataTransfer: dropped, bubbles: true }));
}"""


@pytest.fixture
def complaints(page, lab):
    return driving.complaints_of(page, lab)


@pytest.fixture
def stuck():
    """The log of a migration that does not end, as text."""
    raw = gzip.decompress(data.data_path("kvm_database/precopy-16t-1.json.gz").read_bytes())
    return "\n".join(raw.decode().splitlines()[:400]) + "\n"


@pytest.fixture
def explorer(page):
    return page.locator(EXPLORER).first


def _opened(page, lab, name, *cells, shown=".js-plotly-plot"):
    driving.open_notebook(page, lab, driving.write_notebook(lab, name, *cells))
    page.locator(".lm-MenuBar-itemLabel", has_text="Run").first.click()
    page.locator(".lm-Menu-itemLabel", has_text="Run All Cells").first.click()
    expect(page.locator(f"{EXPLORER} {shown}").first).to_be_attached(timeout=START_MS)
    expect(page.locator(IDLE)).to_be_attached(timeout=START_MS)


def _points(page):
    """Return how many points the first line has, 0 before there is one."""
    plot = page.locator(f"{EXPLORER} .js-plotly-plot").first
    return plot.evaluate("plot => (plot.data[0].x ?? []).length")


def test_a_log_is_chosen_refused_dropped_and_kept_over_a_reload(page, lab, complaints, explorer, stuck):
    _opened(page, lab, "dropped-log.ipynb", LOG, shown=".migkit-upload")
    expect(driving.first_path(page)).to_have_count(0)
    chooser = explorer.locator(".migkit-upload input[type=file]")
    # More than a server takes in one message, so it must come in pieces.
    noise = ("x" * 99 + "\n") * (12 * 2**20 // 100)
    chooser.set_input_files({"name": "stuck.log", "mimeType": "text/plain", "buffer": (noise + stuck).encode()})
    expect(explorer).to_contain_text("does not converge", timeout=START_MS)
    expect(explorer).to_contain_text("max-bandwidth")
    expect(driving.first_path(page)).to_be_attached(timeout=START_MS)
    assert _points(page) > 300
    drawn = driving.first_path(page).get_attribute("d")

    chooser.set_input_files({"name": "poem.txt", "mimeType": "text/plain", "buffer": b"roses are red\nviolets\n"})
    alert = explorer.locator(".migkit-complaint", has_text="poem.txt")
    expect(alert).to_be_visible(timeout=START_MS)
    assert driving.first_path(page).get_attribute("d") == drawn

    page.evaluate(DROP, ["huge.log", "x", 31 * 2**20])
    expect(explorer.locator(".migkit-complaint", has_text="huge.log")).to_be_visible(timeout=START_MS)
    assert driving.first_path(page).get_attribute("d") == drawn

    page.evaluate(DROP, ["short.log", "\n".join(stuck.splitlines()[:380]) + "\n", 1])
    expect(explorer.locator(".migkit-upload")).to_contain_text("short.log", timeout=START_MS)
    expect(driving.first_path(page)).not_to_have_attribute("d", drawn, timeout=START_MS)
    expect(explorer.locator(".migkit-complaint")).to_have_count(0)
    drawn = driving.first_path(page).get_attribute("d")

    driving.save(page)
    driving.open_notebook(page, lab, "dropped-log.ipynb")
    expect(driving.first_path(page)).to_be_attached(timeout=START_MS)
    assert driving.first_path(page).get_attribute("d") == drawn
    expect(explorer.locator(".migkit-upload").first).to_contain_text("short.log")
    assert complaints == []


def test_a_field_for_a_file_is_reached_and_opened_by_keyboard(page, lab, complaints, explorer):
    _opened(page, lab, "keyboard-log.ipynb", LOG, shown=".migkit-upload")
    button = explorer.locator(".migkit-upload button")
    assert "choose a file" in button.get_attribute("aria-label")
    with page.expect_file_chooser() as opened:
        button.press("Enter")
    opened.value.set_files({"name": "one.txt", "mimeType": "text/plain", "buffer": b"Migration status: active\n"})
    expect(explorer.locator(".migkit-upload")).to_contain_text("one.txt", timeout=START_MS)
    assert complaints == []


@pytest.mark.live
def test_a_real_migration_is_drawn_as_it_goes_while_the_kernel_stays_usable(page, lab, complaints, explorer):
    _opened(page, lab, "live-capture.ipynb", CAPTURE, "6 * 7")
    assert _points(page) == 0
    explorer.get_by_role("button", name="start", exact=True).click()
    page.wait_for_function(
        "() => (document.querySelector('.jp-Cell-outputArea .js-plotly-plot').data[0].x ?? []).length > 2",
        timeout=RUN_MS,
    )
    early = _points(page)
    last = page.locator(".jp-CodeCell").nth(1)
    last.locator(".cm-content").click()
    page.keyboard.press("Shift+Enter")
    expect(last.locator(".jp-OutputArea-output", has_text="42")).to_be_visible(timeout=START_MS)
    expect(explorer).to_contain_text("proven equal", timeout=RUN_MS)
    assert _points(page) > early
    expect(explorer.get_by_role("button", name="stop", exact=True)).to_be_disabled()
    assert complaints == []


@pytest.mark.live
def test_a_real_migration_is_stopped_from_the_page(page, lab, complaints, explorer):
    _opened(
        page,
        lab,
        "stopped-capture.ipynb",
        CAPTURE.replace("live.memory", 'live.cap.value = "100 Mbit/s"\nlive.memory'),
    )
    explorer.get_by_role("button", name="start", exact=True).click()
    expect(explorer).to_contain_text("precopy, round 1", timeout=RUN_MS)
    explorer.get_by_role("button", name="stop", exact=True).click()
    expect(explorer).to_contain_text("Stopped.", timeout=RUN_MS)
    expect(explorer.get_by_role("button", name="start", exact=True)).to_be_enabled()
    assert complaints == []
