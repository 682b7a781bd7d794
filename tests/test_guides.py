"""What the guides print is what the commands print: each block of a guide that begins with a command is run."""

import importlib.util
import os
import re
import shlex
import subprocess
import sys

import pytest

from tests.conftest import TOP, require

GUIDES = ("planning",)
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(guide):
    """Return the blocks of a guide that make files or run commands, in their order."""
    found = BLOCK.findall((TOP / ".docs" / f"{guide}.md").read_text(encoding="utf-8"))
    return [
        (kind, text) for kind, text in found if text.startswith("$ ") or (kind == "python" and ".to_csv(" in text)
    ]


def sessions(text):
    """Return each command of a block and what the guide prints below it."""
    parts = re.split(r"^\$ ", text.replace("\\\n", " "), flags=re.MULTILINE)[1:]
    return [(shlex.split(command), printed) for command, _, printed in (part.partition("\n") for part in parts)]


def words(text):
    """Return a text as its words, wherever lines are broken; what a search reaches in its time may vary."""
    text = re.sub(r"\b\d+ rounds? of search", "N rounds of search", " ".join(text.split()))
    return re.sub(r"that was found takes \S+ s, within \S+ %", "that was found takes N s, within N %", text)


def run(command, folder):
    if command[0] == "cat":
        return (folder / command[1]).read_text()
    assert command[0] == "migkit"
    if "--exact" in command:
        require(importlib.util.find_spec("ortools"), "ortools is not installed; install migkit[exact]")
    return python("-m", *command, folder=folder).stdout


def python(*arguments, folder):
    """Run Python on this tree, in a folder; both outputs come as one."""
    env = os.environ | {"PYTHONPATH": str(TOP)}
    done = [sys.executable, *arguments]
    return subprocess.run(done, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.parametrize("guide", GUIDES)
def test_a_guide_prints_what_its_commands_print(guide, tmp_path):
    wrong = []
    for kind, text in blocks(guide):
        if kind == "python":
            assert python("-c", text, folder=tmp_path).stdout == ""
            continue
        for command, printed in sessions(text):
            if command[0] == "cat":
                (tmp_path / command[1]).write_text(printed)
            found = words(run(command, tmp_path))
            missing = [part for part in map(words, printed.split("\n\n")) if part not in found]
            wrong += [f"{shlex.join(command)}\n  the guide: {part}\n  printed: {found}" for part in missing]
    assert not wrong, "\n".join(wrong)


def test_commands_of_a_block_are_told_from_what_they_print():
    text = '$ cat a.csv\nvm\nx\n$ migkit drain --empty all \\\n    --deadline "30 min"\n3 moves\n\nhosts\n'
    assert sessions(text) == [
        (["cat", "a.csv"], "vm\nx\n"),
        (["migkit", "drain", "--empty", "all", "--deadline", "30 min"], "3 moves\n\nhosts\n"),
    ]
