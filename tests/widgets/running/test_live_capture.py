"""A real migration from a widget; no process is left behind, however it ends."""

import os
import signal
import subprocess
import sys
import threading

import psutil
import pytest

from migkit.models.predict import predict
from migkit.widgets import CaptureExplorer
from tests.conftest import TOP, require


@pytest.fixture
def explorer():
    explorer = CaptureExplorer()
    explorer.memory.value = "64 MiB"
    explorer.working_set.value = "8 MiB"
    yield explorer
    explorer.end()
    assert explorer.wait(120)


@pytest.fixture
def sampled(explorer, monkeypatch):
    """Set once the run has taken its first samples."""
    event, see = threading.Event(), explorer._see

    def seen(sample):
        see(sample)
        event.set()

    monkeypatch.setattr(explorer, "_see", seen)
    return event


def children():
    """Return the processes of this one, but for the one that a library leaves to tidy up after others."""
    found = psutil.Process().children(recursive=True)
    return [one for one in found if "resource_tracker" not in " ".join(one.cmdline())]


def test_controls_move_the_forecast_and_nothing_runs(explorer):
    before = explorer.figure.data[1].x
    explorer.cap.value = "200 Mbit/s"
    assert explorer.figure.data[1].x != before
    assert explorer.prediction == predict(explorer.scenario(), level=None)
    assert explorer.figure.data[0].x == ()
    assert children() == []


def test_a_contradiction_is_told_beside_its_control_and_starts_nothing(explorer):
    explorer.working_set.value = "96 MiB"
    assert "exceed the memory" in explorer.complaints["working set"]
    explorer.begin()
    assert explorer.wait(10)
    assert "exceed the memory" in explorer.status.value
    assert not explorer.start.disabled


@pytest.mark.live
def test_a_run_is_drawn_as_it_goes_and_told_beside_its_forecast(explorer):
    before = children()
    explorer.begin()
    assert (explorer.start.disabled, explorer.stop.disabled, explorer.memory.disabled) == (True, False, True)
    assert explorer.wait(300)
    assert explorer.trace is not None, explorer.status.value
    assert explorer.trace.outcome.verified
    measured = explorer.figure.data[0]
    assert len(measured.x) == explorer.trace.samples.num_rows
    assert "measured" in explorer.table.value
    assert (explorer.start.disabled, explorer.stop.disabled, explorer.memory.disabled) == (False, True, False)
    assert children() == before


@pytest.mark.live
def test_a_run_that_is_stopped_leaves_no_process_and_no_record(explorer, sampled):
    explorer.cap.value = "100 Mbit/s"
    explorer.begin()
    assert sampled.wait(300)
    with pytest.raises(Exception, match="a run is under way"):
        explorer.refresh()
    explorer.end()
    assert explorer.wait(60)
    assert explorer.trace is None
    assert explorer.status.value.startswith("Stopped.")
    assert children() == []


@pytest.mark.live
def test_closing_the_widget_ends_the_run(explorer, sampled):
    explorer.cap.value = "100 Mbit/s"
    explorer.begin()
    assert sampled.wait(300)
    explorer.widget.close()
    assert explorer.wait(60)
    assert explorer.trace is None
    assert children() == []


RUN = """
import sys
from migkit.widgets import CaptureExplorer
explorer = CaptureExplorer()
explorer.memory.value, explorer.working_set.value, explorer.cap.value = "64 MiB", "8 MiB", "100 Mbit/s"
see = explorer._see
def seen(sample):
    see(sample)
    print("running", flush=True)
explorer._see = seen
explorer.begin()
try:
    explorer.wait()
except KeyboardInterrupt:
    print("interrupted", explorer.status.value, flush=True)
    sys.stdin.read()
"""


@pytest.mark.live
@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGKILL])
def test_a_kernel_that_is_interrupted_or_killed_leaves_no_process(kind):
    require(os.geteuid() == 0, "the harness needs root here")
    kernel = subprocess.Popen(
        [sys.executable, "-c", RUN],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(TOP)},
    )
    with kernel:
        assert kernel.stdout.readline() == "running\n"
        running = psutil.Process(kernel.pid).children(recursive=True)
        assert running
        kernel.send_signal(kind)
        if kind is signal.SIGINT:
            said = next(line for line in kernel.stdout if line != "running\n")
            assert said.startswith("interrupted Stopped.")
        _gone, alive = psutil.wait_procs(running, timeout=30)
        assert alive == []
        kernel.kill()
