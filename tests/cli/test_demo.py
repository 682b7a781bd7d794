import os
import signal
import subprocess
import sys

import psutil
import pytest

from migkit.calibrate import compare, fit, load
from migkit.calibrate.design import calibration_runs, held_out_run
from migkit.calibrate.fit import FITTED
from migkit.cli import demo
from migkit.errors import CapabilityError
from migkit.harness.probe import Probe
from migkit.traces import read

NAMES = [run.name for run in (*calibration_runs(), held_out_run())]


def start(folder, *arguments):
    command = [sys.executable, "-m", "migkit", "demo", "-o", str(folder), *arguments]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background job ignores Ctrl-C
    )


@pytest.mark.live
def test_the_demo_predicts_the_run_that_it_left_out(tmp_path):
    process = start(tmp_path / "out")
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    assert errors == ""
    traces = {name: read(tmp_path / "out" / f"{name}.parquet") for name in NAMES}
    assert len(traces) >= 5
    assert all(t.outcome.verified and t.scenario.guest.memory_bytes >= 2**28 for t in traces.values())
    left_out = compare(traces.pop("left-out"), load(tmp_path / "out" / "calibration.json"))
    assert abs(left_out.total_time_error) <= 0.05
    assert abs(left_out.bytes_error) <= 0.03
    assert left_out.verdict_right
    assert fit(list(traces.values())).host == load(tmp_path / "out" / "calibration.json").host
    assert "verdict                  converges    converges     right" in output
    report = (tmp_path / "out" / "report.html").read_text()
    assert "src=" not in report.split("<body>")[1].split("<script")[0]
    assert "showSendToCloud" in report
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted(
        [f"{name}.parquet" for name in NAMES] + ["calibration.json", "report.html"]
    )


@pytest.mark.live
def test_ctrl_c_leaves_no_half_file_and_no_process(tmp_path):
    process = start(tmp_path)
    watched = psutil.Process(process.pid)
    while not list(tmp_path.glob("*.parquet")):
        assert process.poll() is None, process.communicate()
    children = watched.children(recursive=True)
    assert children
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert errors.startswith("migkit: interrupted")
    assert errors.count("\n") == 1
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []
    for path in tmp_path.iterdir():
        assert path.suffix == ".parquet"
        read(path)


def test_a_machine_that_cannot_is_told_why(monkeypatch):
    def nothing(key):
        return Probe(key=key, what="guests", available=False, reason="1 MiB free, 2 GiB wanted", remedy="add memory")

    monkeypatch.setattr(demo, "probe", nothing)
    with pytest.raises(CapabilityError, match="memory: 1 MiB free, 2 GiB wanted; add memory") as error:
        demo._check_machine()
    assert error.value.exit_code == 4


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    process = start(tmp_path / "file" / "below")
    _, errors = process.communicate()
    assert process.returncode == 2
    assert "cannot be made" in errors
    assert errors.count("\n") == 1


def test_the_designed_runs_differ_and_the_left_out_one_from_all():
    runs = [*calibration_runs(), held_out_run()]
    assert len({run.name for run in runs}) == len(runs) >= 5
    caps = [run.scenario.policy.max_bandwidth_bytes_per_s for run in runs]
    assert caps.count(caps[-1]) == 1
    assert len({run.scenario.guest.writes_per_s for run in runs}) >= 4
    assert {run.scenario.guest.memory_bytes for run in runs} >= {2**28, 2**29}


def test_every_constant_that_the_demo_reports_is_known():
    assert len(set(FITTED)) == len(FITTED)
