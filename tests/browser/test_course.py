"""Two lessons of the course as a student takes them in JupyterLab: wrong answers first, then right ones."""

import pytest
from playwright.sync_api import expect

from migkit.course.autograding import shipped
from tests.browser import driving
from tests.browser.driving import ERRORS, IDLE
from tests.course.notebooks import exercises, name_of, read, tagged

pytestmark = pytest.mark.browser

ANSWER_MS = 60_000
WRONG = {
    1: {
        "region_pages": ("region_pages = 512e6 / 4096", "Binary and decimal prefixes were mixed"),
        "unique_pages": ("def unique_pages(t_s):\n    return 25_000 * t_s", "You counted writes"),
        "reading_bytes_per_s": ('reading_bytes_per_s = "93.2"', "has no unit"),
        "too_large": ("too_large = 30 * unique_pages(1.0) / unique_pages(30.0)", "The window was 0.1 s"),
        "more_after_10_s": ('more_after_10_s = "c"', "They agree at 1 s only"),
    },
    2: {
        "first_round_s": ("first_round_s = 4 * 2**30 / 125e6", "leave the 1 GiB of zero pages out"),
        "shrink": ("shrink = 125e6 / (25_000 * 4096)", "upside down"),
        "geometric_total_s": ("geometric_total_s = 25.77 / (1 - 0.8192)", "sum for ever"),
        "total_of_rounds": ("def total_of_rounds(volume):\n    return volume", "it raised TypeError"),
        "overestimate": ("overestimate = told", "it is a whole result"),
        "why_wrong": ('why_wrong = "a"', "Look for a factor"),
        "settles_bytes": ("settles_bytes = 512 * 2**20", "the whole region"),
    },
}


@pytest.fixture
def complaints(page, lab):
    return driving.complaints_of(page, lab)


def _cell(page, at):
    return page.locator(".jp-Notebook .jp-Cell").nth(at)


def _answer(page, at, source=None):
    """Type into a cell as a student does, or leave it as it is, and run it."""
    _cell(page, at).locator(".cm-content").click()
    if source is not None:
        page.keyboard.press("Control+a")
        page.keyboard.insert_text(source)
    page.keyboard.press("Control+Enter")


def _hears(page, at, text):
    expect(_cell(page, at).locator(".jp-OutputArea")).to_contain_text(text, timeout=ANSWER_MS)


@pytest.mark.parametrize("number", [1, pytest.param(2, marks=pytest.mark.verification)])
def test_a_student_takes_a_lesson_from_start_to_end(page, lab, complaints, number):
    notebook = read(number)
    solutions = {at: (cell, code) for at, cell, code in exercises(notebook)}
    assert {name_of(cell) for cell, _ in solutions.values()} == WRONG[number].keys()
    driving.open_notebook(page, lab, f"course/{shipped(number).name}")
    for at, cell in enumerate(notebook.cells):
        if cell.cell_type != "code":
            continue
        if at in solutions:
            check, code = cell.source.splitlines()[-1], solutions[at][1]
            wrong, said = WRONG[number][name_of(cell)]
            _answer(page, at)
            _hears(page, at, "Not answered yet.")
            _answer(page, at, f"{wrong}\n\n{check}")
            _hears(page, at, "Not yet.")
            _hears(page, at, said)
            _answer(page, at, f"{code}\n\n{check}")
            _hears(page, at, "Right.")
        elif tagged(cell, "prediction"):
            _answer(page, at, cell.source.replace("=...", '="d"'))
            _hears(page, at, "You expect d")
        else:
            _answer(page, at)
            if ".reveal(" in cell.source:
                _hears(page, at, "You expected d")
    expect(page.locator(".jp-OutputArea .main-svg").first).to_be_attached(timeout=ANSWER_MS)  # a picture is drawn
    solution = page.locator(".jp-Notebook details").first
    expect(solution.locator("code").first).not_to_be_visible()
    solution.locator("summary").click()
    expect(solution.locator("code").first).to_be_visible()
    expect(page.locator(IDLE)).to_be_attached(timeout=ANSWER_MS)
    assert page.locator(ERRORS).count() == 0
    assert complaints == []
