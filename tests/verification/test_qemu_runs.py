"""Real migrations by the QEMU of this machine against what their scenarios predict; minutes of a quiet machine."""

import shutil
from statistics import median

import pytest

from migkit.qemu.machine import QEMU
from tests.conftest import require
from tests.verification.qemu_migration import undisturbed
from tests.verification.qemu_runs import drawn, measure, summary


def test_a_seed_stands_for_one_scenario():
    assert drawn(7) == drawn(7) != drawn(8)


@pytest.mark.verification
@pytest.mark.live
@pytest.mark.timeout(1800)
def test_new_runs_are_predicted_from_their_scenarios():
    require(shutil.which(QEMU), "no QEMU; apt-get install qemu-system-x86")
    with undisturbed() as permitted:
        require(permitted, "no permission to go before other processes; run as root")
        results = measure([QEMU], range(1, 21), calibrate=True)["version known"]
    print(summary(results))
    done = [run for run in results if run.real.status == "completed"]
    times = [abs(run.total_time_error) for run in done]
    assert all(run.right for run in results)
    assert median(times) <= 0.01
    assert max(times) <= 0.04
    assert median(abs(run.bytes_error) for run in done) <= 0.01
    assert median(abs(run.downtime_error_s) for run in done) <= 0.006
    assert max(abs(run.total_time_error) for run in done if run.strategy == "hybrid") <= 0.03
