"""Temporary folders: nobody else reads them, and what a killed run left is removed by the next."""

import subprocess
import sys

import pytest

from migkit.harness.runs.folders import private_folder

HOLD = """
import sys
from migkit.harness.runs.folders import private_folder
with private_folder() as folder:
    (folder / "source.key").touch()
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path, monkeypatch):
    """Yield a process that holds a folder, and that folder."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    environment = {"TMPDIR": str(tmp_path), "PYTHONPATH": ":".join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        process.stdout.readline()
        yield process, next(tmp_path.iterdir())
        process.kill()


def test_a_folder_that_is_held_is_left_alone(holder):
    _, held = holder
    with private_folder() as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        assert (held / "source.key").exists()
    assert not folder.exists()


def test_a_folder_of_a_killed_process_is_removed_by_the_next(holder):
    process, held = holder
    process.kill()
    process.wait()
    assert held.exists()
    with private_folder():
        assert not held.exists()


def test_what_is_no_folder_of_ours_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "mine").mkdir()
    (tmp_path / "migkit-run-link").symlink_to(tmp_path / "mine")
    (tmp_path / "migkit-run-file").touch()
    with private_folder():
        assert sorted(path.name for path in tmp_path.iterdir() if path.name != "mine")[:2] != []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["migkit-run-file", "migkit-run-link", "mine"]
