"""What a system could be told to do, and which of that is worth a look."""

import math

import pytest

from migkit import DirtyClass, Guest, Link, Policy, Scenario, Strategy
from migkit.errors import InfeasibleError, UsageError
from migkit.planning.targets import Targets
from migkit.planning.tradeoffs import GOALS, tradeoffs
from migkit.scenario.ability import missing

GIB = 2**30
BUSY = Guest(memory_bytes=8 * GIB, dirty=(DirtyClass(region_bytes=GIB, writes_per_s=60_000),))


def case(policy="qemu", **strategy):
    return Scenario(
        guest=BUSY,
        link=Link(bandwidth_bytes_per_s=1.25e9),
        policy=Policy(name=policy),
        strategy=Strategy(**strategy),
    )


def test_nothing_beats_what_is_on_the_front():
    found = tradeoffs(case())
    assert len(found.options) > len(found.front) > 1
    for kept in found.front:
        assert not kept.missed
        for other in found.options:
            if not other.missed:
                goals = [(getattr(other.result, goal), getattr(kept.result, goal), e) for goal, e in GOALS.items()]
                assert not (all(a <= b + e for a, b, e in goals) and any(a < b - e for a, b, e in goals))


def test_each_option_is_within_what_the_system_can_do():
    found = tradeoffs(case("xen"))
    assert all(not missing(option.scenario) for option in found.options)
    assert not any("post" in option.words for option in found.options)


def test_a_weight_decides():
    nothing = dict.fromkeys(GOALS, 0.0)
    found = tradeoffs(case(), weights=nothing | {"downtime_s": 1.0})
    quick = found.best.result
    whole = tradeoffs(case(), weights=nothing | {"guest_slowdown": 1.0, "total_time_s": 0.1}).best.result
    assert tradeoffs(case(), weights={"risk": 1.0}).best == tradeoffs(case()).best
    assert quick.downtime_s == min(option.result.downtime_s for option in found.front)
    assert whole.guest_slowdown <= quick.guest_slowdown


def test_the_one_change_that_helps_is_named():
    found = tradeoffs(case())
    assert found.options[0].missed == ("it does not converge",)
    words = {option.words for option in found.smallest}
    assert "a cap of 10 Gbit/s" in words
    assert all(option.result.verdict == "converges" for option in found.smallest)
    assert not tradeoffs(Scenario(guest=Guest(memory_bytes=GIB))).smallest


def test_a_frame_has_every_option():
    found = tradeoffs(case())
    frame = found.to_frame()
    assert len(frame) == len(found.options)
    assert frame["is_best"].sum() == 1
    assert frame.loc[frame["on_front"], "keeps_limits"].all()
    assert "->" in repr(found)


def test_limits_that_nothing_keeps_are_told():
    with pytest.raises(InfeasibleError, match=r"none of .* combinations does"):
        tradeoffs(case(), targets=Targets(total_time_s=0.1))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"speed": 1.0}, "'speed' is no goal"),
        ({"risk": -1.0}, "it must be 0 or more"),
        ({"risk": math.nan}, "it must be 0 or more"),
        (dict.fromkeys(GOALS, 0.0), "every weight is 0"),
    ],
)
def test_wrong_weights_are_one_line(weights, message):
    with pytest.raises(UsageError, match=message):
        tradeoffs(case(), weights=weights)
