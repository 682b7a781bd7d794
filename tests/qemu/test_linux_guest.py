"""Real migrations of a Linux whose application works meanwhile and proves its data at the end."""

import shutil

import psutil
import pytest

from migkit.qemu.capture import Options, capture
from migkit.qemu.machine import QEMU
from migkit.scenario import Guest, Policy, Scenario
from migkit.traces import io
from migkit.units import MIB
from tests.conftest import require

pytestmark = [pytest.mark.live, pytest.mark.verification, pytest.mark.timeout(1800)]
CAP_BYTES_PER_S = 60e6


@pytest.mark.parametrize(
    ("name", "per_s", "loads", "memory_bytes", "looked_at"),
    [
        ("redis", 300.0, {}, 256 * MIB, ("keys of Redis",)),
        ("stress-ng", 8.0, {}, 256 * MIB, ("runs of stress-ng",)),
        (
            *("postgresql", 20.0, {"scale": 2, "clients": 3}, 384 * MIB),
            ("200000 accounts of PostgreSQL and their balances", "each block of PostgreSQL on its disk"),
        ),
    ],
)
def test_an_application_has_its_data_at_the_destination(
    linux_image, tmp_path, name, per_s, loads, memory_bytes, looked_at
):
    require(shutil.which(QEMU), "no QEMU; apt-get install qemu-system-x86")
    policy = Policy(max_bandwidth_bytes_per_s=CAP_BYTES_PER_S, downtime_limit_s=0.5, time_limit_s=300.0)
    scenario = Scenario(guest=Guest(memory_bytes=memory_bytes), policy=policy)
    options = Options(guest=name, image=linux_image, operations_per_s=per_s, loads=loads, warm_up_s=2.0)
    trace = capture(scenario, options)
    check, boots = trace.machine["guest"], trace.machine["boots"]
    assert (trace.outcome.verdict, trace.outcome.verified, check["intact"]) == ("converges", True, True)
    assert check["side"] == "destination"
    assert any("of the disk" in told for told in check["looked_at"])
    for what in looked_at:
        assert any(what in told for told in check["looked_at"])
    assert (boots["name"], boots["operations_per_s"]) == (name, per_s)
    assert loads.items() <= boots.items()
    assert check["writes"] > 0  # operations of the application
    assert trace.machine["pause"]["lost_ticks"] == 0
    assert 0.0 < trace.outcome.downtime_s < trace.outcome.total_time_s
    assert trace.outcome.transferred_bytes > 60 * MIB
    path = io.write(trace, tmp_path / "run.parquet")
    assert io.read(path).outcome == trace.outcome
    assert io.read(path).machine["guest"]["looked_at"] == check["looked_at"]
    assert [child for child in psutil.Process().children(recursive=True) if "qemu" in child.name()] == []
