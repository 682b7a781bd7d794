"""Which input matters, against a case whose variances are known in closed form."""

import numpy as np
import pytest

from migkit import Guest, Host, Link, Policy, Scenario, Strategy
from migkit.errors import UsageError
from migkit.planning.sensitivity import sensitivity
from migkit.planning.space import Range

GIB = 2**30
STOPPED = Scenario(
    guest=Guest(memory_bytes=4 * GIB),
    link=Link(bandwidth_bytes_per_s=1e9),
    host=Host(goodput_bytes_per_s=1e12),
    policy=Policy(max_bandwidth_bytes_per_s=1e12),
    strategy=Strategy(name="stopcopy"),
)


def test_indices_are_those_of_memory_over_bandwidth():
    """A stopped guest's time is memory over bandwidth: ln t is a sum, so the shares of a small spread are known."""
    spread = {"memory_bytes": 0.04, "bandwidth_bytes_per_s": 0.02, "queue_bytes": 0.5}
    middle = {"memory_bytes": 4 * GIB, "bandwidth_bytes_per_s": 1e9, "queue_bytes": 2**21}
    space = {name: Range(low=middle[name] * (1 - s), high=middle[name] * (1 + s)) for name, s in spread.items()}
    found = sensitivity(space, STOPPED, points=512)
    assert found.inputs == ("memory_bytes", "bandwidth_bytes_per_s", "queue_bytes")
    assert found.first == pytest.approx([0.8, 0.2, 0.0], abs=0.02)
    assert found.total == pytest.approx([0.8, 0.2, 0.0], abs=0.02)
    assert found.low[0] < found.high[0]
    assert found.low[1] > found.high[1]
    assert found.low[2] == found.high[2]


def test_whether_it_converges_has_indices_where_times_have_none():
    base = Scenario(guest=Guest.parse(memory="4 GiB", dirty=[{"region": "1 GiB", "writes_per_s": 40_000}]))
    space = {"dirty_1_writes_per_s": Range(low=1e3, high=1e5, log=True), "downtime_limit_s": Range(low=0.2, high=0.4)}
    with pytest.raises(UsageError, match=r"% of the migrations never end, so total_time_s has no variance"):
        sensitivity(space, base, points=64)
    found = sensitivity(space, base, output="converges", points=256)
    assert found.inputs[0] == "dirty_1_writes_per_s"
    assert np.isfinite(found.total).all()
    assert list(found.to_frame().columns) == ["input", "low", "high", "first_order", "in_total"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"space": {}}, "nothing is uncertain"),
        ({"space": {"rtt_s": [0.1]}}, "is no range"),
        ({"space": {"rtt_s": Range(low=0, high=1)}, "output": "speed"}, "'speed' is no result"),
        ({"space": {"rtt_s": Range(low=0, high=1)}, "points": 100}, "no power of 2"),
    ],
)
def test_wrong_questions_are_one_line(arguments, message):
    with pytest.raises(UsageError, match=message):
        sensitivity(**arguments)
