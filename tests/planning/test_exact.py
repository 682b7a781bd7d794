"""Exact plans: as good as the best of all there are on tiny cases, never worse than the search, bounds that hold."""

import builtins
import itertools
import math

import numpy as np
import pytest

from migkit.errors import CapabilityError
from migkit.planning.check import violations
from migkit.planning.drain import drain
from migkit.planning.drain.planned import planned
from migkit.planning.drain.timetable import Clock
from migkit.planning.durations import tabulate
from migkit.planning.inventory import Inventory
from migkit.planning.slots import limits_of
from tests.planning.fleets import UNCAPPED, fleet, small


def rows(memory, host="a", **columns):
    return [{"vm": f"v{k}", "host": host, "memory": f"{gib} GiB"} | columns for k, gib in enumerate(memory)]


def alone_s(problem, clock, m, host):
    case = clock.case
    share = min(case.demand[m], case.capacity[case.outlet[m]], problem.fleet.carries[host])
    return share, 1.0 / problem.fleet.durations.speed(int(problem.machines[m]), share)


def earliest(problem, clock, order, hosts):
    """Return when all ends if each machine in turn starts as soon as links and slots are free for its whole time."""
    links, slots = problem.fleet.link_bytes_per_s, problem.slots
    placed = []
    for m in order:
        share, spent_s = alone_s(problem, clock, m, hosts[m])
        ends = sorted({0.0, *(end for _, end, *_ in placed)})
        for start in ends:
            moments = [start, *(begin for begin, *_ in placed if start < begin < start + spent_s)]
            for now in moments:
                active = [one for one in placed if one[0] <= now + 1e-9 and one[1] > now + 1e-9] + [
                    (start, start + spent_s, m, share)
                ]
                load, taken = np.zeros((2, links.size)), np.zeros(slots.capacity.size)
                for _, _, k, part in active:
                    load[0, problem.fleet.nic[problem.source[k]]] += part
                    load[1, problem.fleet.nic[hosts[k]]] += part
                    for limit in range(slots.out.shape[0]):
                        ends_of = {int(slots.out[limit, problem.source[k]]), int(slots.into[limit, hosts[k]])} - {-1}
                        for owner in ends_of:
                            taken[owner] += slots.cost[limit, k]
                if (load > links * (1 + 1e-6)).any() or (taken > slots.capacity).any():
                    break
            else:
                placed.append((start, start + spent_s, m, share))
                break
    return max(end for _, end, *_ in placed)


def best_of_all(problem, clock):
    """Return the length of the best undivided plan by trying every placement and every order."""
    best = math.inf
    allowed = [np.flatnonzero(row).tolist() for row in problem.allowed]
    use = problem.fleet.use[problem.machines]
    for hosts in itertools.product(*allowed):
        held = np.zeros_like(problem.free)
        np.add.at(held, list(hosts), use)
        groups = [(int(problem.group[m]), h) for m, h in enumerate(hosts) if problem.group[m] >= 0]
        if (held > np.maximum(problem.free, 0.0)).any() or len(set(groups)) < len(groups):
            continue
        if any(problem.members[group, host] for group, host in groups):
            continue
        for order in itertools.permutations(range(problem.size)):
            best = min(best, earliest(problem, clock, order, hosts))
    return best


CASES = {
    "two destinations": (rows([16, 8, 4, 2]), {}, ()),
    "little memory": (rows([16, 8, 4]), {"memory": "17 GiB"}, ()),
    "one at once": (rows([16, 8, 4, 2]), {}, limits_of("cluster=1")),
    "two at once into a host": (rows([8, 8, 4, 4]), {"link": "100 Gbit/s"}, limits_of("host-in=1")),
    "a wide link": (rows([16, 8, 4, 2]), {"link": "50 Gbit/s"}, ()),
    "apart": (rows([16, 8], anti_affinity="g"), {}, ()),
    "busy": (rows([8, 8, 4], dirty_rate="100 MB/s", dirty_window="1 s"), {}, ()),
}


