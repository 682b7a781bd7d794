"""Each word of the glossary is used in the notebook that it names, and has the name that it says in Python."""

import dataclasses
import json
import re

import pytest

from migkit import Calibration, Guest, Host, Link, Policy, Prediction, Scenario, Strategy
from migkit.scenario.strategy import STRATEGIES
from tests.conftest import TOP

FOLDER = TOP / "notebooks"
ROW = re.compile(
    r"^\| (?P<word>[^|]+) \| (?P<says>[^|]+) \| (?:\[\d\d\]\((?P<file>[^)]+)\) )?\| (?:`(?P<name>\w+)` )?\|$"
)
RECORDS = (Calibration, Guest, Host, Link, Policy, Prediction, Scenario, Strategy)


def text_of(path):
    cells = json.loads(path.read_text())["cells"]
    return " ".join("".join(cell["source"]) for cell in cells).lower()


LINES = "".join(json.loads((FOLDER / "glossary.ipynb").read_text())["cells"][0]["source"]).splitlines()
ROWS = [found for found in map(ROW.match, LINES) if found]


def test_every_line_of_the_table_is_a_row_in_alphabetical_order():
    assert len(ROWS) == sum(line.startswith("|") for line in LINES) - 2
    words = [row["word"] for row in ROWS]
    assert words == sorted(words)
    assert all(row["says"].endswith(".") for row in ROWS)


@pytest.mark.parametrize("row", [row for row in ROWS if row["file"]], ids=lambda row: row["word"])
def test_a_word_is_used_where_the_glossary_says(row):
    text = " ".join(text_of(FOLDER / row["file"]).split())
    word = {"rehearsal": "rehears"}.get(row["word"], row["word"])
    assert word in text or row["name"] in text


def test_names_in_python_are_fields_or_strategies():
    known = {field.name for record in RECORDS for field in dataclasses.fields(record)} | set(STRATEGIES)
    assert {row["name"] for row in ROWS if row["name"]} <= known
