"""Real migrations of a process over a grid of guests, paths and strategies: what ``data/harness/grid.parquet`` has.

    python -m tests.verification.harness_grid -o grid.parquet
    python -m tests.verification.harness_grid --check data/harness/grid.parquet

A cell is drawn from its number. What people choose (strategy, path, content, phases, pacing) goes through its values
in turn, so that each is met with each; sizes, rates and limits are drawn evenly by their logarithm, the speed so that
one pass takes 0.4 to 3.2 s. Each tenth cell runs three times. The constants of the machine are fitted to runs of
:mod:`migkit.calibrate.design`, which are none of these. As root all of it goes before other processes.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
import math
import os
import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from migkit import DirtyClass, Guest, Link, Policy, Scenario, Strategy
from migkit.calibrate.design import Designed, calibration_runs, encoding_runs
from migkit.calibrate.fit import fit
from migkit.harness.guests.machine import Machine
from migkit.harness.processes.nursery import Nursery
from migkit.harness.protocol.encoding.codec import by_name
from migkit.harness.protocol.frame import FRAME_PAGES
from migkit.harness.runs.options import Options
from migkit.harness.runs.run import run
from migkit.scenario.form import schema
from migkit.traces import Trace, data
from migkit.traces.columns import column
from migkit.units import MIB, PAGE_BYTES
from tests.verification import grid
from tests.verification.qemu_migration import undisturbed
from tests.verification.waiting import Watch

CELLS = 243  # 27 strategies, nine times each; 7 paths
TIME_LIMIT_S = 6.0
KEPT = 0.05  # of a run's time: a thread stood ready for longer without a processor, which it also does for its like
SEED = 1000
SLOW_BYTES_PER_S = 60e6
PLAIN = Strategy()
# In turns: of 27 cells, so many of each; of 7, so many over each path.
STRATEGIES = (
    *[PLAIN] * 6,
    *[Strategy(auto_converge=True)] * 3,
    *[Strategy(xbzrle=True)] * 2,
    Strategy(streams=2),
    Strategy(streams=4),
    *[Strategy(tls=True)] * 2,
    *[Strategy(compression=name) for name in ("zlib", "zstd", "lz4")],
    *[Strategy(name="stopcopy")] * 2,
    *[Strategy(name="postcopy")] * 3,
    *[Strategy(name="hybrid")] * 4,
)
PATHS = (*["loopback"] * 5, "relay", "namespaces")
FILLS = ("random", "random", "constant", "zero")
ENCODED_FILLS = ("random", "constant")


class Cell(NamedTuple):
    """What one number stands for."""

    number: int
    scenario: Scenario
    path: str


def cell(number: int) -> Cell:
    """Return the cell of a number."""
    draw = random.Random(f"harness {number}")
    turn = number // len(STRATEGIES)
    path = PATHS[number % len(PATHS)]
    strategy = _strategy(draw, STRATEGIES[number % len(STRATEGIES)], number)
    fill = FILLS[number % len(FILLS)] if strategy.compression == "none" else ENCODED_FILLS[number % 2]
    is_free = path == "loopback" and number % 11 == 4
    pushes_freely = number % 3 == 0
    memory_mib = draw.choice([64, 96, 128, 192, 256, 384, 512])
    if is_free or (pushes_freely and strategy.name == "postcopy"):
        memory_mib = draw.choice([768, 1024])  # what nothing holds back is soon over
    guest = _guest(draw, memory_mib * MIB, fill, strategy, phased=turn % 3 == 2, paced=turn % 2 == 1)
    speed = float(int((guest.memory_bytes - guest.zero_bytes) / 10 ** draw.uniform(-0.4, 0.5)))
    link, cap = Link(), speed
    if path != "loopback":
        link = _link(draw, speed)
        cap = draw.choice([math.inf, math.inf, float(int(0.7 * speed))])
    elif is_free:
        cap = math.inf
    policy = Policy(
        max_bandwidth_bytes_per_s=cap,
        max_postcopy_bandwidth_bytes_per_s=math.inf if pushes_freely else cap,
        downtime_limit_s=round(10 ** draw.uniform(-2.0, -0.2), 3),
        time_limit_s=TIME_LIMIT_S,
    )
    return Cell(number, Scenario(guest=guest, link=link, policy=policy, strategy=strategy), path)


def _strategy(draw: random.Random, strategy: Strategy, number: int) -> Strategy:
    """Return a strategy with what is left to draw of it."""
    changes: dict[str, Any] = {}
    if strategy.xbzrle:
        changes["xbzrle_cache_bytes"] = draw.choice([16, 64]) * MIB
    if strategy.name == "hybrid":
        after = {"postcopy_after_s": round(draw.uniform(0.1, 1.5), 2)}
        changes |= {"postcopy_after_rounds": draw.choice([1, 2, 3])} if number % 2 else after
    if strategy.name in ("hybrid", "postcopy"):
        changes |= {"prefetch_pages": draw.choice([0, 0, 8]), "preempt": draw.random() < 0.7}
    return dataclasses.replace(strategy, **changes)


def _guest(
    draw: random.Random, memory_bytes: int, fill: str, strategy: Strategy, *, phased: bool, paced: bool
) -> Guest:
    rewrite_bytes = draw.choice([8, 64, 512]) if strategy.xbzrle else 8
    classes = tuple(_classes(draw, memory_bytes, rewrite_bytes, phased=phased))
    left_bytes = memory_bytes - sum(one.region_bytes for one in classes)
    guest = Guest(
        memory_bytes=memory_bytes,
        zero_bytes=int(draw.choice([0.2, 0.5, 0.9]) * left_bytes / PAGE_BYTES) * PAGE_BYTES,
        dirty=classes,
        layout="blocks",
        fill=fill,
        compression_ratio=ratio(strategy.compression, fill),
    )
    # One that is given no capacity runs flat out: its clock stands while it is stopped or throttled.
    capacity = {"capacity_writes_per_s": float(int(guest.writes_per_s * draw.choice([1.5, 4.0, 50.0])))}
    return dataclasses.replace(guest, **capacity) if paced else guest


def _classes(draw: random.Random, memory_bytes: int, rewrite_bytes: int, *, phased: bool) -> Iterator[DirtyClass]:
    room_pages = memory_bytes // PAGE_BYTES
    for _ in range(draw.choice([1, 2, 2, 3])):
        pages = min(room_pages // 2, int(2 ** draw.uniform(10.0, 15.0)))
        room_pages -= pages
        phases = ()
        if phased:
            phases = (
                (round(draw.uniform(0.2, 1.2), 2), 1.0),
                (round(draw.uniform(0.2, 1.2), 2), draw.choice([0.0, 0.3])),
            )
        writes_per_s = int(10 ** draw.uniform(1.5, 5.0))
        kind = "sweep" if draw.random() < 0.3 else "random"
        yield DirtyClass(
            region_bytes=pages * PAGE_BYTES,
            writes_per_s=writes_per_s,
            reads_per_s=draw.choice([0, 0, writes_per_s]),
            rewrite_bytes=rewrite_bytes,
            kind=kind,
            sweep_offset_bytes=0 if kind == "sweep" else None,  # a guest of the harness begins when it is moved
            phases=phases,
            phase_offset_s=0.0 if phases else None,
        )


def _link(draw: random.Random, speed: float) -> Link:
    lasts_s = round(draw.uniform(0.2, 0.8), 2)
    steps = ((lasts_s, 1.0), (round(draw.uniform(0.1, 0.5), 2), draw.choice([0.0, 0.3])))
    return Link(
        bandwidth_bytes_per_s=speed,
        rtt_s=draw.choice([0.0, 0.001, 0.005]),
        steps=steps if draw.random() < 0.4 else (),
    )


@functools.cache
def ratio(compression: str, fill: str) -> float:
    """Return how much smaller a compressor makes a frame of pages as they are filled."""
    codec = by_name(compression)
    if codec is None:
        return 1.0
    machine = Machine(Guest(memory_bytes=FRAME_PAGES * PAGE_BYTES, fill=fill))
    machine.boot(SEED)
    content = machine.words.tobytes()
    machine.close()
    return float(min(max(1.0, round(len(content) / len(codec.compress(content)), 3)), PAGE_BYTES))


def ran(one: Cell, seed: int, nursery: Nursery) -> tuple[Trace, Watch]:
    """Run a cell; again where its processes were kept from running. Return the run that was so the least."""
    options = Options(plaintext=not one.scenario.strategy.tls, path=one.path)

    def once() -> tuple[Trace, Watch]:
        watch = Watch()
        return run(one.scenario, seed=seed, options=options, nursery=nursery, progress=watch), watch

    return grid.least_disturbed(once, lambda done: done[1].kept_s / done[0].outcome.total_time_s, KEPT)


def row(number: int, repeat: int, nursery: Nursery) -> grid.Row:
    """Run a cell, again where it was disturbed; return a row of the table."""
    one = cell(number)
    trace, watch = ran(one, SEED * number + repeat, nursery)
    outcome, machine = trace.outcome, trace.machine
    postcopy = machine.get("postcopy", {})
    return {
        "cell": number,
        "repeat": repeat,
        "path": one.path,
        "host": host_of(trace.scenario, one.path),
        "scenario": json.dumps(schema.to_record(trace.scenario), sort_keys=True),
        "verdict": outcome.verdict,
        "total_time_s": outcome.total_time_s,
        "downtime_s": outcome.downtime_s,
        "downtime_parts_s": json.dumps(dict(outcome.downtime_parts_s), sort_keys=True),
        "transferred_bytes": outcome.transferred_bytes,
        "normal_pages": int(column(trace.rounds, "normal_pages").sum()),
        "zero_pages": int(column(trace.rounds, "zero_pages").sum()),
        "iterations": outcome.iterations,
        "faults": postcopy.get("faults", 0),
        "blocktime_s": postcopy.get("blocktime_s", 0.0),
        "guest_operations": outcome.guest_operations,
        "verified": outcome.verified,
        "withheld_s": watch.withheld_s,
        "waited_s": watch.waited_s,
        "others_share": machine["others_share"],
        "rounds": grid.rounds_of(trace),
        "tracker": machine["tracker"],
        "pacing": machine["pacing"],
        "kernel": machine["kernel"],
        "processor": machine["processor"],
        "processors": machine["processors"],
    }


def host_of(scenario: Scenario, path: str) -> str:
    """Return under which name the table has the constants that a run is predicted with."""
    encoded = scenario.guest.fill if scenario.strategy.compression != "none" else ENCODED_FILLS[0]
    capped = math.isfinite(scenario.policy.max_postcopy_bandwidth_bytes_per_s)
    return f"{path}, {encoded}, {'capped' if capped else 'free'} push"


def measured_hosts(nursery: Nursery) -> dict[str, Mapping[str, float]]:
    """Return the constants of this machine by name, from runs that are made for that.

    What differs between the names: a compressor's speed by the content of the pages, what the buffers hold by path,
    and what a demanded page waits for besides while the push is on all the time.
    """
    plain = [_calibrating(one, at, nursery) for at, one in enumerate(calibration_runs() * 2)]
    waiting = fit([_calibrating(one, 50 + at, nursery) for at, one in enumerate(capped_postcopies() * 2)])
    service = {"free": {}, "capped": {"fault_service_s": float(waiting.host.fault_service_s)}}
    buffers = measured_buffers(nursery)
    cores = dict.fromkeys(("source_free_cores", "destination_free_cores"), (os.cpu_count() or 2) / 2)  # both are here
    hosts: dict[str, Mapping[str, float]] = {}
    for fill in ENCODED_FILLS:
        runs = [_filled(one, fill) for one in encoding_runs() * 2]
        found = fit(plain + [_calibrating(one, 100 + at, nursery) for at, one in enumerate(runs)])
        known = {name: float(getattr(found.host, name)) for name in found.constants}
        for path, push in itertools.product(dict.fromkeys(PATHS), service):
            held = {"in_flight_bytes": buffers[path]} if path in buffers else {}
            hosts[f"{path}, {fill}, {push} push"] = known | held | service[push] | cores
    return hosts


def capped_postcopies() -> list[Designed]:
    """Return post-copies whose push waits for its windows: a page that is demanded meanwhile waits for nothing."""
    found = []
    for one in calibration_runs():
        if one.scenario.strategy.name == "postcopy":
            policy = dataclasses.replace(one.scenario.policy, max_postcopy_bandwidth_bytes_per_s=1.2e8)
            found.append(one._replace(scenario=dataclasses.replace(one.scenario, policy=policy)))
    return found


def measured_buffers(nursery: Nursery) -> dict[str, float]:
    """Return what the buffers of one connection hold over each path that is slower than the sender [B].

    A stopped guest of which next to nothing is left to send waits for them: that is what its load takes longer than
    straight from one side to the other.
    """
    loads_s = {path: median(_loaded_s(path, seed, nursery) for seed in range(3)) for path in dict.fromkeys(PATHS)}
    straight_s = loads_s.pop("loopback")
    return {path: max(0.0, load_s - straight_s) * SLOW_BYTES_PER_S for path, load_s in loads_s.items()}


def _loaded_s(path: str, seed: int, nursery: Nursery) -> float:
    scenario = Scenario(
        guest=Guest(memory_bytes=96 * MIB, dirty=(DirtyClass(region_bytes=4 * MIB, writes_per_s=10),)),
        link=Link(bandwidth_bytes_per_s=SLOW_BYTES_PER_S),
        policy=Policy(max_bandwidth_bytes_per_s=math.inf, downtime_limit_s=0.1),
    )
    parts = _calibrating(Designed(path, "", scenario), seed, nursery, path).outcome.downtime_parts_s
    return parts["final_copy_s"] + parts["load_s"]


def _filled(one: Designed, fill: str) -> Designed:
    guest = dataclasses.replace(one.scenario.guest, fill=fill)
    return one._replace(scenario=dataclasses.replace(one.scenario, guest=guest))


def _calibrating(one: Designed, seed: int, nursery: Nursery, path: str = PATHS[0]) -> Trace:
    print(f"calibrating: {one.name}", flush=True)
    return ran(Cell(-1, one.scenario, path), seed, nursery)[0]


def checked(file: Path | None = None) -> list[grid.Checked]:
    """Return every run of a table beside what its scenario and its machine's constants predict."""
    return [grid.checked(one, one["downtime_s"]) for one in data.harness_grid(file)]


def main() -> None:
    """Run the grid, or compare one with predictions."""
    asked = grid.parser_of(__doc__, CELLS).parse_args()
    if asked.check:
        grid.compare(checked(asked.check), asked)
        return
    part = grid.part_of(asked.output)
    with undisturbed(), Nursery() as nursery:
        hosts = measured_hosts(nursery)
        grid.run_all(range(asked.first, asked.first + asked.cells), part, lambda n, k: row(n, k, nursery))
    grid.pack(part, asked.output, hosts=json.dumps(hosts), command="python -m tests.verification.harness_grid")


if __name__ == "__main__":
    main()
