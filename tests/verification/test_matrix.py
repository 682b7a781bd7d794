"""Every combination of strategy, path, streams, encoding and guest, each proven bit for bit."""

import itertools

import pytest

from migkit.harness.processes.nursery import Nursery
from migkit.harness.runs import run as runs
from migkit.scenario import DirtyClass, Guest, Policy, Scenario, Strategy

pytestmark = pytest.mark.live
MIB = 1 << 20

RANDOM = DirtyClass(region_bytes=4 * MIB, writes_per_s=1_000, reads_per_s=2_000)
SWEEP = DirtyClass(region_bytes=2 * MIB, writes_per_s=500, kind="sweep", rewrite_bytes=512)
BURSTS = DirtyClass(region_bytes=MIB, writes_per_s=500, phases=((0.05, 1.0), (0.05, 0.0)))
DIMENSIONS = {
    "strategy": ("stopcopy", "precopy", "postcopy", "hybrid"),
    "path": ("plain", "tls"),
    "streams": (1, 4),
    "encoding": ("none", "delta", "zlib"),
    "guest": ("random", "sweep", "mixed"),
}
CASES = tuple(itertools.product(*DIMENSIONS.values()))
GUESTS = {"random": (RANDOM,), "sweep": (SWEEP,), "mixed": (RANDOM, SWEEP, BURSTS)}


def pairs(case):
    """Return the pairs of values that a case tries together."""
    return set(itertools.combinations(enumerate(case), 2))


def pairwise(cases):
    """Return few of the cases, in which every pair of values of any two dimensions is met."""
    left = set().union(*map(pairs, cases))
    chosen = []
    while left:
        best = max(cases, key=lambda case: len(pairs(case) & left))
        chosen.append(best)
        left -= pairs(best)
    return chosen


SOME = pairwise(CASES)


@pytest.fixture(scope="module")
def nursery():
    with Nursery() as nursery:
        yield nursery


def prove(nursery, case):
    name, path, streams, encoding, guest = case
    scenario = Scenario(
        guest=Guest(memory_bytes=12 * MIB, zero_bytes=3 * MIB, dirty=GUESTS[guest]),
        policy=Policy(max_bandwidth_bytes_per_s=100e6, downtime_limit_s=0.1, time_limit_s=60.0),
        strategy=Strategy(
            name=name,
            streams=streams,
            compression="zlib" if encoding == "zlib" else "none",
            xbzrle=encoding == "delta",
            postcopy_after_rounds=3 if name == "hybrid" else None,
        ),
    )
    options = runs.Options(plaintext=path == "plain", patience_s=20.0)
    trace = runs.run(scenario, seed=CASES.index(case), options=options, nursery=nursery)
    assert trace.outcome.verified
    assert trace.outcome.verdict == "converges"


def test_some_cases_meet_every_pair():
    assert len(CASES) == 144
    assert set().union(*map(pairs, SOME)) == set().union(*map(pairs, CASES))


@pytest.mark.parametrize("case", SOME, ids=lambda case: "-".join(map(str, case)))
def test_a_case_of_every_pair(nursery, case):
    prove(nursery, case)


@pytest.mark.verification
@pytest.mark.parametrize(
    "case", [case for case in CASES if case not in SOME], ids=lambda case: "-".join(map(str, case))
)
def test_every_other_case(nursery, case):
    prove(nursery, case)
