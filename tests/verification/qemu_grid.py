"""Real migrations over a grid of guests, limits and strategies by several QEMUs: what ``data/qemu/grid.parquet`` has.

    python -m tests.verification.qemu_grid --cells 320 --qemu qemu-system-x86_64 --qemu FOLDER -o grid.parquet
    python -m tests.verification.qemu_grid --check data/qemu/grid.parquet

A cell is drawn from its number. What people choose (strategy, layout, content, phases, growth, processors) goes
through its values in turn, so that each is met with each; sizes, rates and limits are drawn evenly by their
logarithm. Each tenth cell runs three times. Runs that are done are kept beside the output, so that a series which
was ended goes on where it was. Keep the machine quiet meanwhile: a run is as long as real time.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from migkit import DirtyClass, Guest, Policy, Scenario, Strategy
from migkit.qemu.capture import Options, capture
from migkit.qemu.machine import QEMU
from migkit.scenario.form import schema
from migkit.traces import Trace, data
from migkit.units import MIB, PAGE_BYTES
from tests.verification import grid
from tests.verification.qemu_host import measured_host
from tests.verification.qemu_migration import outcome_of, undisturbed

TIME_LIMIT_S = 10.0
PLAIN = Strategy()
# In turns: of 20 cells, so many of each.
STRATEGIES = (
    *[PLAIN] * 7,
    *[Strategy(auto_converge=True)] * 3,
    *[Strategy(xbzrle=True)] * 2,
    Strategy(streams=2),
    Strategy(streams=4),
    Strategy(tls=True),
    Strategy(name="stopcopy"),
    Strategy(name="postcopy"),
    *[Strategy(name="hybrid")] * 3,
)


class Cell(NamedTuple):
    """What one number stands for."""

    number: int
    scenario: Scenario
    processors: int


def cell(number: int) -> Cell:
    """Return the cell of a number."""
    draw = random.Random(f"grid {number}")
    strategy = STRATEGIES[number % len(STRATEGIES)]
    if strategy.name == "hybrid":
        after = {"postcopy_after_rounds": draw.choice([1, 2, 3])} if number % 3 else {}
        after = after or {"postcopy_after_s": round(draw.uniform(0.2, 3.0), 2)}
        strategy = Strategy(name="hybrid", **after)
    turn = number // len(STRATEGIES)
    memory_bytes = draw.choice([256, 384, 512, 768, 1024, 1280]) * MIB
    classes = list(_classes(draw, memory_bytes, phased=turn % 5 == 4))
    if turn % 4 == 3:
        last = classes[-1]
        classes[-1] = DirtyClass(region_bytes=last.region_bytes, writes_per_s=last.writes_per_s, kind="growth")
    written = sum(one.region_bytes for one in classes)
    once_bytes = int(draw.choice([0.0, 0.1, 0.4]) * (memory_bytes - 48 * MIB - written) / PAGE_BYTES) * PAGE_BYTES
    guest = Guest(
        memory_bytes=memory_bytes,
        zero_bytes=memory_bytes - written - once_bytes,
        dirty=tuple(classes),
        layout=("blocks", "interleaved")[turn % 2],
        fill=("random", "random", "constant")[number % 3],
        capacity_writes_per_s=5e6,
    )
    policy = Policy(
        max_bandwidth_bytes_per_s=float(int(10 ** draw.uniform(7.4, 8.3))),
        downtime_limit_s=round(10 ** draw.uniform(-1.7, 0.0), 3),
        time_limit_s=TIME_LIMIT_S,
    )
    processors = 2 if number % 8 == 7 else 1
    return Cell(number, Scenario(guest=guest, policy=policy, strategy=strategy), processors)


def _classes(draw: random.Random, memory_bytes: int, phased: bool) -> Iterator[DirtyClass]:
    room_pages = (memory_bytes - 56 * MIB) // PAGE_BYTES
    for _ in range(draw.choice([1, 2, 2, 3])):
        pages = min(room_pages // 2, int(2 ** draw.uniform(12.0, 16.4)))
        room_pages -= pages
        phases = ()
        if phased:
            phases = (
                (round(draw.uniform(0.3, 2.5), 2), 1.0),
                (round(draw.uniform(0.3, 2.5), 2), draw.choice([0.0, 0.3])),
            )
        yield DirtyClass(
            region_bytes=pages * PAGE_BYTES,
            writes_per_s=int(10 ** draw.uniform(1.5, 4.5)),
            kind="sweep" if draw.random() < 0.3 else "random",
            phases=phases,
        )


def ran(one: Cell, qemu: str, seed: int) -> Trace:
    """Run a cell; again where a hypervisor withheld the processors for long. Return the least disturbed run."""
    options = Options(qemu=qemu, seed=seed, warm_up_s=1.0, processors=one.processors)
    return grid.least_disturbed(
        lambda: capture(one.scenario, options),
        lambda trace: float(trace.machine["withheld_s"] / trace.outcome.total_time_s),
    )


def row(number: int, repeat: int, qemu: str) -> grid.Row:
    """Run a cell; return the run as a row of the table."""
    trace = ran(cell(number), qemu, 1000 * number + repeat)
    machine, said = trace.machine, outcome_of(trace)
    return {
        "cell": number,
        "repeat": repeat,
        "qemu_version": machine["qemu_version"],
        "accelerator": machine["accelerator"],
        "vcpus": machine["vcpus"],
        "capabilities": machine["capabilities"],
        "scenario": json.dumps(schema.to_record(trace.scenario), sort_keys=True),
        "verdict": trace.outcome.verdict,
        "total_time_s": said.total_time_s,
        "downtime_s": said.downtime_s,
        "pause_s": said.pause_s,
        "transferred_bytes": said.transferred_bytes,
        "normal_pages": said.normal_pages,
        "zero_pages": said.zero_pages,
        "iterations": said.dirty_sync_count,
        "postcopy_requests": said.postcopy_requests,
        "max_throttle_percent": said.max_throttle_percent,
        "withheld_s": said.stolen_s,
        "rounds": grid.rounds_of(trace),
        "kernel": machine["kernel"],
        "processors": machine["cpus"],
    }


def speeds(qemu: str) -> dict[str, float]:
    """Return this machine's speed under a QEMU."""
    host = measured_host(qemu)
    return {
        "goodput_bytes_per_s": float(host.goodput_bytes_per_s),
        "postcopy_bytes_per_s": float(host.postcopy_bytes_per_s),
        "zero_page_cpu_s": float(host.zero_page_cpu_s),
        "postcopy_zero_page_cpu_s": float(host.postcopy_zero_page_cpu_s),
        "command_s": float(host.command_s),
    }


