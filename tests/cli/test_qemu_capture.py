"""``migkit qemu capture`` as a user meets it: results, errors in one line, and nothing left behind."""

import json
import os
import shutil
import signal
import subprocess
import sys

import psutil
import pytest

from migkit.qemu.machine import QEMU
from migkit.traces import io
from tests.conftest import TOP, require

FLAGS = ["--memory", "32 MiB", "--dirty", 'region = "8 MiB", writes_per_s = 1000', "--max-bandwidth", "20 MB/s"]
FLAGS += ["--accelerator", "tcg", "--warm-up", "0 s"]
SLOW = ["1 MB/s" if flag == "20 MB/s" else flag for flag in FLAGS]


def started(*arguments, folder):
    """Start the command; all that it leaves in a temporary folder is in ``folder``."""
    environment = os.environ | {"PYTHONPATH": str(TOP), "TMPDIR": str(folder)}
    return subprocess.Popen(
        [sys.executable, "-m", "migkit", "qemu", "capture", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background job ignores Ctrl-C
    )


def finished(process):
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


@pytest.fixture
def temporary(tmp_path):
    """A folder for temporary files, which must be empty at the end."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    yield folder
    assert list(folder.iterdir()) == []


@pytest.fixture
def moving(temporary):
    """A capture that is in the midst of its migration, and its machines by name."""
    require(shutil.which(QEMU), "no QEMU; apt-get install qemu-system-x86")
    require(shutil.which("gcc"), "no gcc; apt-get install gcc")

    def start(*flags):
        process = started(*SLOW, *flags, folder=temporary)
        while "precopy" not in process.stderr.readline():
            assert process.poll() is None
        machines = {_name(child): child for child in psutil.Process(process.pid).children()}
        return process, machines

    return start


def _name(child):
    command = child.cmdline()
    return command[command.index("-name") + 1].partition(",")[0]


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        ([], 2, "scenario: none was given"),
        (["--memory", "64"], 2, 'guest.memory: "64" has no unit'),
        (["--memory", "4 GiB"], 2, "guest.memory: 4 GiB is not possible"),
        (["--memory", "64 MiB", "--policy", "nova"], 2, 'QEMU does not follow "nova"'),
        (["--memory", "64 MiB", "--qemu", "/nowhere/qemu"], 4, "QEMU: there is no /nowhere/qemu"),
        (["--memory", "64 MiB", "--qemu", __file__], 4, "may not be executed"),
        (["--memory", "64 MiB", "--qemu", "/usr/share"], 4, "the folder /usr/share has no lib64/ld-linux"),
        (["--memory", "256 MiB", "--guest", "redis", "--image", "/nowhere"], 2, "image: /nowhere holds none"),
        (["--memory", "64 MiB", "-o", "/nowhere/run.parquet"], 2, "the folder /nowhere does not exist"),
        (
            ["--memory", "64 MiB", "--qmp", "/nowhere/vm.qmp"],
            2,
            "monitor /nowhere/vm.qmp: the folder /nowhere does not",
        ),
        (
            ["--memory", "64 MiB", "--qmp", "q" * 108],
            2,
            "its path has 108 bytes, and that of a socket has at most 107",
        ),
        (["--memory", "64 MiB", "--warm-up", "25 h"], 2, '--warm-up: "25 h" is too long; it must be at most 24 h'),
    ],
)
def test_wrong_input_is_one_line(flags, code, message, temporary):
    returned, out, err = finished(started(*flags, "--accelerator", "tcg", folder=temporary))
    assert (returned, out, err.count("\n")) == (code, "", 1)
    assert message in err


@pytest.mark.live
@pytest.mark.untimed
def test_a_run_is_reported_and_recorded(temporary, tmp_path):
    require(shutil.which(QEMU), "no QEMU; apt-get install qemu-system-x86")
    path = tmp_path / "run.parquet"
    returned, out, err = finished(started(*FLAGS, "-o", path, "--format", "json", folder=temporary))
    assert returned == 0, err
    assert json.loads(out)["outcome"]["verified"]
    assert io.read(path).kind == "qemu"
    assert "precopy, round 1" in err


@pytest.mark.live
@pytest.mark.untimed
def test_a_run_is_reported_where_it_cannot_be_recorded_any_more(temporary, tmp_path):
    require(shutil.which(QEMU), "no QEMU; apt-get install qemu-system-x86")
    gone = tmp_path / "gone"
    gone.mkdir()
    process = started(*FLAGS, "-o", gone / "run.parquet", folder=temporary)
    while "precopy" not in process.stderr.readline():
        assert process.poll() is None
    gone.rmdir()
    returned, out, err = finished(process)
    assert (returned, "verdict               converges" in out) == (2, True)
    assert err.splitlines()[-1].startswith(f"migkit: trace {gone}/run.parquet: ")


@pytest.mark.live
@pytest.mark.untimed
def test_a_qemu_in_a_folder_brings_its_own_libraries(temporary, tmp_path):
    require(shutil.which(QEMU), "no QEMU; apt-get install qemu-system-x86")
    for place in ("lib64", "usr/bin", "usr/lib", "usr/share"):
        (tmp_path / "root" / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "root" / place).symlink_to(f"/{place}")
    flags = [*FLAGS, "--qemu", tmp_path / "root", "--format", "json"]
    returned, out, err = finished(started(*flags, folder=temporary))
    assert returned == 0, err
    assert json.loads(out)["outcome"]["verified"]


@pytest.mark.live
@pytest.mark.untimed
@pytest.mark.parametrize("side", ["source", "destination"])
def test_a_qemu_that_is_killed_on_the_way_is_one_line(moving, side):
    process, machines = moving()
    machines[side].kill()
    returned, out, err = finished(process)
    assert (returned, out) == (1, "")
    assert f"migkit: {side}: QEMU was killed (SIGKILL) before the end" in err.splitlines()[-1]
    assert psutil.wait_procs(machines.values(), timeout=10)[1] == []


@pytest.mark.live
@pytest.mark.untimed
@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interruption_leaves_nothing(moving, kind):
    process, machines = moving()
    process.send_signal(kind)
    returned, out, err = finished(process)
    assert psutil.wait_procs(machines.values(), timeout=10)[1] == []
    assert out == ""
    if kind is signal.SIGKILL:
        assert returned == -signal.SIGKILL
    else:
        assert (returned, err.splitlines()[-1]) == (130, "migkit: interrupted")


@pytest.mark.live
@pytest.mark.untimed
def test_a_socket_that_a_killed_capture_left_is_replaced_and_one_in_use_is_not(moving, temporary, tmp_path):
    path = tmp_path / "vm.qmp"
    process, machines = moving("--qmp", path)
    process.kill()
    finished(process)
    assert psutil.wait_procs(machines.values(), timeout=10)[1] == []
    assert path.is_socket()
    process, _ = moving("--qmp", path)
    refused = finished(started(*FLAGS, "--qmp", path, folder=temporary))
    line = f"migkit: monitor {path}: another program listens there; name a new path, or end that program\n"
    assert refused == (2, "", line)
    assert path.is_socket()
    process.send_signal(signal.SIGINT)
    assert finished(process)[0] == 130
    assert not path.exists()
