"""Real migrations over a grid of guests, limits and strategies by several QEMUs: what ``data/qemu/grid.parquet`` has.

    python -m tests.verification.qemu_grid --cells 320 --qemu qemu-system-x86_64 --qemu FOLDER -o grid.parquet
    python -m tests.verification.qemu_grid --check data/qemu/grid.parquet

A cell is drawn from its number. What people choose (strategy, layout, content, phases, growth, processors) goes
through its values in turn, so that each is met with each; sizes, rates and limits are drawn evenly by their
logarithm. Each tenth cell runs three times. Runs that are done are kept beside the output, so that a series which
was ended goes on where it was. Keep the machine quiet meanwhile: a run is as long as real time.
"""

from __future__ import annotations

import argparse
import json
import math
import random
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from migkit import DirtyClass, Guest, Host, Policy, Scenario, Strategy, predict
from migkit.errors import MigkitError
from migkit.policies import systems
from migkit.qemu.capture import Options, capture
from migkit.qemu.machine import QEMU
from migkit.scenario.form import schema
from migkit.traces import Trace
from migkit.units import MIB, PAGE_BYTES
from tests.verification.qemu_host import measured_host
from tests.verification.qemu_migration import TRIES, outcome_of, undisturbed

TIME_LIMIT_S = 10.0
REPEATED = 10  # each so many-th cell runs three times
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
    repeats: int


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
    repeats = 3 if number % REPEATED == 0 else 1
    return Cell(number, Scenario(guest=guest, policy=policy, strategy=strategy), processors, repeats)


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
    runs: list[Trace] = []
    while len(runs) < TRIES and all(outcome_of(trace).disturbed for trace in runs):
        runs.append(capture(one.scenario, options))
    return min(runs, key=lambda trace: trace.machine["withheld_s"] / trace.outcome.total_time_s)


def row(one: Cell, repeat: int, trace: Trace) -> dict[str, Any]:
    """Return a run as a row of the table."""
    machine, said = trace.machine, outcome_of(trace)
    rounds = trace.rounds.to_pydict()
    return {
        "cell": one.number,
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
        "rounds": [dict(zip(rounds, values, strict=True)) for values in zip(*rounds.values(), strict=True)],
        "kernel": machine["kernel"],
        "processors": machine["cpus"],
    }


def run_all(numbers: range, qemus: list[str], part: Path) -> None:
    """Run the cells whose runs are not in ``part`` yet, and add them to it."""
    done = {(one["cell"], one["repeat"]) for one in _lines(part)}
    with undisturbed(), part.open("a") as stream:
        for number in numbers:
            one, qemu = cell(number), qemus[number % len(qemus)]
            for repeat in range(one.repeats):
                if (number, repeat) in done:
                    continue
                try:
                    result = row(one, repeat, ran(one, qemu, 1000 * number + repeat))
                except MigkitError as error:
                    print(f"{number:4} {repeat}: {type(error).__name__}: {error}", flush=True)
                    continue
                stream.write(json.dumps(result) + "\n")
                stream.flush()
                print(f"{number:4} {repeat} {result['verdict']:10} {result['total_time_s']:7.3f} s", flush=True)


def _lines(part: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in part.read_text().splitlines()] if part.exists() else []


def pack(part: Path, output: Path, qemus: list[str]) -> None:
    """Write the runs as one table, with this machine's speed under each QEMU in its metadata."""
    hosts = {qemu: measured_host(qemu) for qemu in qemus}
    known = {
        qemu: {
            "goodput_bytes_per_s": float(host.goodput_bytes_per_s),
            "postcopy_bytes_per_s": float(host.postcopy_bytes_per_s),
            "zero_page_cpu_s": float(host.zero_page_cpu_s),
            "postcopy_zero_page_cpu_s": float(host.postcopy_zero_page_cpu_s),
            "command_s": float(host.command_s),
        }
        for qemu, host in hosts.items()
    }
    table = pa.Table.from_pylist(sorted(_lines(part), key=lambda one: (one["cell"], one["repeat"])))
    meta = {"hosts": json.dumps(list(known.values())), "command": "python -m tests.verification.qemu_grid"}
    beside = output.with_suffix(".new")
    pq.write_table(table.replace_schema_metadata(meta), beside, compression="zstd")
    beside.replace(output)


