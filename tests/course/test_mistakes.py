"""Each mistake that a check knows leads to its own sentence, and what is right to none."""

import pytest

from migkit.course import LESSONS, lesson
from migkit.course.exercises import Choice, Function, Number

EXERCISES = [(number, one.name) for number in LESSONS for one in lesson(number).exercises]
MISTAKES = [
    (number, one.name, at)
    for number in LESSONS
    for one in lesson(number).exercises
    for at in range(len(getattr(one, "mistakes", ())))
]
QUESTIONS = [(number, one.name) for number in LESSONS for one in lesson(number).predictions]


def exercise(number, name):
    return next(one for one in lesson(number).exercises if one.name == name)


def right_answer(one):
    return one.expected if isinstance(one, Function) else one.expected()


@pytest.mark.parametrize(("number", "name"), EXERCISES)
def test_the_right_answer_passes_and_says_what_it_means(number, name):
    said = lesson(number).check(**{name: right_answer(exercise(number, name))})
    assert said.right, said
    assert len(said.text) > 20


@pytest.mark.parametrize(("number", "name"), EXERCISES)
def test_an_untouched_exercise_is_told_what_it_asks_for(number, name):
    said = lesson(number).check(**{name: ...})
    assert (said.right, said.title) == (False, "Not answered yet")
    assert name in said.text


@pytest.mark.parametrize(("number", "name", "at"), MISTAKES)
def test_a_known_mistake_is_told_from_the_right_answer_and_from_the_others(number, name, at):
    one = exercise(number, name)
    mistake = one.mistakes[at]
    said = one.judge(mistake.makes if isinstance(one, Function) else mistake.makes())
    assert not said.right
    assert said.text == mistake.says


SLIPS = [
    (number, one.name, factor)
    for number in LESSONS
    for one in lesson(number).exercises
    if isinstance(one, Number)
    for factor in one.quantity.slips
]


@pytest.mark.parametrize(("number", "name", "factor"), SLIPS)
def test_a_slip_of_the_unit_is_never_right_and_never_a_mere_number(number, name, factor):
    said = exercise(number, name).judge(exercise(number, name).expected() * factor)
    assert not said.right
    assert "by a factor of" not in said.text, said


@pytest.mark.parametrize(("number", "name"), EXERCISES)
def test_no_sentence_gives_the_right_number_away(number, name):
    one = exercise(number, name)
    if isinstance(one, Choice):
        return
    for given in (1e-30, 1.2345e30, -1.0):
        said = one.judge((lambda *case, value=given: value) if isinstance(one, Function) else given)
        assert not said.right
        wanted = one.expected(*one.cases[0]) if isinstance(one, Function) else one.expected()
        assert f"{wanted:.4g}" not in said.text


@pytest.mark.parametrize(("number", "name"), QUESTIONS)
def test_every_option_of_a_prediction_can_be_committed_to_and_compared(number, name):
    for letter in next(one for one in lesson(number).predictions if one.name == name).options:
        fresh = lesson(number)
        assert fresh.reveal(name).title == "Not answered yet"
        assert fresh.commit(**{name: letter}).title == "Your prediction"
        assert fresh.reveal(name).text.startswith(f"You expected {letter}")


@pytest.mark.parametrize("number", LESSONS)
def test_a_wrong_letter_gets_a_sentence_and_no_exception(number):
    for one in lesson(number).exercises:
        if isinstance(one, Choice):
            wrong = [one.judge(letter) for letter in one.options if letter != one.expected()]
            assert not any(said.right for said in wrong)
            assert all(len(said.text) > 20 for said in wrong)
            assert "none of the options" in one.judge("z").text
            assert "none of the options" in one.judge(2).text
