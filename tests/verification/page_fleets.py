"""Migrations side by side in the page simulator, event by event: the reference of plans and rehearsals.

Whenever a migration begins or ends, links are shared anew, and each that runs is simulated from its request
on, over a link that gave what it gave so far and gives its present share from now on. The first end is next.
"""

import dataclasses
import math

import numpy as np
import pandas as pd

from migkit import Guest, Link, Scenario, simulate
from migkit.models.bulk import frames
from migkit.models.bulk.rows import scenario_of
from migkit.models.spread import draws
from migkit.models.spread.change import changed
from migkit.planning.check import _max_min
from migkit.planning.inventory import Inventory

MIB = 2**20
FOREVER_S = 1e6


def small_fleet(seed, sources=1, vms=6, link="1 Gbit/s"):
    """Return a fleet of small machines, so that a page-level run of it is quick."""
    draw = np.random.default_rng(seed)
    count = sources * vms
    memory = draw.integers(96, 385, count) * MIB
    region = (memory * draw.uniform(0.05, 0.4, count)) // 4096 * 4096
    machines = pd.DataFrame(
        {
            "vm": [f"v{k}" for k in range(count)],
            "host": [f"s{k % sources}" for k in range(count)],
            "memory_bytes": memory,
            "dirty_1_region_bytes": region,
            "dirty_1_writes_per_s": draw.uniform(0.0, 6000.0, count),
        }
    )
    names = [*(f"s{k}" for k in range(sources)), *(f"d{k}" for k in range(max(2, sources)))]
    return Inventory.read(machines, pd.DataFrame({"host": names, "memory": "64 GiB", "link": link}))


def cases_of(inventory, base):
    """Return each machine as a scenario over its own whole link."""
    columns = [name for name in inventory.vms if name == "memory_bytes" or name.startswith("dirty_1_")]
    table = frames.read(inventory.vms[columns])
    link = Link(bandwidth_bytes_per_s=float(inventory.hosts.link_bytes_per_s.max()))
    base = dataclasses.replace(base, link=link)
    return [scenario_of(table, base, row) for row in range(len(inventory.vms))]


def played(cases, ways, carries, most, choose, seed, after=lambda move, total_s: total_s):
    """Return when each migration ends [s].

    ``choose`` is called with the number of migrations that have ended and those that run; it returns which begin.
    ``after`` turns what the page simulator says of a migration's time into what happens.
    """
    now, ended, running = 0.0, {}, {}
    while True:
        for move in choose(len(ended), set(running)):
            running[move] = {"start": now, "since": now, "share": math.nan, "steps": [], "end": math.inf}
        if not running:
            return ended
        moves = sorted(running)
        shares = _max_min(moves, ways, carries, [most] * len(moves))
        for move, share in zip(moves, shares, strict=True):
            one = running[move]
            part = min(1.0, share / min(carries[way] for way in ways[move]))
            if part != one["share"]:
                if now > one["since"]:
                    one["steps"].append((now - one["since"], one["share"]))
                one["since"], one["share"] = now, part
                case = cases[move]
                link = dataclasses.replace(case.link, steps=(*one["steps"], (FOREVER_S, part)))
                run = simulate(dataclasses.replace(case, link=link), seed=seed + move).runs[0]
                one["end"] = one["start"] + after(move, run.total_time_s)
        first = min(running, key=lambda move: running[move]["end"])
        now = max(now, running[first]["end"])
        ended[first] = now
        del running[first]


def as_drawn(cases, number, seed):
    """Return the cases with hosts and links of one draw, each guest of a draw of its own, and what is added [s]."""
    draw = np.random.default_rng(seed)
    common = int(draw.integers(number))
    out = []
    for case in cases:
        wide = draws.drawn(case, number, 1, seed)
        hosts = plain(draws.selected(wide, np.array([common])))
        guest = plain(draws.selected(wide, np.array([int(draw.integers(number))]))).guest
        out.append(dataclasses.replace(hosts, guest=guest))
    setup_s, stopped_s = draws.additions(cases[0], number, seed)
    added_s = np.broadcast_to(setup_s + stopped_s, (1, number))[0]
    return out, float(added_s[int(draw.integers(number))])


def plain(case):
    """Return a scenario of arrays of one value as one of numbers."""

    def of(record):
        values = {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}
        return changed(record, {k: v.item() for k, v in values.items() if isinstance(v, np.ndarray)})

    parts = {field.name: of(getattr(case, field.name)) for field in dataclasses.fields(case)}
    guest = changed(parts["guest"], {"dirty": tuple(map(of, case.guest.dirty))})
    return changed(case, parts | {"guest": guest})


def anything():
    """Return a scenario of hosts of which nothing is known, without a cap."""
    from migkit import Policy

    return Scenario(guest=Guest(memory_bytes=4096), policy=Policy(max_bandwidth_bytes_per_s=math.inf))
