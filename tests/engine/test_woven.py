"""Page classes that lie interleaved: how they are listed and cut changes nothing, and the simulator agrees."""

import dataclasses

import pytest

from migkit import DirtyClass, Guest, Host, Policy, Scenario, Strategy, simulate
from migkit.models.predict import predict

MIB = 2**20
GIB = 2**30
HOT = DirtyClass(region_bytes=8 * MIB, writes_per_s=8000)
WARM = DirtyClass(region_bytes=96 * MIB, writes_per_s=2500)
COOL = DirtyClass(region_bytes=64 * MIB, writes_per_s=300)
SWEEP = DirtyClass(region_bytes=32 * MIB, writes_per_s=1500, kind="sweep", sweep_offset_bytes=0)
RULE = Policy(max_bandwidth_bytes_per_s=4e7, downtime_limit_s=0.2)


def sliced(classes, number):
    """Return the classes in slices that take turns."""
    return tuple(
        dataclasses.replace(one, region_bytes=one.region_bytes // number, writes_per_s=one.writes_per_s / number)
        for _ in range(number)
        for one in classes
    )


def guest(*classes, **changes):
    return Guest(memory_bytes=320 * MIB, zero_bytes=64 * MIB, dirty=classes, **changes)


@pytest.mark.parametrize("limit_s", [0.02, 0.1, 0.25, 0.3, 0.35, 0.5, 1.0])
@pytest.mark.parametrize("number", [2, 16])
def test_slices_of_three_classes_are_predicted_as_the_classes(limit_s, number):
    classes = tuple(dataclasses.replace(one, writes_per_s=9 * one.writes_per_s) for one in (HOT, WARM, COOL))
    rule = Policy(downtime_limit_s=limit_s)
    whole, cut = (
        predict(Scenario(guest=Guest(memory_bytes=2 * GIB, dirty=dirty), policy=rule), level=None)
        for dirty in (classes, sliced(classes, number))
    )
    assert cut.verdict == whole.verdict
    assert cut.total_time_s == pytest.approx(whole.total_time_s, rel=1e-6)
    assert cut.natural_downtime_s == pytest.approx(whole.natural_downtime_s, rel=1e-6)


@pytest.mark.parametrize("layout", ["interleaved", "blocks"])
def test_the_natural_downtime_does_not_contradict_the_verdict(layout):
    for limit_s in (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1.2):
        for factor in (1, 4, 6, 9, 14):
            classes = tuple(dataclasses.replace(c, writes_per_s=factor * c.writes_per_s) for c in (HOT, WARM, COOL))
            found = predict(
                Scenario(guest=guest(*classes, layout=layout), policy=Policy(downtime_limit_s=limit_s)), level=None
            )
            assert (found.verdict == "converges") == (found.natural_downtime_s <= limit_s)


def test_the_order_of_classes_changes_nothing():
    there, back = (
        predict(Scenario(guest=guest(*classes), policy=RULE), level=None)
        for classes in ((HOT, SWEEP, WARM, COOL), (COOL, WARM, HOT, SWEEP))
    )
    assert back.total_time_s == pytest.approx(there.total_time_s, rel=1e-9)
    assert back.iterations == there.iterations


CASES = {
    "random": ((HOT, WARM, COOL), {}, Strategy()),
    "sweep": ((HOT, SWEEP, WARM, COOL), {}, Strategy()),
    "starts as zero pages": ((HOT, WARM, COOL), {"fill": "zero"}, Strategy()),
    "differences": ((HOT, WARM, COOL), {}, Strategy(xbzrle=True)),
    "post-copy": ((HOT, WARM, COOL), {}, Strategy(name="hybrid", postcopy_after_s=8.0)),
    "post-copy of zero pages": ((WARM, COOL), {"fill": "zero"}, Strategy(name="hybrid", postcopy_after_s=3.0)),
}


@pytest.mark.parametrize("name", CASES)
def test_the_page_level_simulator_agrees(name):
    classes, changes, strategy = CASES[name]
    case = Scenario(guest=guest(*classes, **changes), policy=RULE, strategy=strategy)
    predicted, simulated = predict(case, level=None), simulate(case, seed=1, repeats=2)
    assert {one.verdict for one in simulated.runs} == {predicted.verdict}
    assert predicted.total_time_s == pytest.approx(simulated.mean("total_time_s"), rel=0.01)
    assert predicted.transferred_bytes == pytest.approx(simulated.mean("transferred_bytes"), rel=0.01)
    assert predicted.downtime_s == pytest.approx(simulated.mean("downtime_s"), rel=0.15, abs=0.004)


ZERO_RUNS = {"at both ends": (0.47, 0.5), "mostly mixed": (0.1, 0.1), "mixed": (0.0, 0.0)}
BUSY_HOST = Host(zero_page_cpu_s=2e-5)


@pytest.mark.parametrize(
    "places",
    ["mostly mixed", *(pytest.param(name, marks=pytest.mark.compiled) for name in ("at both ends", "mixed"))],
)
@pytest.mark.parametrize("name", ["random", "differences", "post-copy of zero pages"])
def test_zero_pages_are_met_where_they_lie(places, name):
    classes, changes, strategy = CASES[name]
    start, end = ZERO_RUNS[places]
    memory = Guest(
        memory_bytes=512 * MIB, zero_bytes=256 * MIB, dirty=classes, zero_at_start=start, zero_at_end=end, **changes
    )
    case = Scenario(guest=memory, policy=RULE, host=BUSY_HOST, strategy=strategy)
    predicted, simulated = predict(case, level=None), simulate(case, seed=1, repeats=2)
    assert predicted.verdict == simulated.runs[0].verdict
    assert predicted.total_time_s == pytest.approx(simulated.mean("total_time_s"), rel=0.01, abs=0.1)  # a window
    assert sum(one.zero_pages for one in predicted.rounds) == pytest.approx(simulated.mean("zero_pages"), rel=0.01)


def test_mixed_zero_pages_cost_nothing_while_a_capped_sender_waits():
    def total_s(zero_page_cpu_s, **places):
        memory = Guest(memory_bytes=1024 * MIB, zero_bytes=512 * MIB, **places)
        case = Scenario(guest=memory, policy=RULE, host=Host(zero_page_cpu_s=zero_page_cpu_s))
        return predict(case, level=None).total_time_s

    mixed, in_rows = {"zero_at_start": 0.0, "zero_at_end": 0.0}, {"zero_at_start": 0.5, "zero_at_end": 0.5}
    assert total_s(1e-5, **mixed) == pytest.approx(total_s(0.0, **mixed), abs=0.2)
    assert total_s(1e-5, **in_rows) - total_s(0.0, **in_rows) == pytest.approx(131072 * 1e-5, abs=0.25)


def test_untouched_pages_cost_a_page_fault_more():
    idle, used = (
        predict(
            Scenario(
                guest=Guest(memory_bytes=1024 * MIB, zero_bytes=1024 * MIB, untouched_bytes=untouched),
                policy=RULE,
                host=Host(untouched_page_cpu_s=1e-6),
            ),
            level=None,
        ).total_time_s
        for untouched in (512 * MIB, 0)
    )
    assert idle - used == pytest.approx(131072 * 1e-6, abs=0.01)


def test_forty_eight_interleaved_classes_find_room_in_the_ring():
    many = tuple(DirtyClass(region_bytes=(2 + k % 5) * MIB, writes_per_s=30.0 * (1 + k % 7)) for k in range(48))
    case = Scenario(guest=guest(*many), policy=RULE)
    predicted, simulated = predict(case, level=None), simulate(case, seed=1).runs[0]
    assert predicted.verdict == simulated.verdict
    assert predicted.total_time_s == pytest.approx(simulated.total_time_s, rel=0.01)
