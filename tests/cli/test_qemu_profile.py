"""``migkit qemu profile`` of a virtual machine that runs: its curve, its file, and what is refused."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest

from migkit.calibrate.forecast.looks import Asked
from migkit.calibrate.guest.outside import check_is_qemu
from migkit.calibrate.guest.readings import Reading
from migkit.cli import _profiling
from migkit.cli.qemu_profile import measured
from migkit.errors import CapabilityError
from migkit.models.dirty import unique_dirty_pages
from migkit.qemu.machine import QEMU
from migkit.qemu.resting import Restart
from migkit.scenario import DirtyClass, Guest
from migkit.scenario.form import schema
from migkit.scenario.policy import presets
from migkit.units import MIB
from tests.conftest import TOP, require
from tests.qemu.running import running, works

GUEST = Guest(
    memory_bytes=128 * MIB, zero_bytes=80 * MIB, dirty=(DirtyClass(region_bytes=24 * MIB, writes_per_s=2000.0),)
)


def migkit(*arguments):
    done = subprocess.run(
        [sys.executable, "-m", "migkit", *map(str, arguments)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(TOP)},
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    """A guest that writes, and its monitor's socket."""
    require(shutil.which(QEMU), "no QEMU; apt-get install qemu-system-x86")
    require(shutil.which("gcc"), "no gcc; apt-get install gcc")
    path = tmp_path_factory.mktemp("vm") / "vm.qmp"
    with running(path, GUEST) as process:
        yield path, process


@pytest.mark.live
def test_the_curve_and_the_zero_pages_are_the_guests(machine, tmp_path):
    path, process = machine
    file = tmp_path / "guest.toml"
    code, out, err = migkit("qemu", "profile", path, "--means", "process", "--longest", "8 s", "-o", file)
    assert code == 0, err
    assert "from outside, by QEMU's page tables" in out
    found = schema.load(file).guest
    assert found.memory_bytes == GUEST.memory_bytes
    assert found.zero_bytes == pytest.approx(GUEST.zero_bytes, rel=0.03)
    for window_s in (0.2, 1.0):
        assert unique_dirty_pages(found, window_s) == pytest.approx(unique_dirty_pages(GUEST, window_s), rel=0.1)
    tables = tomllib.loads(file.read_text())
    assert tables["host"] == {"platform": "qemu-tcg"}
    assert f"its QEMU       rule {tables['policy']['name']}, platform qemu-tcg" in out
    assert tables["policy"]["name"] in {preset.name for preset in presets()} - {"qemu"}
    assert works(process) > 0.0


@pytest.mark.live
@pytest.mark.untimed
@pytest.mark.parametrize(
    ("orders", "said"),
    [
        (("stop", "cont"), "was stopped while it was measured (QEMU's state is running now); measure it again"),
        (("stop",), "was stopped while it was measured (QEMU's state is paused now); measure it again"),
        (("system_reset",), "was reset while it was measured (QEMU's state is running now); measure it again"),
        (("migrate",), "began to migrate while it was measured (state active), which changes what it writes; follow"),
    ],
)
def test_a_guest_that_somebody_stops_or_moves_meanwhile_is_not_written_down(tmp_path, orders, said):
    require(shutil.which(QEMU), "no QEMU; apt-get install qemu-system-x86")
    require(shutil.which("gcc"), "no gcc; apt-get install gcc")
    path, other, file = tmp_path / "vm.qmp", tmp_path / "other.qmp", tmp_path / "guest.toml"
    command = [sys.executable, "-m", "migkit", "qemu", "profile", str(path), "--longest", "6 s", "-o", str(file)]
    with running(path, GUEST, "-qmp", f"unix:{other},server=on,wait=off"), Asked.opened(other) as asked:
        with subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(TOP)}
        ) as it:
            assert it.stderr.readline().startswith("pass 1")
            for order in orders:
                where = {"uri": "exec:sleep 60"} if order == "migrate" else None
                asked.run(asked.followed.monitor.do(order, where))
            *_, last = it.stderr.read().splitlines()
        assert (it.returncode, file.exists()) == (1, False)
        assert last.startswith(f"migkit: guest: {said}")


@pytest.mark.live
@pytest.mark.untimed
def test_the_file_is_written_also_where_nobody_reads_what_is_printed(machine, tmp_path):
    path, _ = machine
    file = tmp_path / "guest.toml"
    command = [sys.executable, "-m", "migkit", "qemu", "profile", str(path), "--longest", "1 s", "-o", str(file)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(TOP)}
    ) as it:
        it.stdout.close()
        it.stderr.close()
    assert (it.returncode, schema.load(file).guest.memory_bytes) == (0, GUEST.memory_bytes)


@pytest.mark.live
def test_qemu_itself_counts_by_sampling(machine):
    path, _ = machine
    code, out, err = migkit("qemu", "profile", path, "--means", "monitor", "--longest", "4 s", "-q")
    assert code == 0, err
    assert "by QEMU's calc-dirty-rate, page-sampling" in out
    pages = next(int(line.split()[2]) for line in out.splitlines() if line.startswith("   1 s"))
    assert pages == pytest.approx(unique_dirty_pages(GUEST, 1.0), rel=0.4)


