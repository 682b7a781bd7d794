"""A manager at work, event by event: its queue, its slots, what it tries again, and what breaks meanwhile.

Links, slots and room are those of :mod:`migkit.planning.drain.sharing`; a migration that is given up returns what it
had taken and waits for its next attempt.
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

from migkit.jit import inlined, lean
from migkit.planning.drain import sharing
from migkit.planning.drain.sharing import Case, Live

__all__ = ["DOWN", "GIVEN_UP", "MOVED", "RUNS", "WAITS", "Damage", "Rules", "Tale", "dispatch"]

WAITS: Final = 0  # of a machine: for slots, room, or its next attempt
RUNS: Final = 1
MOVED: Final = 2
GIVEN_UP: Final = 3  # no attempt is left
DOWN: Final = 4  # its host failed
LINK: Final = 0  # of damage: a link changes
HOST: Final = 1  # a host fails
CUT: Final = 1  # of a host: its link is down
FAILED: Final = 2
SOON: Final = 1e-9


class Rules(NamedTuple):
    """How a manager goes about.

    Attributes
    ----------
    room
        Part of a migration's demand that its links must have left for it to start; below 0: links do not count.
    chooses
        1: the destination is chosen at the start of a migration; 0: it is given.
    attempts, backoff_s, backoff_factor
        As in :class:`migkit.planning.rehearsal.managers.Manager`.
    until_s
        When nobody waits any longer [s].
    """

    room: float
    chooses: int
    attempts: float
    backoff_s: float
    backoff_factor: float
    until_s: float


class Tale(NamedTuple):
    """What happens to each machine, and where it may go.

    Attributes
    ----------
    patience
        Patience a second at the knots, shape (machines, knots).
    allowed, is_shut, harm, size, nic
        Hosts that each may go to, shape (machines, hosts); whether a host is being emptied; 0, or CUT or FAILED;
        its memory [B]; its path.
    worn, pace
        Patience that is used up, and how much more each second [1], [1/s].
    state, tries
        One of the states above, and attempts that were begun.
    ready_s, begun_s, first_s, spent_s
        When the next attempt may begin; when the present and the first one did; how long those took that failed [s].
    """

    patience: Any
    allowed: Any
    is_shut: Any
    harm: Any
    size: Any
    nic: Any
    worn: Any
    pace: Any
    state: Any
    tries: Any
    ready_s: Any
    begun_s: Any
    first_s: Any
    spent_s: Any


class Damage(NamedTuple):
    """What breaks, in the order of time.

    Attributes
    ----------
    time_s, kind, host, factor
        When; LINK or HOST; which host; and of a link, the part of it that is left.
    """

    time_s: Any
    kind: Any
    host: Any
    factor: Any


@inlined
def patience_at(rates: Any, patience: Any, share: float) -> float:
    """Return the patience a second at a share; below the first knot that of the first."""
    return patience[0] if share < rates[0] else sharing.speed_at(rates, patience, False, share)


@inlined
def may_leave(m: int, case: Case, live: Live) -> bool:
    """Return whether the source has the slots that a migration takes, wherever it goes."""
    for limit in range(case.slot_out.shape[0]):
        out = case.slot_out[limit, case.source[m]]
        if out >= 0 and live.slots[out] < case.cost[limit, m]:
            return False
    return True


@lean
def chosen(m: int, case: Case, live: Live, tale: Tale) -> int:
    """Return the open host whose free part of memory is largest with the machine on it; -1: none takes it."""
    best, most = -1, -1.0
    for host in range(tale.nic.size):
        if tale.harm[host] > 0 or tale.is_shut[host] or not tale.allowed[m, host] or host == case.source[m]:
            continue
        live.host[m] = host
        if sharing.are_free(m, case, live) and sharing.fits(m, case, live):
            part = (live.free[host, 0] - case.use[m, 0]) / tale.size[host]
            if part > most:
                best, most = host, part
    return best


@lean
def starts(m: int, now: float, rules: Rules, case: Case, live: Live, tale: Tale) -> bool:
    """Return whether a migration may start now; its destination is set."""
    if tale.ready_s[m] > now * (1.0 + SOON) + SOON or tale.harm[case.source[m]] > 0 or not may_leave(m, case, live):
        return False
    if rules.chooses == 0:
        if tale.harm[live.host[m]] > 0:
            return False
        if rules.room < 0.0:
            return sharing.are_free(m, case, live) and sharing.fits(m, case, live)
        return sharing.may_start(m, rules.room, case, live)
    host = chosen(m, case, live, tale)
    if host < 0:
        return False
    live.host[m] = host
    live.inlet[m] = case.capacity.size // 2 + tale.nic[host]
    return True


@lean
def begin(m: int, now: float, case: Case, live: Live, tale: Tale) -> None:
    """Start an attempt from nothing."""
    sharing.begin(m, case, live)
    live.start[m] = now
    live.progress[m] = 0.0
    tale.worn[m] = 0.0
    tale.begun_s[m] = now
    if tale.tries[m] == 0:
        tale.first_s[m] = now
    tale.tries[m] += 1
    tale.state[m] = RUNS


@lean
def give_back(m: int, case: Case, live: Live) -> None:
    """Return what an attempt that failed had taken: slots, room at the destination, its place on both links."""
    sharing.pay(m, case, live, -1.0)
    for kind in range(case.use.shape[1]):
        live.free[live.host[m], kind] += case.use[m, kind]
    if case.group[m] >= 0:
        live.members[case.group[m], live.host[m]] -= 1
    for link in (case.outlet[m], live.inlet[m]):
        live.load[link] -= min(case.demand[m], case.capacity[link])
        live.number[link] -= 1.0
        live.need[link] = 0.0


@lean
def fail(m: int, now: float, rules: Rules, case: Case, live: Live, tale: Tale) -> bool:
    """End an attempt that failed; return whether another one follows."""
    give_back(m, case, live)
    tale.spent_s[m] += now - tale.begun_s[m]
    if tale.tries[m] >= rules.attempts:
        tale.state[m] = GIVEN_UP
        return False
    tale.state[m] = WAITS
    tale.ready_s[m] = now + rules.backoff_s * rules.backoff_factor ** (tale.tries[m] - 1)
    return True


@lean
def arrive(m: int, now: float, case: Case, live: Live, tale: Tale) -> None:
    """End a migration that did not fail: the machine is at its destination."""
    live.end[m] = now
    sharing.finish(m, case, live)
    tale.state[m] = MOVED
    case.source[m] = live.host[m]
    case.outlet[m] = tale.nic[live.host[m]]


@lean
def break_down(at: int, damage: Damage, full: Any, case: Case, live: Live, tale: Tale) -> None:
    """Let a link change or a host fail; machines on a host that fails are down."""
    host = damage.host[at]
    link, half = tale.nic[host], case.capacity.size // 2
    part = damage.factor[at]
    if damage.kind[at] == HOST:
        tale.harm[host] = FAILED
        for m in range(case.source.size):
            if case.source[m] == host:
                tale.state[m] = DOWN
        return
    case.capacity[link] = full[link] * part
    case.capacity[half + link] = full[half + link] * part
    for other in range(tale.nic.size):
        if tale.nic[other] == link and tale.harm[other] != FAILED:
            tale.harm[other] = 0 if part > 0.0 else CUT


@inlined
def is_cut(m: int, case: Case, live: Live, tale: Tale) -> bool:
    """Return whether a migration lost its link or its destination."""
    return bool(tale.harm[case.source[m]] > 0 or tale.harm[live.host[m]] > 0)


@lean
def next_step(
    active: Any, count: int, waiting: Any, left: int, now: float, case: Case, live: Live, tale: Tale
) -> float:
    """Set the speeds of what runs; return the time until something ends, is given up, or may be tried again."""
    step = sharing.first_end(active, count, case, live)
    for k in range(count):
        m = active[k]
        tale.pace[m] = patience_at(case.rates[m], tale.patience[m], live.share[m])
        if tale.pace[m] > 0.0:
            step = min(step, (1.0 - tale.worn[m]) / tale.pace[m])
    for k in range(left):
        if tale.ready_s[waiting[k]] > now * (1.0 + SOON) + SOON:
            step = min(step, tale.ready_s[waiting[k]] - now)
    return max(step, 0.0)


@lean
def dispatch(
    waiting: Any,
    left: int,
    active: Any,
    now: float,
    rules: Rules,
    damage: Damage,
    done: int,
    full: Any,
    case: Case,
    live: Live,
    tale: Tale,
) -> tuple[float, int]:
    """Let a manager work through its queue until nothing waits or runs; return when that is, and what broke so far.

    Parameters
    ----------
    waiting, left
        Machines of the queue in their order, and how many there are; the array is changed.
    active
        Scratch of the same size.
    now
        When it begins [s].
    damage, done
        What breaks, and how much of it has.
    full
        What links carry while nothing is broken [B/s].
    rules, case, live, tale
        How the manager goes about, what is fixed, and what changes.

    Returns
    -------
    now, done
        Infinite where a machine never leaves [s].
    """
    count = 0
    while left + count > 0:
        kept = 0
        for k in range(left):
            m = waiting[k]
            if tale.state[m] == DOWN:
                continue
            if starts(m, now, rules, case, live, tale):
                begin(m, now, case, live, tale)
                active[count] = m
                count += 1
            else:
                waiting[kept] = m
                kept += 1
        left = kept
        if left + count == 0:
            return now, done
        sharing.max_min(active, count, case, live)
        step = next_step(active, count, waiting, left, now, case, live, tale)
        breaks = done < damage.time_s.size and damage.time_s[done] <= now + step
        if breaks:
            step = max(0.0, damage.time_s[done] - now)
        if step == math.inf or now + step > rules.until_s:
            return math.inf, done
        now += step
        if breaks:
            break_down(done, damage, full, case, live, tale)
            done += 1
        kept = 0
        for k in range(count):
            m = active[k]
            live.progress[m] += live.speed[m] * step
            live.sent[m] += live.share[m] * step
            tale.worn[m] += tale.pace[m] * step
            if tale.state[m] == DOWN:
                give_back(m, case, live)
            elif breaks and is_cut(m, case, live, tale):
                if fail(m, now, rules, case, live, tale):
                    waiting[left] = m
                    left += 1
            elif live.progress[m] >= 1.0 - sharing.SLACK:
                arrive(m, now, case, live, tale)
            elif tale.worn[m] >= 1.0 - sharing.SLACK:
                if fail(m, now, rules, case, live, tale):
                    waiting[left] = m
                    left += 1
            else:
                active[kept] = m
                kept += 1
        count = kept
        for k in range(count):
            m = active[k]
            for link in (case.outlet[m], live.inlet[m]):
                live.need[link] = max(live.need[link], case.least[m])
    return now, done