class Checked(NamedTuple):
    """A run beside its prediction."""

    kind: str
    right: bool
    total_time_error: float
    bytes_error: float
    downtime_error_s: float


def checked(path: Path) -> list[Checked]:
    """Return every run of a table beside what its scenario, its version and its machine's speed predict."""
    table = pq.read_table(path)
    hosts = json.loads(table.schema.metadata[b"hosts"])
    return [_checked(one, hosts[one["cell"] % len(hosts)]) for one in table.to_pylist()]


def _checked(one: dict[str, Any], host: dict[str, float]) -> Checked:
    scenario = schema.from_record(json.loads(one["scenario"]))
    policy = Policy(
        name=systems.of_qemu(one["qemu_version"]),
        max_bandwidth_bytes_per_s=scenario.policy.max_bandwidth_bytes_per_s,
        downtime_limit_s=scenario.policy.downtime_limit_s,
        time_limit_s=scenario.policy.time_limit_s,
    )
    result = predict(
        Scenario(
            guest=scenario.guest, policy=policy, strategy=scenario.strategy, host=Host(platform="qemu-tcg", **host)
        )
    )
    strategy = scenario.strategy
    kind = strategy.name
    if kind == "precopy":
        marks = ("auto_converge", "xbzrle", "tls")
        kind = next((name for name in marks if getattr(strategy, name)), "streams" if strategy.streams > 1 else kind)
    dirty = scenario.guest.dirty
    if kind == "precopy" and any(one.phases or one.kind == "growth" for one in dirty):
        kind = "growth" if any(one.kind == "growth" for one in dirty) else "phases"
    # QEMU counts a guest that was stopped first, and after a switch to post-copy it counts more than the pause.
    pause_s = one["downtime_s"] if strategy.name == "precopy" else one["pause_s"]
    return Checked(
        kind,
        result.verdict == one["verdict"],
        result.total_time_s / one["total_time_s"] - 1.0,
        result.transferred_bytes / max(one["transferred_bytes"], 1) - 1.0,
        result.downtime_s - pause_s,
    )


def summary(runs: list[Checked]) -> str:
    """Return the errors of runs in a line."""
    done = [run for run in runs if run.right and math.isfinite(run.total_time_error)]
    right = f"verdicts {sum(run.right for run in runs)} of {len(runs)} right"
    if not done:
        return right
    times, sizes = ([abs(getattr(run, name)) for run in done] for name in ("total_time_error", "bytes_error"))
    downtimes = [abs(run.downtime_error_s) for run in done]
    return (
        f"total time: median {median(times):.2%}, worst {max(times):.1%}; bytes: median {median(sizes):.2%}; "
        f"downtime: median {1e3 * median(downtimes):.1f} ms; {right}"
    )


def main() -> None:
    """Run the grid, or compare one with predictions."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=320)
    parser.add_argument("--first", type=int, default=0, help="number of the first cell")
    parser.add_argument("--qemu", action="append", help="a QEMU binary, or a folder of another Debian; repeatable")
    parser.add_argument("-o", "--output", type=Path, help="the table; runs are kept beside it until it is written")
    parser.add_argument("--check", type=Path, help="compare this table with predictions, and run nothing")
    asked = parser.parse_args()
    if asked.check:
        runs = checked(asked.check)
        for kind in sorted({run.kind for run in runs}):
            print(f"{kind:13} {summary([run for run in runs if run.kind == kind])}")
        print(f"{'all':13} {summary(runs)}")
        return
    part = asked.output.with_suffix(".part.jsonl")
    qemus = asked.qemu or [QEMU]
    run_all(range(asked.first, asked.first + asked.cells), qemus, part)
    pack(part, asked.output, qemus)


if __name__ == "__main__":
    main()