@pytest.mark.live
@pytest.mark.verification
def test_predict_measures_and_predicts_in_one(machine):
    path, _ = machine
    code, out, err = migkit("predict", "--qmp", path, "--max-bandwidth", "40 MB/s", "--format", "json", "-q")
    assert code == 0, err
    told = json.loads(out)
    assert told["verdict"] == "converges"
    assert 0.95 * 48 * MIB / 40e6 < told["total_time_s"] < 2.5
    assert told["scenario"]["host"]["platform"] == "qemu-tcg"
    assert told["hosts"] == "uncalibrated: typical of qemu-tcg"


class Known:
    """A guest whose pages need no counting, behind a QEMU that says what it is."""

    name, memory_bytes, parameters = "by definition", 256 * MIB, {"max-bandwidth": 20 * MIB, "downtime-limit": 200}

    restart = Restart((("virtio", 2),), 1500.0)

    def __init__(self, version, accelerator):
        self.monitor, self.accelerator = SimpleNamespace(version=version), accelerator

    def zero_bytes(self):
        return 128 * MIB

    def once(self, windows_s):
        return [Reading(window_s, 1000.0 * window_s) for window_s in windows_s]

    def follow(self, beat_s):
        return None


@pytest.mark.parametrize(
    ("qemu", "tables", "told"),
    [
        (("7.2.22", "tcg"), {}, ("qemu-7", "qemu-tcg", 0.2)),
        (("10.0.2", "kvm"), {}, ("qemu-10", "qemu-kvm", 0.2)),
        (("7.2.22", "tcg"), {"host": {"platform": "proxmox"}}, ("qemu-7", "proxmox", 0.2)),
        (
            ("7.2.22", "tcg"),
            {"policy": {"name": "libvirt", "downtime_limit": "100 ms"}},
            ("libvirt", "qemu-tcg", 0.1),
        ),
    ],
)
def test_what_a_qemu_says_of_itself_is_taken_unless_it_is_given(monkeypatch, qemu, tables, told):
    known = Known(*qemu)
    monkeypatch.setattr(_profiling, "opened", lambda socket, means: contextlib.nullcontext((known, known)))
    _, _, case = measured(Path("vm.qmp"), None, 0.5, 10.0, True, tables)
    assert (case.policy.name, case.host.platform, case.policy.downtime_limit_s) == told
    assert case.policy.max_bandwidth_bytes_per_s == 20 * MIB
    assert (case.guest.devices, case.guest.restart_blocks) == known.restart


def test_a_guest_cannot_be_given_and_measured_at_once(tmp_path):
    code, _, err = migkit("predict", "--qmp", tmp_path / "vm.qmp", "--memory", "1 GiB")
    assert (code, err) == (2, "migkit: --qmp: a guest is given as well; leave out one of the two\n")


@pytest.mark.live
def test_a_guest_that_stands_still_is_refused(tmp_path):
    require(shutil.which(QEMU), "no QEMU; apt-get install qemu-system-x86")
    path = tmp_path / "vm.qmp"
    command = [QEMU, "-S", "-display", "none", "-nodefaults", "-qmp", f"unix:{path},server=on,wait=off"]
    with subprocess.Popen(command) as process:
        try:
            while not path.exists():
                assert process.poll() is None
            code, _, err = migkit("qemu", "profile", path)
        finally:
            process.kill()
    assert code == 1
    assert err == "migkit: guest: does not run (QEMU's state is prelaunch); resume it, then measure\n"


def test_what_is_no_monitor_is_refused_in_one_line(tmp_path):
    code, _, err = migkit("qemu", "profile", tmp_path / "none")
    assert code == 2
    assert "there is no such socket; start QEMU with -qmp unix:PATH,server=on" in err
    path = tmp_path / "dead"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
    code, _, err = migkit("qemu", "profile", path)
    assert code == 2
    assert "nobody listens there" in err
    assert migkit("qemu", "profile", path, "--within", "0")[0] == 2


@pytest.mark.live
@pytest.mark.parametrize(("name", "is_qemu"), [("qemu-system-x86_64", True), ("server", False)])
def test_a_qemu_that_the_loader_of_its_own_system_runs_is_qemu(tmp_path, name, is_qemu):
    loader = Path("/lib64/ld-linux-x86-64.so.2")
    require(loader.exists(), "no loader of x86-64 here")
    shutil.copy(shutil.which("cat"), tmp_path / name)
    with subprocess.Popen(
        [loader, tmp_path / name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        process.stdin.write("runs\n")
        process.stdin.flush()
        assert process.stdout.readline() == "runs\n"
        with contextlib.nullcontext() if is_qemu else pytest.raises(CapabilityError, match="not QEMU"):
            check_is_qemu(process.pid)