@pytest.mark.parametrize("name", CASES)
def test_tiny_cases_are_as_good_as_the_best_of_all(name):
    vms, hosts, limits = CASES[name]
    found = planned(small(vms, **hosts), ["a"], base=UNCAPPED, limits=limits, improve_s=0, exact=True)
    (leg,) = found.parts[0].legs
    least = best_of_all(leg.problem, Clock(leg.problem))
    assert leg.proof.undivided_s == pytest.approx(least, rel=5e-3)
    assert leg.proof.undivided_s >= least * (1 - 1e-9)
    assert leg.proof.undivided_bound_s <= least * (1 + 1e-9), "a bound never lies above the best"
    assert leg.timetable.makespan_s <= least * (1 + 5e-3)
    assert leg.bound_s <= leg.timetable.makespan_s * (1 + 1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_exact_is_never_worse_and_breaks_nothing(seed):
    inventory = fleet(hosts=6, machines=48, seed=seed)
    limits = limits_of("kubevirt")
    search = drain(inventory, ["h0", "h1"], base=UNCAPPED, limits=limits, rounds=20, seed=seed)
    exact = drain(inventory, ["h0", "h1"], base=UNCAPPED, limits=limits, rounds=20, seed=seed, exact=True)
    assert exact.makespan_s <= search.makespan_s * (1 + 1e-9)
    assert exact.lower_bound_s >= search.lower_bound_s * (1 - 1e-9)
    assert exact.lower_bound_s <= exact.makespan_s
    assert any(note.startswith("exact: ") for note in exact.notes)
    durations = tabulate(inventory.vms, UNCAPPED, float(inventory.hosts.link_bytes_per_s.max()))
    assert violations(inventory, exact.moves, exact.hosts, durations, limits) == []


def test_the_bound_of_placement_sees_where_the_room_is():
    """Two hosts have wide links and no room; the only one with room has a narrow link."""
    hosts = [{"host": "a", "memory": "64 GiB", "link": "10 Gbit/s"}]
    hosts += [{"host": name, "memory": "9 GiB", "link": "10 Gbit/s"} for name in "bc"]
    hosts += [{"host": "d", "memory": "64 GiB", "link": "1 Gbit/s"}]
    inventory = Inventory.read(rows([8, 8, 8, 8]), hosts)
    plain = drain(inventory, ["a"], base=UNCAPPED, improve_s=0)
    exact = drain(inventory, ["a"], base=UNCAPPED, improve_s=0, exact=True)
    assert exact.lower_bound_s > 2 * plain.lower_bound_s
    assert exact.bound_by == "the links into the hosts that have room"
    assert "full share of its links takes" in exact.notes[-1]
    assert exact.makespan_s <= 1.15 * exact.lower_bound_s, "two machines one after the other on the narrow link"


@pytest.mark.parametrize(
    ("vms", "said"),
    [
        (rows([1] * 41), "41 moves and 82 pairs of machine and host are too many"),
        ([*rows([1], priority=1), {"vm": "y", "host": "a", "memory": "1 GiB"}], "priorities differ"),
    ],
)
def test_what_is_not_solved_says_why(vms, said):
    plan = drain(small(vms), ["a"], base=UNCAPPED, improve_s=0, exact=True)
    assert f"exact: not solved, because {said}" in plan.notes


def test_nothing_to_move_is_exact_as_well():
    plan = drain(small(rows([1], host="b")), ["a"], base=UNCAPPED, exact=True)
    assert plan.makespan_s == 0.0


def test_without_the_package_one_line_says_how_to_get_it(monkeypatch):
    real = builtins.__import__

    def missing(name, *arguments, **options):
        if name.startswith("ortools"):
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr("importlib.import_module", lambda name: missing(name))
    with pytest.raises(CapabilityError, match=r"pip install 'migkit\[exact\]'"):
        drain(small(rows([1])), ["a"], base=UNCAPPED, exact=True)
