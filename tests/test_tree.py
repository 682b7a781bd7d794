"""What the files of the project must look like, whoever writes them."""

import json
import shutil
import subprocess

import pytest

from tests.conftest import TOP, require

TOP_LEVEL = {
    "CITATION.cff",
    "LICENSE",
    "README.md",
    "data",
    "migkit",
    "notebooks",
    "pyproject.toml",
    "run",
    "tests",
}
NOTEBOOKS = sorted((TOP / "notebooks").glob("*.ipynb"))
LONGEST_MODULE_LINES = 400


@pytest.fixture(scope="module")
def tracked():
    require(shutil.which("git") and (TOP / ".git").exists(), "not a git checkout; clone the repository")
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=TOP, capture_output=True, text=True, check=True).stdout
    return [name for name in listing.split("\0") if name]


def test_the_top_level_holds_only_the_agreed_entries(tracked):
    entries = {name.split("/")[0] for name in tracked}
    assert {entry for entry in entries if not entry.startswith(".")} <= TOP_LEVEL


def test_no_module_is_longer_than_400_lines():
    lengths = {path: len(path.read_text().splitlines()) for path in (TOP / "migkit").rglob("*.py")}
    assert {path.name: n for path, n in lengths.items() if n > LONGEST_MODULE_LINES} == {}


def test_import_contracts_hold():
    from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

    assert lint_imports(config_filename=str(TOP / "pyproject.toml"), no_cache=True) == EXIT_STATUS_SUCCESS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebook_is_stripped_and_names_its_kernel(path):
    notebook = json.loads(path.read_text())
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell for cell in code if cell["outputs"] or cell["execution_count"] is not None] == []
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    assert "widgets" not in notebook["metadata"]
