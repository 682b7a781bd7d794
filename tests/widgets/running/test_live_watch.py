import gzip
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from migkit.qemu.capture import Options, capture
from migkit.qemu.machine import QEMU
from migkit.scenario import DirtyClass, Guest, Policy, Scenario
from migkit.traces import data
from migkit.units import MIB
from migkit.widgets import QemuExplorer, WatchExplorer
from tests.conftest import require

LOG = data.data_path("kvm_database/precopy-4t-1.json.gz")


def test_a_log_is_watched_as_it_grows(tmp_path):
    answers = gzip.decompress(LOG.read_bytes()).decode().splitlines()
    growing = tmp_path / "migration.log"
    growing.write_text("\n".join(answers[:85]) + "\n")
    explorer = WatchExplorer(growing)
    explorer.every.value = "100 ms"
    seen = []

    def grow(change):
        seen.append(change.new)
        if len(seen) == 1:
            growing.write_text("\n".join(answers) + "\n")

    explorer.headline.observe(grow, names="value")
    explorer.begin()
    assert explorer.wait(120)
    outlooks = [look.outlook for look in explorer.looks]
    assert outlooks[0].phase == "precopy"
    assert outlooks[-1].phase == "done"
    assert outlooks[-1].end_s == 17.717
    assert "completed" in explorer.headline.value
    assert len(explorer.ends.data[1].x) >= 1
    assert (explorer.start.disabled, explorer.stop.disabled) == (False, True)


def test_looking_is_stopped_and_the_log_stays_as_it_was(tmp_path):
    growing = tmp_path / "migration.log"
    answers = gzip.decompress(LOG.read_bytes()).decode().splitlines()
    growing.write_text("\n".join(answers[:85]) + "\n")
    before = growing.read_bytes()
    explorer = WatchExplorer(growing)
    explorer.headline.observe(lambda change: explorer.end(), names="value")
    explorer.begin()
    assert explorer.wait(120)
    assert len(explorer.looks) == 1
    assert growing.read_bytes() == before


@pytest.mark.parametrize("name", ["", "/nowhere/vm.qmp", "/dev/null"])
def test_a_wrong_source_is_told_beside_its_control(name):
    explorer = WatchExplorer(name)
    explorer.begin()
    assert explorer.wait(60)
    assert name in explorer.complaints["source"]
    assert 'role="alert"' in explorer.fields["source"].text
    assert explorer.status.value == ""
    assert not explorer.start.disabled
    explorer.begin()
    assert explorer.wait(60)
    assert explorer.complaints, "it is told again"


def test_the_copied_python_looks_at_the_same_source():
    explorer = WatchExplorer(LOG)
    explorer.begin()
    assert explorer.wait(60)
    names = {}
    exec(explorer.code(), names)
    assert names["looks"][-1].outlook == explorer.looks[-1].outlook


def test_a_forecast_of_the_virtual_machine_follows_its_controls():
    explorer = QemuExplorer()
    before = explorer.table.value
    explorer.writes.value = "10000 /s"
    assert explorer.prediction.verdict == "timed_out"
    assert explorer.table.value != before


def test_where_qemu_is_missing_one_line_says_so(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    explorer = QemuExplorer()
    explorer.begin()
    assert explorer.wait(60)
    assert 'role="alert"' in explorer.status.value
    assert "\n" not in explorer.status.value
    assert explorer.trace is None


@pytest.mark.live
def test_a_real_virtual_machine_is_migrated_and_watched():
    require(shutil.which(QEMU), f"{QEMU} is not installed; apt-get install qemu-system-x86")
    explorer = QemuExplorer()
    explorer.begin()
    assert explorer.wait(300)
    assert explorer.trace is not None, explorer.status.value
    assert explorer.trace.outcome.verified
    assert explorer.looks[-1].outlook.phase == "done"
    assert "measured" in explorer.table.value


@pytest.mark.live
def test_a_guest_behind_a_monitor_is_measured_while_it_moves(tmp_path):
    require(shutil.which(QEMU), f"{QEMU} is not installed; apt-get install qemu-system-x86")
    dirty = DirtyClass(region_bytes=8 * MIB, writes_per_s=80.0)
    case = Scenario(
        guest=Guest(memory_bytes=48 * MIB, zero_bytes=28 * MIB, dirty=(dirty,)),
        policy=Policy(name="qemu-7", max_bandwidth_bytes_per_s=1.5e6, downtime_limit_s=0.05, time_limit_s=60.0),
    )
    begun, socket = threading.Event(), tmp_path / "vm.qmp"
    with ThreadPoolExecutor(1) as aside:
        running = aside.submit(capture, case, Options(monitor=socket), lambda sample: begun.set())
        running.add_done_callback(lambda _: begun.set())
        begun.wait()
        explorer = WatchExplorer(socket)
        explorer.begin()
        assert explorer.wait(120), running.result()
        assert running.result().outcome.verified
    first, told = explorer.looks[0], next(one for one in explorer.looks if one.outlook.verdict == "converges")
    assert (first.outlook.verdict, first.problem) == ("not_known", "")
    assert (told.outlook.iteration, told.is_measured) == (1, True)
