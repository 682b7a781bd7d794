"""What the guides print is what the commands print: each block of a guide that begins with a command is run."""

import importlib.util
import os
import re
import shlex
import subprocess
import sys

import pytest

from tests.conftest import TOP, require

GUIDES = ("README", ".docs/first_steps", ".docs/from_log_to_prediction", ".docs/planning", ".docs/replay")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(guide):
    """Return the blocks of a guide that make files or run commands, in their order."""
    found = BLOCK.findall((TOP / f"{guide}.md").read_text(encoding="utf-8"))
    return [
        (kind, text) for kind, text in found if text.startswith("$ ") or (kind == "python" and ".to_csv(" in text)
    ]


def sessions(text):
    """Return each command of a block and what the guide prints below it."""
    parts = re.split(r"^\$ ", text.replace("\\\n", " "), flags=re.MULTILINE)[1:]
    return [(command, printed) for command, _, printed in (part.partition("\n") for part in parts)]


def words(text):
    """Return a text as its words, wherever lines are broken; what a search reaches in its time may vary."""
    text = re.sub(r"\b\d+ rounds? of search", "N rounds of search", " ".join(text.split()))
    return re.sub(r"that was found takes \S+ s, within \S+ %", "that was found takes N s, within N %", text)


def run(command, folder):
    """Run a command of a guide in a folder that holds the data as a clone does; both outputs come as one."""
    if "--exact" in command:
        require(importlib.util.find_spec("ortools"), "ortools is not installed; install migkit[exact]")
    env = os.environ | {"PYTHONPATH": str(TOP), "PATH": f"{folder}:{os.environ['PATH']}"}
    done = ["bash", "-c", command]
    return subprocess.run(
        done, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ).stdout


@pytest.fixture
def clone(tmp_path):
    """A folder with the commands and the data that a clone has."""
    for name in ("run", "migkit"):
        (tmp_path / name).write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m migkit "$@"\n')
        (tmp_path / name).chmod(0o755)
    (tmp_path / "data").symlink_to(TOP / "data")
    return tmp_path


@pytest.mark.parametrize("guide", GUIDES)
def test_a_guide_prints_what_its_commands_print(guide, clone):
    wrong = []
    for kind, text in blocks(guide):
        if kind == "python":
            assert run(f"{shlex.quote(sys.executable)} -c {shlex.quote(text)}", clone) == ""
            continue
        for command, printed in sessions(text):
            if command.startswith("cat "):
                (clone / command.removeprefix("cat ")).write_text(printed)
            found = words(run(command, clone))
            missing = [part for part in map(words, printed.split("\n\n")) if part not in found]
            wrong += [f"{command}\n  the guide: {part}\n  printed: {found}" for part in missing]
    assert not wrong, "\n".join(wrong)


def test_commands_of_a_block_are_told_from_what_they_print():
    text = '$ cat a.csv\nvm\nx\n$ migkit drain --empty all \\\n    --deadline "30 min"\n3 moves\n\nhosts\n'
    assert sessions(text) == [
        ("cat a.csv", "vm\nx\n"),
        ('migkit drain --empty all      --deadline "30 min"', "3 moves\n\nhosts\n"),
    ]