def checked(file: Path | None = None) -> list[grid.Checked]:
    """Return every run of a table beside what its scenario, its version and its machine's speed predict."""
    return [_checked(one) for one in data.qemu_grid(file)]


def _checked(one: grid.Row) -> grid.Checked:
    # QEMU counts a guest that was stopped first, and after a switch to post-copy it counts more than the pause.
    is_plain = one["scenario"].strategy.name == "precopy"
    return grid.checked(one, one["downtime_s"] if is_plain else one["pause_s"])


def main() -> None:
    """Run the grid, or compare one with predictions."""
    parser = grid.parser_of(__doc__, 320)
    parser.add_argument("--qemu", action="append", help="a QEMU binary, or a folder of another Debian; repeatable")
    asked = parser.parse_args()
    if asked.check:
        grid.compare(checked(asked.check), asked)
        return
    part, qemus = grid.part_of(asked.output), asked.qemu or [QEMU]
    with undisturbed():
        numbers = range(asked.first, asked.first + asked.cells)
        grid.run_all(numbers, part, lambda number, repeat: row(number, repeat, qemus[number % len(qemus)]))
    hosts = json.dumps([speeds(qemu) for qemu in qemus])
    grid.pack(part, asked.output, hosts=hosts, command="python -m tests.verification.qemu_grid")


if __name__ == "__main__":
    main()
