"""What all explorers have in common."""

import ast
import dataclasses
import math

import pytest

from migkit import DirtyClass, Guest, Host, Policy, widgets
from migkit.errors import UsageError
from migkit.widgets import controls
from migkit.widgets.panel import Panel
from migkit.widgets.python import call, literal

HOST = Host(quiesce_s=0.002, load_s=0.01, goodput_bytes_per_s=4e8)
EXPLORERS = {
    "Explorer": "result",
    "StrategyExplorer": "results",
    "PolicyExplorer": "results",
    "LinkExplorer": "answer",
}


class Doubled(Panel):
    """A smallest explorer: a text, and twice its number."""

    def __init__(self):
        super().__init__()
        self.number = controls.text("number", "1", sentence="What is doubled.")
        self.other = controls.slider("other", ["a", "b"], "a", sentence="Nothing.")
        self.refresh()
        self._show()

    def _controls(self):
        return [self.number, self.other]

    def refresh(self):
        if not self.number.value.isdigit():
            raise UsageError(f'number: "{self.number.value}" <is> no number')
        self.result = 2 * int(self.number.value)
        self.headline.value = str(self.result)

    def code(self):
        return f"result = 2 * {self.number.value}"


@pytest.fixture
def doubled():
    return Doubled()


def test_a_moved_control_moves_the_result_and_the_code(doubled):
    doubled.number.value = "21"
    assert doubled.headline.value == "42"
    assert doubled.widget.children[-1].code == "result = 2 * 21"


def test_a_wrong_value_is_told_beside_its_control_as_text_and_the_result_stays(doubled):
    doubled.number.value = "two"
    assert doubled.complaints["number"].startswith('number: "two" <is> no number')
    assert "&lt;is&gt;" in doubled.fields["number"].text
    assert 'role="alert"' in doubled.fields["number"].text
    assert doubled.headline.value == "2"
    assert "alert" not in doubled.fields["other"].text


def test_a_complaint_stands_beside_the_control_moved_last(doubled):
    doubled.number.value = "two"
    doubled.other.value = "b"
    assert list(doubled.complaints) == ["other"]
    doubled.number.value = "2"
    assert doubled.complaints == {}


def test_an_error_that_is_not_migkits_is_shown_and_raised(doubled, monkeypatch):
    monkeypatch.setattr(doubled, "refresh", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        doubled.number.value = "3"
    assert "division by zero" in doubled.complaints["number"]


@pytest.mark.parametrize("name", EXPLORERS)
def test_every_control_has_a_label_and_a_sentence(name):
    explorer = getattr(widgets, name)(HOST)
    for label, field in explorer.fields.items():
        assert label == field.control.description
        assert field.control.tooltip.endswith(".")
        assert field.control.tooltip in field.text


@pytest.mark.parametrize("name", EXPLORERS)
def test_the_shown_code_makes_the_same_result_and_figure(name):
    explorer = getattr(widgets, name)(HOST)
    explorer.memory.value = "6 GiB"
    explorer.write_rate.value = 50_000.0
    made = {}
    exec(explorer.widget.children[-1].code, made)
    assert made[EXPLORERS[name]] == getattr(explorer, EXPLORERS[name])
    assert made["figure"].to_json() == explorer.figure.figure.to_json()


@pytest.mark.parametrize(
    "record",
    [
        Host(),
        Host(platform="xen"),
        Host(receive_bytes_per_s=1e9, quiesce_s=0.0),
        Guest(memory_bytes=2**30, dirty=(DirtyClass(region_bytes=2**20, writes_per_s=5.5),), layout="blocks"),
        Policy.named("kubevirt"),
        Policy(max_bandwidth_bytes_per_s=math.inf, time_limit_s=60.0),
    ],
)
def test_a_record_as_python_is_that_record(record):
    made = eval(literal(record), {cls.__name__: cls for cls in (Host, Guest, DirtyClass, Policy)})
    assert made == record
    assert [type(getattr(made, f.name)) for f in dataclasses.fields(made)] == [
        type(getattr(record, f.name)) for f in dataclasses.fields(record)
    ]


@pytest.mark.parametrize("value", ['a "quoted" text', "tab\tü", -math.inf, (1,), [None, True], {"a": {"b": 1.5}}])
def test_a_plain_value_as_python_is_that_value(value):
    assert eval(literal(value)) == value


def test_a_long_call_is_written_over_lines():
    text = call("f", {"one": literal("x" * 60), "two": call("g", {"three": literal("y" * 80), "four": "4"})})
    assert ast.dump(ast.parse(text)) == ast.dump(ast.parse(f"f(one={'x' * 60!r}, two=g(three={'y' * 80!r}, four=4))"))
    assert max(map(len, text.splitlines())) < 110
