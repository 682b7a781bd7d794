"""The script that sets the environment up: where that may live."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.conftest import TOP

NOBODY = 65534


def run(folder, *arguments, **environment):
    return subprocess.run(
        [folder / "run", *arguments],
        capture_output=True,
        text=True,
        env=os.environ | environment,
        user=NOBODY if os.getuid() == 0 else None,
    )


@pytest.fixture
def checkout():
    """A folder with the script in it that nobody may write to, within one that another user can reach."""
    top = Path(tempfile.mkdtemp(prefix="migkit-run-"))
    top.chmod(0o755)
    folder = top / "checkout"
    folder.mkdir()
    shutil.copy(TOP / "run", folder / "run")
    folder.chmod(0o555)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(top)


def test_a_checkout_that_cannot_be_written_to_says_what_to_do(checkout):
    done = run(checkout, "demo")
    assert done.returncode == 4
    assert done.stderr == (
        f"run: {checkout} cannot be written to; let the environment live elsewhere: "
        f"MIGKIT_VENV=~/.cache/migkit-venv {checkout}/run ...\n"
    )


def test_an_environment_does_not_replace_what_is_not_one(checkout):
    place = checkout.parent / "mine"
    place.mkdir()
    (place / "letter.txt").write_text("keep me")
    place.chmod(0o777)
    done = run(checkout, "demo", MIGKIT_VENV=str(place))
    assert done.returncode == 4
    assert "holds something else than an environment of migkit" in done.stderr
    assert (place / "letter.txt").read_text() == "keep me"
