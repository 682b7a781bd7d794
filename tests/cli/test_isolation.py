"""A folder full of modules that nobody asked for: no command that is started in it runs one of them."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import TOP, require

MODULES = ("psutil", "numpy", "json", "sitecustomize", "usercustomize", "numba", "click", "pyarrow", "cryptography")
ENTRY = "import sys; sys.path.insert(0, {!r}); from migkit.cli import main; main()"
SMALL = ("--memory", "4 MiB", "--dirty", 'region = "1 MiB", writes_per_s = 500')


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    for name in MODULES:
        (folder / f"{name}.py").write_text(
            f"open({str(folder / 'ran')!r}, 'a').write(__name__ + ' ')\nraise SystemExit\n"
        )
    return folder


def started(hostile, *arguments, command=None):
    """Run a command in the folder as the installed script starts it: with the script's own folder on its path."""
    command = command or [sys.executable, "-P", "-c", ENTRY.format(str(TOP))]
    done = subprocess.run([*command, *map(str, arguments)], cwd=hostile, capture_output=True, text=True, timeout=500)
    ran = hostile / "ran"
    assert not ran.exists(), ran.read_text()
    return done


def test_predict_runs_none_of_them(hostile):
    done = started(hostile, "predict", *SMALL, "--format", "json")
    assert json.loads(done.stdout)["verdict"] == "converges", done.stderr


def test_as_a_module_it_runs_none_of_them(hostile):
    module = [sys.executable, "-m", "migkit"]
    os.environ["PYTHONPATH"], before = str(TOP), os.environ.get("PYTHONPATH", "")
    try:
        done = started(hostile, "predict", *SMALL, "--format", "json", command=module)
    finally:
        os.environ["PYTHONPATH"] = before
    assert json.loads(done.stdout)["verdict"] == "converges", done.stderr


@pytest.mark.live
def test_capture_and_restore_run_none_of_them(hostile):
    done = started(hostile, "capture", *SMALL, "--checkpoint", "guest", "-o", "run.parquet")
    assert done.returncode == 0, done.stderr
    done = started(hostile, "restore", "guest", "--run", "100 ms")
    assert done.returncode == 0, done.stderr
    assert [oct((hostile / name).stat().st_mode & 0o777) for name in ("guest", "run.parquet")] == ["0o600"] * 2


def test_the_compiler_of_kernels_runs_none_of_them(hostile):
    code = (
        ENTRY.format(str(TOP)).partition("from")[0]
        + "from migkit.models import warm; warm._compiler(warm._CODE).wait()"
    )
    assert started(hostile, command=[sys.executable, "-P", "-c", code]).returncode == 0


def test_jupyterlab_runs_none_of_them(hostile):
    require(shutil.which("jupyter", path=str(Path(sys.executable).parent)), "no JupyterLab in this environment")
    (hostile / "jupyter_server_config.py").write_text((hostile / "json.py").read_text())
    (hostile / "jupyter_lab_config.py").write_text((hostile / "json.py").read_text())
    done = started(hostile, "lab", "00", "--version")
    assert done.returncode == 0, done.stderr
