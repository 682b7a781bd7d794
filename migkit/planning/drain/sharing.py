"""Migrations side by side, event by event: who may start, what each gets of the links, when each ends.

Links are shared max-min: no migration can get more without taking from one that has no more than it (Bertsekas and
Gallager 1992, section 6.5.2). A migration takes memory, processors and disks of its destination when it starts, and
gives back those of its source when it ends.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from migkit.jit import inlined, lean

__all__ = ["Case", "Live", "max_min", "run", "speed_at"]

SLACK = 1e-9  # of progress, so that rounding ends what ends at the same time together
FULL = 1e-9  # of a link, that counts as none
ROUNDING = 1e-12


class Case(NamedTuple):
    """What does not change while migrations run.

    Attributes
    ----------
    source
        Host that each machine leaves.
    use, group
        Room that each takes, shape (machines, kinds), and its anti-affinity group, -1 for none.
    outlet
        Link out of the source of each.
    capacity
        What each link carries [B/s].
    slot_out, slot_into, cost
        As in :class:`migkit.planning.drain.problem.Slots`.
    rates, speeds, proportional
        Progress over share, as in :class:`migkit.planning.durations.Durations`.
    least, demand
        The efficient share and the largest share of each machine [B/s].
    under_way
        Whether each is moving already: it goes on, whatever else its links carry.
    """

    source: Any
    use: Any
    group: Any
    outlet: Any
    capacity: Any
    slot_out: Any
    slot_into: Any
    cost: Any
    rates: Any
    speeds: Any
    proportional: Any
    least: Any
    demand: Any
    under_way: Any


class Live(NamedTuple):
    """What changes while migrations run.

    Attributes
    ----------
    host, inlet
        Destination of each machine, and the link into it.
    free, members, slots
        Room of hosts, machines of each group on each host, and slots that are left.
    load, number, need
        On each link: what migrations could take of it, how many there are, the largest efficient share [B/s].
    left, flows, used
        Scratch of one number a link: what is left of it [B/s], how many shares on it grow, which links those are.
    growing
        Scratch of one number a machine: those whose share grows.
    share, speed, progress
        Of each machine [B/s, 1/s, 1].
    start, end, sent
        Times [s], and what each took of its links [B].
    """

    host: Any
    inlet: Any
    free: Any
    members: Any
    slots: Any
    load: Any
    number: Any
    need: Any
    left: Any
    flows: Any
    used: Any
    growing: Any
    share: Any
    speed: Any
    progress: Any
    start: Any
    end: Any
    sent: Any


@inlined
def speed_at(rates: Any, speeds: Any, proportional: Any, share: float) -> float:
    """Return the progress a second at a share, linear between the knots of one machine."""
    if share < rates[0]:
        return speeds[0] * share / rates[0] if proportional else 0.0
    last = rates.size - 1
    if share >= rates[last]:
        return speeds[last]
    low, high = 0, last
    while high - low > 1:
        middle = (low + high) // 2
        if rates[middle] <= share:
            low = middle
        else:
            high = middle
    part = (share - rates[low]) / (rates[high] - rates[low])
    return speeds[low] + part * (speeds[high] - speeds[low])


@lean
def max_min(active: Any, count: int, case: Case, live: Live) -> None:
    """Write the max-min share of each active migration.

    Progressive filling: all shares grow together until a link is full or a demand is met; those concerned stay, and
    the others go on. What stays is not looked at again, so that each step costs what still grows.
    """
    used = put_on_links(active, count, case, live)
    growing = count
    level = 0.0
    while growing > 0:
        step = max(0.0, smallest_step(growing, used, level, case, live))
        level += step
        for k in range(growing):
            m = live.growing[k]
            live.left[case.outlet[m]] -= step
            live.left[live.inlet[m]] -= step
        growing = settled(growing, level, case, live)


@lean
def put_on_links(active: Any, count: int, case: Case, live: Live) -> int:
    """Have all active migrations grow; count those on each of their links, and return how many links those are."""
    for k in range(count):
        m = active[k]
        live.growing[k] = m
        for link in (case.outlet[m], live.inlet[m]):
            live.left[link] = case.capacity[link]
            live.flows[link] = 0.0
    used = 0
    for k in range(count):
        m = active[k]
        for link in (case.outlet[m], live.inlet[m]):
            if live.flows[link] == 0.0:
                live.used[used] = link
                used += 1
            live.flows[link] += 1.0
    return used


@lean
def smallest_step(growing: int, used: int, level: float, case: Case, live: Live) -> float:
    """Return by how much all shares may grow until the first of them stays."""
    step = math.inf
    for k in range(used):
        link = live.used[k]
        if live.flows[link] > 0.0:
            step = min(step, live.left[link] / live.flows[link])
    for k in range(growing):
        step = min(step, case.demand[live.growing[k]] - level)
    return step


@lean
def settled(growing: int, level: float, case: Case, live: Live) -> int:
    """Write the share of those that grow no longer; return how many still do."""
    kept = 0
    for k in range(growing):
        m = live.growing[k]
        if is_settled(m, level, case, live):
            live.share[m] = level
            live.flows[case.outlet[m]] -= 1.0
            live.flows[live.inlet[m]] -= 1.0
        else:
            live.growing[kept] = m
            kept += 1
    return kept


@inlined
def is_settled(m: int, level: float, case: Case, live: Live) -> bool:
    """Return whether a migration has all that it takes, or one of its links is full."""
    out, into = case.outlet[m], live.inlet[m]
    return (
        case.demand[m] <= level * (1.0 + ROUNDING)
        or live.left[out] <= FULL * case.capacity[out]
        or live.left[into] <= FULL * case.capacity[into]
    )


@inlined
def fits(m: int, case: Case, live: Live) -> bool:
    """Return whether a machine's destination has room for it now, and none of its anti-affinity group."""
    host = live.host[m]
    for kind in range(case.use.shape[1]):
        if case.use[m, kind] > max(live.free[host, kind], 0.0) * (1.0 + ROUNDING):
            return False
    return case.group[m] < 0 or live.members[case.group[m], host] == 0


