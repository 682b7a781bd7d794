"""Links between notebooks lead somewhere, and each notebook to the next."""

import itertools
import json
import re

import pytest

from tests.conftest import TOP

FOLDER = TOP / "notebooks"
EVERY = sorted(FOLDER.rglob("*.ipynb"))
NUMBERED = sorted(FOLDER.glob("[0-9][0-9]-*.ipynb"))
LINK = re.compile(r"\]\(([^)#:]+)\)")


def text_of(path):
    cells = json.loads(path.read_text())["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")


@pytest.mark.parametrize("path", EVERY, ids=lambda path: path.stem)
def test_links_lead_to_files_that_are_there(path):
    assert [link for link in LINK.findall(text_of(path)) if not (path.parent / link).exists()] == []


@pytest.mark.parametrize(("path", "following"), list(itertools.pairwise(NUMBERED)), ids=lambda path: path.stem)
def test_a_notebook_ends_with_a_link_to_the_next(path, following):
    assert LINK.findall(text_of(path).rpartition("*Next:*")[2]) == [following.name]


def test_the_first_notebook_leads_to_all_others():
    assert {path.name for path in NUMBERED[1:]} <= set(LINK.findall(text_of(NUMBERED[0])))
