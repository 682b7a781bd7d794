"""The inverse question: the answer holds, and what stands beside it does not."""

import math
import random
import subprocess
import sys

import pytest

from migkit import DirtyClass, Guest, Host, Link, Policy, Scenario, Strategy, jit, predict
from migkit.errors import InfeasibleError, UsageError
from migkit.planning.size import size
from migkit.planning.targets import Targets
from migkit.planning.unknowns import UNKNOWNS, unknown
from tests.scenarios import scenario

GIB = 2**30
BUSY = Guest(memory_bytes=8 * GIB, dirty=(DirtyClass(region_bytes=GIB, writes_per_s=200_000),))
WIDE = Policy(max_bandwidth_bytes_per_s=math.inf)


def check(case, find, targets):
    """Find an answer and predict at it and beside it; return it, or None where nothing does."""
    try:
        found = size(case, find=find, targets=targets)
    except InfeasibleError:
        return None
    put = unknown(find).put
    assert not targets.missed(targets.predict(put(case, found.value))), found
    if found.beside is not None:
        assert targets.missed(targets.predict(put(case, found.beside))) == found.binding != (), found
        apart = abs(found.beside - found.value)
        assert apart <= (1.0 if unknown(find).whole else 2e-3 * found.value) or unknown(find).name == "memory"
    return found


def questions(seed, count):
    """Yield scenarios with a limit that their own prediction nearly keeps, so that many have an answer."""
    for number in range(count):
        draw = random.Random(f"{seed} {number}")
        case = scenario("ordinary", seed, number, most_bytes=16 * GIB)
        find = draw.choice([name for name in UNKNOWNS if name != "writes" or case.guest.writes_per_s > 0])
        own = predict(case, level=None, detail=False)
        total_s = own.total_time_s if own.verdict == "converges" else math.inf
        limits = Targets(total_time_s=total_s * draw.choice((0.7, 1.5, math.inf)))
        yield case, find, limits


def test_random_answers_hold_and_their_neighbours_do_not():
    answered = sum(check(*question) is not None for question in questions(1, 30))
    assert answered >= 15


@pytest.mark.verification
def test_two_thousand_random_answers_hold_and_their_neighbours_do_not():
    answered = sum(check(*question) is not None for question in questions(2, 2000))
    print(f"{answered} of 2,000 have an answer")
    assert answered >= 1000


def test_the_least_bandwidth_meets_the_fixed_point():
    found = check(Scenario(guest=BUSY, policy=WIDE), "bandwidth", Targets())
    assert "does not converge" in found.binding[0]
    slower = predict(unknown("bandwidth").put(Scenario(guest=BUSY, policy=WIDE), found.value * 0.99), level=None)
    assert slower.verdict == "does_not_converge"


def test_a_count_is_found_exactly():
    case = Scenario(
        guest=BUSY, policy=WIDE, link=Link(bandwidth_bytes_per_s=12.5e9), host=Host(goodput_bytes_per_s=1e12)
    )
    found = check(case, "parallel", Targets(total_time_s=60.0))
    assert found.beside == found.value + 1


def test_a_downtime_limit_that_is_too_long_is_said():
    tcg = Host(platform="qemu-tcg")
    case = Scenario(guest=BUSY, policy=WIDE, link=Link(bandwidth_bytes_per_s=1e9), host=tcg)
    found = size(case, find="downtime_limit")
    bounded = check(case, "downtime_limit", Targets(downtime_s=2 * found.value))
    assert found.until is None
    assert bounded.until > bounded.value
    assert "not beyond" in bounded.text


def test_a_path_that_carries_no_more_is_named():
    case = Scenario(guest=BUSY, host=Host(goodput_bytes_per_s=2e8))
    with pytest.raises(InfeasibleError, match=r"no bandwidth does: .* does not converge; .* carry 1\.6 Gbit/s"):
        size(case)