@inlined
def are_free(m: int, case: Case, live: Live) -> bool:
    """Return whether there are the slots that a migration takes."""
    for limit in range(case.slot_out.shape[0]):
        out, into = case.slot_out[limit, case.source[m]], case.slot_into[limit, live.host[m]]
        if out >= 0 and live.slots[out] < case.cost[limit, m]:
            return False
        if into >= 0 and live.slots[into] < case.cost[limit, m]:
            return False
    return True


@inlined
def pay(m: int, case: Case, live: Live, sign: float) -> None:
    """Take the slots of a migration (1), or give them back (-1); one resource at both ends is paid once."""
    for limit in range(case.slot_out.shape[0]):
        out, into = case.slot_out[limit, case.source[m]], case.slot_into[limit, live.host[m]]
        if out >= 0:
            live.slots[out] -= sign * case.cost[limit, m]
        if into >= 0 and into != out:
            live.slots[into] -= sign * case.cost[limit, m]


@inlined
def has_room(m: int, link: int, room: float, case: Case, live: Live) -> bool:
    """Return whether one more migration on a link leaves every one of them its efficient share.

    It starts when the part ``room`` of its demand is still free, so that a full link is not split further, and when
    an equal part of the link is at least what each of them needs.
    """
    wanted = min(case.demand[m], case.capacity[link])
    if live.load[link] + wanted <= case.capacity[link] * (1.0 + FULL):
        return True
    if live.load[link] + room * wanted > case.capacity[link]:
        return False
    return case.capacity[link] / (live.number[link] + 1.0) >= max(live.need[link], case.least[m])


@inlined
def may_start(m: int, room: float, case: Case, live: Live) -> bool:
    """Return whether a migration may start now."""
    return bool(case.under_way[m]) or (
        has_room(m, case.outlet[m], room, case, live)
        and has_room(m, live.inlet[m], room, case, live)
        and are_free(m, case, live)
        and fits(m, case, live)
    )


@inlined
def begin(m: int, case: Case, live: Live) -> None:
    """Take slots, room at the destination, and a place on both links."""
    pay(m, case, live, 1.0)
    for kind in range(case.use.shape[1]):
        live.free[live.host[m], kind] -= case.use[m, kind]
    if case.group[m] >= 0:
        live.members[case.group[m], live.host[m]] += 1
    for link in (case.outlet[m], live.inlet[m]):
        live.load[link] += min(case.demand[m], case.capacity[link])
        live.number[link] += 1.0
        live.need[link] = max(live.need[link], case.least[m])


@inlined
def finish(m: int, case: Case, live: Live) -> None:
    """Give back slots, room at the source, and the place on both links; what others need there is counted anew."""
    pay(m, case, live, -1.0)
    for kind in range(case.use.shape[1]):
        live.free[case.source[m], kind] += case.use[m, kind]
    if case.group[m] >= 0:
        live.members[case.group[m], case.source[m]] -= 1
    for link in (case.outlet[m], live.inlet[m]):
        live.load[link] -= min(case.demand[m], case.capacity[link])
        live.number[link] -= 1.0
        live.need[link] = 0.0


@lean
def first_end(active: Any, count: int, case: Case, live: Live) -> float:
    """Set the speed of each active migration; return the time until the first of them ends."""
    step = math.inf
    for k in range(count):
        m = active[k]
        live.speed[m] = speed_at(case.rates[m], case.speeds[m], case.proportional[m], live.share[m])
        if live.speed[m] > 0.0:
            step = min(step, (1.0 - live.progress[m]) / live.speed[m])
    return step


@lean
def ended(active: Any, count: int, step: float, now: float, case: Case, live: Live) -> int:
    """Move time on by a step; keep what still runs at the front of ``active`` and return how many those are."""
    kept = 0
    for k in range(count):
        m = active[k]
        live.progress[m] += live.speed[m] * step
        live.sent[m] += live.share[m] * step
        if live.progress[m] < 1.0 - SLACK:
            active[kept] = m
            kept += 1
        else:
            live.end[m] = now
            finish(m, case, live)
    for k in range(kept):
        m = active[k]
        for link in (case.outlet[m], live.inlet[m]):
            live.need[link] = max(live.need[link], case.least[m])
    return kept


@lean
def run(waiting: Any, active: Any, room: float, case: Case, live: Live) -> int:
    """Start migrations in order, each as soon as it may, until all have ended; return how many never could.

    One that may not start now lets those behind it pass. ``waiting`` holds all of them, the most urgent first, and is
    changed; ``active`` is scratch of the same size.
    """
    left, count, now = waiting.size, 0, 0.0
    while left + count > 0:
        kept = 0
        for k in range(left):
            m = waiting[k]
            if may_start(m, room, case, live):
                begin(m, case, live)
                live.start[m] = now
                active[count] = m
                count += 1
            else:
                waiting[kept] = m
                kept += 1
        left = kept
        if count == 0:
            return left
        max_min(active, count, case, live)
        step = first_end(active, count, case, live)
        if step == math.inf:
            return left + count
        now += step
        count = ended(active, count, step, now, case, live)
    return 0
