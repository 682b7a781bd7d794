"""Work in a thread: what was asked last counts, errors are told, defects are raised."""

import threading

import pytest

from migkit.errors import UsageError
from migkit.widgets.running.background import Background


@pytest.fixture
def told():
    return []


@pytest.fixture
def background(told):
    return Background(lambda result: told.append(("done", result)), lambda error: told.append(("failed", str(error))))


def test_what_is_asked_meanwhile_is_done_next_and_only_the_last_of_it(background, told):
    gate, begun = threading.Event(), threading.Event()

    def slow():
        begun.set()
        gate.wait(10)
        return "old"

    background.ask(slow)
    begun.wait(10)
    for number in range(5):
        background.ask(lambda number=number: number)
    gate.set()
    assert background.wait(10)
    assert told == [("done", 4)]


def test_the_caller_is_not_held_up(background):
    gate = threading.Event()
    background.ask(lambda: gate.wait(10))
    assert background.busy
    assert not background.wait(0.0)
    gate.set()
    assert background.wait(10)
    assert not background.busy


def test_an_error_of_migkit_is_told_and_not_raised(background, told):
    background.ask(lambda: (_ for _ in ()).throw(UsageError("wrong")))
    assert background.wait(10)
    assert told == [("failed", "wrong")]


def test_a_defect_is_told_and_raised_once(background, told):
    background.ask(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        background.wait(10)
    assert told == [("failed", "division by zero")]
    assert background.wait(10)


def test_a_defect_in_who_takes_the_result_is_raised():
    background = Background(lambda result: 1 / 0, lambda error: None)
    background.ask(lambda: 1)
    with pytest.raises(ZeroDivisionError):
        background.wait(10)
