import math

import pytest

from migkit.calibrate.baselines import BASELINES, bulk, geometric, piecewise, working_set

ROUNDS = (geometric, working_set, piecewise)


def test_closed_forms(scenario):
    idle = scenario(writes_per_s=0.0, cap=2.0**26, zero_mib=0)
    assert {model(idle).total_time_s for model in BASELINES.values()} == {4.0}
    one = scenario(writes_per_s=4096.0, cap=2.0**26, downtime_limit_s=1.1, zero_mib=0)
    assert geometric(one).total_time_s == pytest.approx(5.0)
    assert working_set(one).transferred_bytes == 288 * 2**20  # at most its region of 32 MiB is left


def test_zero_memory_is_not_sent(scenario):
    idle = scenario(writes_per_s=0.0, cap=2.0**26, zero_mib=64)
    assert {model(idle).total_time_s for model in BASELINES.values()} == {3.0}


def test_a_curve_that_levels_off_ends_where_the_series_does_not(scenario):
    busy = scenario(writes_per_s=1e5, cap=2.0**26, downtime_limit_s=0.6)
    assert geometric(busy).verdict == "does_not_converge"
    assert working_set(busy).verdict == piecewise(busy).verdict == "converges"


def test_faster_than_the_link_never_ends(scenario):
    fast = scenario(writes_per_s=1e5, cap=2.0**26, downtime_limit_s=0.1)
    for model in ROUNDS:
        assert model(fast).verdict == "does_not_converge"
        assert math.isinf(model(fast).total_time_s)
    limited = scenario(writes_per_s=1e5, cap=2.0**26, downtime_limit_s=0.1, time_limit_s=5.0)
    assert geometric(limited).verdict == "timed_out"
    assert geometric(limited).total_time_s == 5.0


@pytest.mark.parametrize("name", ["stopcopy", "postcopy"])
def test_without_rounds_all_say_one_pass(scenario, name):
    once = scenario(strategy=name, cap=2.0**26, zero_mib=0)
    assert {model(once) for model in BASELINES.values()} == {bulk(once)}
    assert bulk(once).downtime_s == (4.0 if name == "stopcopy" else 0.0)
