"""What the files of the project must look like, whoever writes them."""

import itertools
import json
import re
import shutil
import subprocess
import tomllib
from collections import defaultdict

import grimp
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
NOTEBOOKS = sorted((TOP / "notebooks").rglob("*.ipynb"))
LONGEST_MODULE_LINES = 400
NOT_IMPORTED = {
    "distributed": "sweeps load it by name, where it is installed",
    "ortools": "exact plans load it by name, where it is installed",
    "jupyterlab": "`migkit lab` starts it as a program",
    "otter-grader": "`migkit course` starts it as a program",
    "voila": "`migkit dashboard` starts it as a program",
    "prometheus-client": "it is imported as prometheus_client",
    "pyyaml": "it is imported as yaml",
    "lz4": "the codec loads it by name, where it is installed",
    "zstandard": "the codec loads it by name, where it is installed",
}
MOST_ROOMS = {
    "migkit": 25,  # the ideas themselves, which the import contract lists, and what all of them share
    "cli": 38,  # one module a command, and what commands share
    "calibrate": 17,  # constants of hosts, curves of guests, their files and their checks
    "guest": 16,  # what counters, readings and the pages themselves tell of a guest, one kind of finding each
    "viz": 16,  # one kind of picture each, and how all of them look
    "engine": 16,  # what a guest does, a sender, the path, and the records that all of them share
    "planning": 16,  # one question each, and what the answers share
    "drain": 16,  # the two questions, the planner, and what plans are made of
}
# Names that more than one module has, each with the one idea that they are at several levels.
ONE_IDEA = {
    "accuracy": "predicted against measured: scored, drawn, and the command",
    "records": "records with names: how they are declared, and those of the engine and of the simulator",
    "calibrate": "calibration: its package, and its command",
    "tradeoffs": "choices of settings, and their command",
    "sweep": "many scenarios, and their command",
    "size": "the inverse question, and its command",
    "advise": "settings to paste, and the command that writes them",
    "kubevirt": "KubeVirt: its rules, and its settings",
    "lint": "settings against their documentation, and the command that checks them",
    "course": "the course: its package, and its command",
    "curve": "the dirty curve: measured, and fitted to logs",
    "fit": "fits: of constants, and the command that fits a guest",
    "capture": "a command, and what it runs",
    "dashboard": "the page of planners: its widgets, and the command that serves it",
    "differences": "pages sent as differences: predicted, and real",
    "dirty": "how memory is dirtied: measured by a command, in a scenario, in the engine, in a model",
    "drain": "a command, and what it runs",
    "experiment": "a designed experiment: its command, and its runs",
    "fleet": "machines and hosts: an inventory of them, and what commands ask of it",
    "guest": "the machine that is moved: in a scenario, predicted, simulated, real",
    "guests": "what real guests are made of: processes, and virtual machines",
    "hypervisors": "hypervisors: their rules, and their logs",
    "machine": "a machine that runs: a process, and QEMU",
    "managers": "managers of virtual machines: their rules, their logs, and how they empty hosts",
    "migration": "one real migration: of a process, and of a virtual machine",
    "outlook": "what is expected of a migration under way, and how it is shown",
    "policies": "policies: their rules, and their pictures",
    "postcopy": "post-copy: predicted, and simulated",
    "precopy": "pre-copy: predicted, and simulated",
    "predict": "a command, and what it runs",
    "qemu": "QEMU: its command, its rule, its laboratory",
    "replay": "a command, and what it runs",
    "profiling": "a guest measured before it moves: how, and for a command",
    "restore": "a command, and what it runs",
    "scenario": "a scenario: the record, its package, its flags",
    "schema": "the form of a file: of a scenario, of a trace, and the command that prints it",
    "sender": "what sends: predicted, simulated, real",
    "strategies": "strategies side by side: a picture, and a widget",
    "traces": "traces: their package, and those made of imported logs",
    "targets": "the limits of a planner: their record, and their flags",
    "trackers": "a command, and what it runs",
    "warm": "compile before it is needed: predictions, a harness, a widget",
}


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


@pytest.fixture(scope="module")
def imports():
    """What each module imports at run time, from anywhere in it; names for type checkers do not count."""
    graph = grimp.build_graph("migkit", exclude_type_checking_imports=True, cache_dir=None)
    return {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}


def test_no_module_imports_itself_in_a_circle(imports):
    circles = set()
    for module in imports:
        reached, ahead = set(), set(imports[module])
        while ahead:
            reached |= ahead
            ahead = set().union(*(imports.get(name, set()) for name in ahead)) - reached
        if module in reached:
            circles.add(module)
    assert circles == set(), "each of these can be reached from what it imports"


def rooms(folder):
    """Return the modules and packages of a package."""
    return [
        path.stem
        for path in folder.iterdir()
        if (path.suffix == ".py" and path.name != "__init__.py") or (path / "__init__.py").exists()
    ]


def test_no_package_has_more_than_about_fifteen_rooms():
    sizes = {path.parent.name: len(rooms(path.parent)) for path in (TOP / "migkit").rglob("__init__.py")}
    assert {name: size for name, size in sizes.items() if size > MOST_ROOMS.get(name, 15)} == {}


def test_two_modules_share_a_name_only_for_one_idea():
    places = defaultdict(list)
    for path in sorted((TOP / "migkit").rglob("*.py")):
        inside = path.relative_to(TOP).with_suffix("").parts
        inside = inside[:-1] if inside[-1] == "__init__" else inside
        places[inside[-1].strip("_")].append(".".join(inside))
    shared = {name: found for name, found in places.items() if len(found) > 1}
    assert shared.keys() - ONE_IDEA.keys() == set(), "rename one of each, or say which one idea they are"
    assert ONE_IDEA.keys() - shared.keys() == set(), "these share no name any more"


def test_every_dependency_is_imported_by_something():
    project = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]
    extras = itertools.chain(*project["optional-dependencies"].values())
    wanted = {re.match(r"[\w.-]+", line)[0] for line in (*project["dependencies"], *extras)}
    text = "\n".join(path.read_text() for path in (TOP / "migkit").rglob("*.py"))
    silent = {name for name in wanted if not re.search(rf"(import|from) {name.partition('.')[0]}\b", text)}
    assert silent == NOT_IMPORTED.keys()