def test_a_search_with_a_probability_is_compiled():
    code = """
from migkit import Guest, Scenario, Targets, jit
guest = Guest.parse(memory="1 GiB", dirty=[{"region": "64 MiB", "writes_per_s": 1000}])
print(jit.are_compiled(), Targets(probability=0.95).predict(Scenario(guest=guest)).verdict, jit.are_compiled())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "converges", str(jit.can_compile())]


def test_what_is_missed_without_end_is_said_so():
    targets = Targets(total_time_s=30.0, probability=0.95)
    case = Scenario(guest=Guest(memory_bytes=2**33, dirty=(DirtyClass(region_bytes=2**30, writes_per_s=2e5),)))
    assert size(case, targets=targets).binding == ("total time without end, above 30 s",)


def test_a_probability_asks_for_more():
    case = Scenario(guest=BUSY, policy=WIDE)
    middle = size(case, targets=Targets(total_time_s=30.0))
    sure = size(case, targets=Targets(total_time_s=30.0, probability=0.95))
    assert sure.value >= middle.value


@pytest.mark.parametrize("find", sorted(UNKNOWNS))
def test_a_value_put_is_the_value_read(find):
    case = Scenario(guest=BUSY, policy=WIDE, link=Link(background_bytes_per_s=1e6))
    value = 40_000_000.0 if find == "memory" else 7.0
    assert unknown(find).value(unknown(find).put(case, value)) == pytest.approx(value)


def test_an_answer_is_printed_with_digits_that_hold():
    case = Scenario(guest=BUSY, policy=WIDE)
    found = size(case, targets=Targets(total_time_s=20.0))
    shown = found.text.partition(": ")[2].partition(" (")[0]
    assert (
        predict(
            Scenario(guest=BUSY, policy=Policy.parse(max_bandwidth=shown), link=Link.parse(bandwidth=shown)),
            level=None,
        ).total_time_s
        <= 20.0
    )
    assert found.to_frame().shape[0] == len(found.curve) == 7


def test_the_strategy_is_the_scenarios():
    with pytest.raises(InfeasibleError, match="guest slowdown"):
        size(
            Scenario(guest=BUSY, policy=WIDE, strategy=Strategy(name="postcopy")),
            targets=Targets(guest_slowdown=1e-9),
        )


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: size(BUSY, find="link"), "size: 'link' cannot be asked for; use one of bandwidth, max_bandwidth"),
        (
            lambda: size(Guest(memory_bytes=GIB), find="writes"),
            "writes of a guest that writes nothing cannot be scaled",
        ),
        (lambda: Targets(downtime_s=0.0), "a limit of 0 s on downtime cannot be kept; it must be above 0"),
        (lambda: Targets(total_time_s=math.nan), "it must be above 0"),
        (lambda: Targets(guest_slowdown=5.0), "a guest slowdown of 5 is no share"),
        (lambda: Targets(probability=0.3), "a probability of 0.3 is out of range"),
        (lambda: size(BUSY, low=2.0, high=1.0), "size: the search from 2 to 1 is empty"),
        (lambda: size(BUSY, low=0.0), "size: the search from 0"),
    ],
)
def test_wrong_questions_are_one_line(ask, message):
    with pytest.raises(UsageError) as error:
        ask()
    assert message in str(error.value)
    assert "\n" not in str(error.value)


CALM = Guest(memory_bytes=8 * GIB, dirty=(DirtyClass(region_bytes=GIB, writes_per_s=76_800),))


def test_a_limit_as_long_as_the_target_is_told_with_the_one_that_does():
    """A planner asks for 300 ms of a policy that plans for 300 ms: stop and load come on top."""
    found = size(CALM, targets=Targets(downtime_s=0.3))
    policy = Policy(downtime_limit_s=0.26)
    better = size(Scenario(guest=CALM, policy=policy), targets=Targets(downtime_s=0.3))
    assert "With a downtime limit of 260 ms in place of 300 ms" in found.text
    assert found.value > 1.1 * better.value
    assert not better.cure


def test_where_nothing_does_a_shorter_downtime_limit_may():
    with pytest.raises(InfeasibleError, match=r"no bandwidth does.*With a downtime limit of 75 ms"):
        size(CALM, targets=Targets(downtime_s=0.1))


def test_a_limit_below_a_microsecond_is_written_out():
    with pytest.raises(InfeasibleError, match=r"downtime .*, above 1 ns;"):
        size(Guest(memory_bytes=2**30), targets=Targets(downtime_s=1e-9))
