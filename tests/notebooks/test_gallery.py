"""Notebooks as pages that need neither a kernel nor a network."""

import importlib.util
import re

import nbformat
import pytest
from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from playwright.sync_api import expect, sync_playwright

from tests.browser.conftest import CHROMIUM, CHROMIUM_FLAGS
from tests.conftest import TOP, require

CELLS = [
    new_markdown_cell("# A title\n\n*Next:* [more](more.ipynb)"),
    new_code_cell("from migkit import Guest, predict\nfrom migkit.widgets import Explorer\nprint(6 * 7)"),
    new_code_cell("predict(guest=Guest(memory_bytes=2**28)).plot()"),
    new_code_cell("Explorer()"),
    new_code_cell("from migkit.widgets import Animation\nAnimation()"),
]


@pytest.fixture(scope="module")
def gallery():
    spec = importlib.util.spec_from_file_location("gallery", TOP / ".docs/gallery.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def written(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(TOP))

    def write(*cells):
        nbformat.write(new_notebook(cells=list(cells)), tmp_path / "one.ipynb")
        return tmp_path / "one.ipynb"

    return write


def test_a_page_shows_figures_and_explorers_and_asks_for_nothing_but_the_script_beside_it(gallery, written):
    page = gallery.drawn(gallery.executed(written(*CELLS)), up="../")
    asked = re.findall(r"<(?:script|link|img|iframe)[^>]+(?:src|href)=[\"']([^\"']+)", page)
    assert asked == ["../plotly.min.js"]
    assert "url(http" not in page
    assert page.count("Plotly.newPlot(") == 2
    assert '"name": "bitmap sync"' in page
    assert "memory: <b>4 GiB</b>" in page
    assert page.count('<div id="film-') == 1
    assert "<pre>42\n</pre>" in page
    assert 'href="more.html"' in page
    assert "widget-state" not in page


def test_an_animation_plays_in_a_page_without_a_kernel(gallery, written, tmp_path):
    require(CHROMIUM, "there is no Chromium; apt-get install chromium fonts-dejavu-core")
    cell = "from migkit import Guest, simulate\nfrom migkit.widgets import Player\n"
    cell += "Player({'precopy': simulate(Guest(memory_bytes=2**24), frames=20)})"
    path = tmp_path / "film.html"
    path.write_text(gallery.drawn(gallery.executed(written(CELLS[0], new_code_cell(cell))), up=""), encoding="utf-8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
        page = browser.new_page()
        page.goto(path.as_uri())
        share = page.locator(".migkit-player tbody td").first  # of the pages that are to be sent
        expect(share).to_have_text("100.0 %")
        page.get_by_role("slider", name="time since the request").press("End")
        expect(share).to_have_text("0.0 %")
        browser.close()


def test_a_notebook_that_fails_is_left_out_and_told(gallery, written, tmp_path, monkeypatch, capfd):
    good, bad = (
        written(*cells).rename(tmp_path / name)
        for name, cells in (
            ("good.ipynb", CELLS[:2]),
            ("bad.ipynb", [CELLS[0], new_code_cell("raise ValueError('no userfaultfd')")]),
        )
    )
    monkeypatch.setattr(gallery, "shipped_notebooks", lambda: [good, bad])
    assert gallery.main(tmp_path / "pages") == 1
    assert "bad.ipynb is left out: ValueError: no userfaultfd" in capfd.readouterr().err
    index = (tmp_path / "pages/index.html").read_text()
    assert '<a href="good.html">A title</a>' in index
    assert "bad.html" not in index
    with pytest.raises(CellExecutionError):
        gallery.executed(bad)
