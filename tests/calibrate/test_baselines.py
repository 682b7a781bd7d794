import math

import pytest

from migkit.calibrate.baselines import bulk, geometric, worst_case


def test_closed_forms(scenario):
    idle = scenario(writes_per_s=0.0, cap=2.0**26)
    assert bulk(idle).total_time_s == geometric(idle).total_time_s == worst_case(idle).total_time_s == 4.0
    one = scenario(writes_per_s=4096.0, cap=2.0**26, downtime_limit_s=1.1)
    assert geometric(one).total_time_s == pytest.approx(5.0)
    assert worst_case(one).transferred_bytes == 288 * 2**20


def test_faster_than_the_link_never_ends(scenario):
    fast = scenario(writes_per_s=1e5, cap=2.0**26, downtime_limit_s=0.1)
    for model in (geometric, worst_case):
        assert model(fast).verdict == "does_not_converge"
        assert math.isinf(model(fast).total_time_s)
    limited = scenario(writes_per_s=1e5, cap=2.0**26, downtime_limit_s=0.1, time_limit_s=5.0)
    assert geometric(limited).verdict == "timed_out"
    assert geometric(limited).total_time_s == 5.0


def test_stop_copy_is_one_pass_for_all(scenario):
    stopped = scenario(strategy="stopcopy", cap=2.0**26)
    assert bulk(stopped) == geometric(stopped) == worst_case(stopped)
    assert bulk(stopped).downtime_s == 4.0
