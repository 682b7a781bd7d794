"""The notebooks of the course against the checks behind them, and as students run them."""

import re

import pytest
from nbformat.v4 import new_code_cell

from migkit.course import LESSONS, lesson
from migkit.course.autograding import lesson_of, shipped
from tests.conftest import TOP
from tests.course.notebooks import answered, exercises, name_of, read, run, said, tagged

NUMBERS = tuple(LESSONS)
GUIDE = (TOP / "notebooks/course/instructors-guide.md").read_text()


@pytest.mark.parametrize("number", NUMBERS)
def test_a_notebook_asks_each_exercise_once_and_in_order(number):
    names = [name_of(cell) for _, cell, _ in exercises(read(number))]
    assert names == [one.name for one in lesson(number).exercises]


@pytest.mark.parametrize("number", NUMBERS)
def test_headings_count_the_points_that_the_checks_give(number):
    notebook = read(number)
    headings = [notebook.cells[at - 1].source for at, _, _ in exercises(notebook)]
    found = [re.match(r"### Exercise (\d)\.(\d): .* \((\d) points?\)\n", heading).groups() for heading in headings]
    wanted = [(str(number), str(at), str(one.points)) for at, one in enumerate(lesson(number).exercises, 1)]
    assert found == wanted
    assert f"**Points**: {lesson(number).points}" in notebook.cells[0].source
    assert re.search(rf"\| {number} \| .* \| {lesson(number).points}( \+ 10)? \|", GUIDE)


@pytest.mark.parametrize("number", NUMBERS)
def test_options_stand_in_the_text_as_the_checks_know_them(number):
    text = "\n".join(cell.source for cell in read(number).cells if cell.cell_type == "markdown")
    for question in lesson(number).predictions:
        for letter, words in question.options.items():
            assert f"* **{letter}** {words}" in text
    for one in lesson(number).exercises:
        for letter in getattr(one, "options", ()):
            assert f'`"{letter}"`' in text, (one.name, letter)


@pytest.mark.parametrize("number", NUMBERS)
def test_a_lesson_states_goals_time_and_what_is_needed_and_leads_on(number):
    notebook = read(number)
    first, last = notebook.cells[0].source, notebook.cells[-1].source
    assert first.startswith(f"# Lesson {number}. ")
    assert all(word in first for word in ("you can**", "**You need**", "**Time**", "*Question.*"))
    following = re.search(r"\*Next:\* \[.*\]\((.*\.ipynb)\)", last)[1]
    target = (shipped(number).parent / following).resolve()
    assert target.exists()
    assert number == NUMBERS[-1] or lesson_of(target) == number + 1


@pytest.mark.parametrize("number", NUMBERS)
def test_an_untouched_lesson_says_what_is_missing_and_what_it_claims_is_true(number, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(TOP))
    notebook = read(number)
    claims = TOP / "tests/notebooks/claims" / f"{shipped(number).stem}.py"
    notebook.cells.append(new_code_cell(claims.read_text()))
    run(notebook, tmp_path)
    asked = [cell for cell in notebook.cells if tagged(cell, "exercise") or tagged(cell, "prediction")]
    assert [cell.source for cell in asked if not said(cell).startswith("Not answered yet.")] == []


@pytest.mark.parametrize("number", [1, *(pytest.param(at, marks=pytest.mark.verification) for at in NUMBERS[1:])])
def test_the_folded_solutions_pass_every_check(number, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(TOP))
    notebook = run(answered(number), tmp_path)
    cells = [cell for cell in notebook.cells if tagged(cell, "exercise")]
    assert [(name_of(cell), said(cell)) for cell in cells if not said(cell).startswith("Right.")] == []
    revealed = [cell for cell in notebook.cells if ".reveal(" in cell.source]
    assert len(revealed) == len(lesson(number).predictions)
    assert all(said(cell).startswith("Your prediction. You expected a") for cell in revealed)
