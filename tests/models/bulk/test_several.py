"""Scenarios predicted together say what each says alone."""

import dataclasses

import pytest

from migkit import DirtyClass, Guest, Link, Policy, Scenario, Strategy, jit, predict, register_policy
from migkit.errors import UsageError
from migkit.models.bulk.several import Outcome, predict_several

BUSY = Scenario(
    guest=Guest(
        memory_bytes=2**32,
        zero_bytes=2**30,
        dirty=(DirtyClass(region_bytes=2**28, writes_per_s=8e3), DirtyClass(region_bytes=2**26, writes_per_s=9e4)),
    )
)
RATES = (0.0, 1.0, 3e4, 1e5, 3e5, 1e9)


def link(bandwidth_bytes_per_s):
    link = Link(bandwidth_bytes_per_s=bandwidth_bytes_per_s)
    policy = dataclasses.replace(BUSY.policy, max_bandwidth_bytes_per_s=bandwidth_bytes_per_s)
    return dataclasses.replace(BUSY, link=link, policy=policy)


def written(writes_per_s, **strategy):
    first = dataclasses.replace(BUSY.guest.dirty[0], writes_per_s=writes_per_s)
    guest = dataclasses.replace(BUSY.guest, dirty=(first, BUSY.guest.dirty[1]))
    return dataclasses.replace(BUSY, guest=guest, strategy=Strategy(**strategy))


SERIES = {
    "links": [link(10.0**digits) for digits in range(5, 12)],
    "memory": [
        dataclasses.replace(BUSY, guest=dataclasses.replace(BUSY.guest, memory_bytes=2**p)) for p in range(32, 38)
    ],
    "streams": [dataclasses.replace(BUSY, strategy=Strategy(streams=n)) for n in (1, 2, 3, 8, 64)],
    "limits": [dataclasses.replace(BUSY, policy=Policy(downtime_limit_s=s)) for s in (1e-3, 0.03, 0.3, 3.0, 30.0)],
    **{name: [written(rate, name=name) for rate in RATES] for name in ("precopy", "postcopy", "stopcopy")},
    "xbzrle": [written(rate, xbzrle=True) for rate in RATES],
    "throttled": [written(rate, auto_converge=True) for rate in RATES],
    "not alike": [written(rate, name=name) for rate in RATES for name in ("precopy", "postcopy")],
    "other shapes": [
        BUSY,
        dataclasses.replace(BUSY, guest=Guest(memory_bytes=2**30)),
        *(link(b) for b in (1e8, 1e9)),
    ],
}


@pytest.fixture(params=["compiled", "as it is"])
def kernels(request):
    if request.param == "compiled":
        jit.compile_kernels()


@pytest.mark.parametrize("name", SERIES)
def test_together_they_say_what_each_says_alone(kernels, name):
    cases = SERIES[name]
    alone = [predict(case, level=None, detail=False) for case in cases]
    expected = [Outcome(*(getattr(one, field) for field in Outcome._fields)) for one in alone]
    assert predict_several(cases) == expected


def test_of_none_nothing_is_said():
    assert predict_several([]) == []


@register_policy("answers-seven")
def answers_seven(state, parameters):
    return 7


def test_what_one_refuses_is_refused(kernels):
    policy = Policy(name="answers-seven")
    with pytest.raises(UsageError, match="returned 7, which is no action"):
        predict_several([dataclasses.replace(link(b), policy=policy) for b in (1e7, 1e8, 1e9, 1e10)])
