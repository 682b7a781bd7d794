"""``migkit qemu image`` as a user meets it: errors in one line; what it makes is tested with the guests."""

import os
import shutil
import subprocess
import sys

from tests.conftest import TOP, require


def run(*arguments, path=None):
    environment = os.environ | {"PYTHONPATH": str(TOP)} | ({"PATH": str(path)} if path else {})
    command = [sys.executable, "-m", "migkit", "qemu", "image", "-q", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    return done.returncode, done.stdout, done.stderr


def test_a_machine_without_apt_is_one_line(tmp_path):
    code, out, err = run(tmp_path / "image", path=tmp_path)
    assert (code, out, err.count("\n")) == (4, "", 1)
    assert err.startswith("migkit: image: ")
    assert not (tmp_path / "image").exists()


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    require(shutil.which("apt-get") and shutil.which("gcc"), "no apt or no gcc; it is a Debian that is needed")
    (tmp_path / "file").write_text("")
    code, out, err = run(tmp_path / "file" / "image")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "cannot be written (Not a directory)" in err
