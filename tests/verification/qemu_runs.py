"""Real migrations by any QEMU on this machine, each drawn from a seed, against what its scenario predicts.

    python -m tests.verification.qemu_runs --runs 20 --seed 1

Guests of known page classes (``migkit/qemu/guests``), caps, limits and strategies of the kind of the
reference runs (``data/qemu``) are drawn anew. Nothing is fitted: a prediction is given the scenario, with the
version of QEMU or without it. Keep the machine quiet meanwhile: a run is as long as real time.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import itertools
import json
import random
import sys
from pathlib import Path
from statistics import median

from migkit import DirtyClass, Guest, Host, Policy, Prediction, Scenario, Strategy, predict
from migkit.policies import systems
from migkit.qemu.machine import QEMU
from migkit.units import MIB, PAGE_BYTES
from tests.verification.qemu_host import measured_host
from tests.verification.qemu_migration import Outcome, migrate, undisturbed

TIME_LIMIT_S = 15.0
STATUS = {"converges": "completed", "timed_out": "timeout"}


def drawn(seed: int) -> Scenario:
    """Return the scenario that a seed stands for."""
    draw = random.Random(seed)
    memory_bytes = draw.choice([384, 512, 768, 1024, 1536]) * MIB
    room_pages = (memory_bytes - 56 * MIB) // PAGE_BYTES
    dirty = []
    for _ in range(draw.choice([1, 2, 2, 3])):
        pages = min(room_pages // 2, int(2 ** draw.uniform(12.0, 16.6)))
        room_pages -= pages
        kind = "sweep" if draw.random() < 0.3 else "random"
        rate = int(10 ** draw.uniform(1.5, 4.4))
        dirty.append(DirtyClass(region_bytes=pages * PAGE_BYTES, writes_per_s=rate, kind=kind))
    strategies = [Strategy()] * 7 + [Strategy(auto_converge=True)]
    strategies += [Strategy(name="hybrid", postcopy_after_s=round(draw.uniform(0.3, 4.0), 2))] * 2
    strategies += [Strategy(name="postcopy")]
    return Scenario(
        guest=Guest(
            memory_bytes=memory_bytes,
            zero_bytes=memory_bytes - sum(c.region_bytes for c in dirty),
            dirty=tuple(dirty),
            layout="blocks",
            fill=draw.choice(["random", "constant"]),
            capacity_writes_per_s=5e6,
        ),
        policy=Policy(
            max_bandwidth_bytes_per_s=float(int(10 ** draw.uniform(7.3, 8.2))),
            downtime_limit_s=round(10 ** draw.uniform(-1.7, 0.0), 3),
            time_limit_s=TIME_LIMIT_S,
            max_postcopy_bandwidth_bytes_per_s=float(int(10 ** draw.uniform(7.6, 8.4))),
        ),
        strategy=draw.choice(strategies),
    )


def row(seed: int, scenario: Scenario, version: str, outcome: Outcome) -> dict:
    """Return a run as a row of ``data/qemu/reference_runs.csv``."""
    strategy, policy = scenario.strategy, scenario.policy
    capability = "postcopy-ram" if strategy.name == "hybrid" else "auto-converge" if strategy.auto_converge else ""
    measured = dataclasses.asdict(outcome)
    del measured["stolen_s"], measured["pause_s"]
    kept = ("region_bytes", "writes_per_s", "kind", "sweep_offset_bytes")
    return {
        "run": f"{seed}-{version}",
        "case": f"{seed}",
        "qemu_version": version,
        "accelerator": "tcg",
        "memory_bytes": scenario.guest.memory_bytes,
        "fill": scenario.guest.fill,
        "classes": json.dumps([{name: getattr(one, name) for name in kept} for one in scenario.guest.dirty]),
        "max_bandwidth_bytes_per_s": policy.max_bandwidth_bytes_per_s,
        "downtime_limit_s": policy.downtime_limit_s,
        "capabilities": capability,
        "postcopy_after_s": "" if strategy.postcopy_after_s is None else strategy.postcopy_after_s,
        "time_limit_s": policy.time_limit_s,
        **measured,
    }


@dataclasses.dataclass(frozen=True)
class Run:
    """A real migration beside its prediction."""

    seed: int
    version: str
    scenario: Scenario
    real: Outcome
    predicted: Prediction

    @property
    def strategy(self) -> str:
        """What the run was asked to do, in a word."""
        strategy = self.scenario.strategy
        return "auto-converge" if strategy.auto_converge else strategy.name

    @property
    def right(self) -> bool:
        """Whether the verdict is that of the real run."""
        return STATUS.get(self.predicted.verdict) == self.real.status

    @property
    def total_time_error(self) -> float:
        """Of the total time, relative."""
        return self.predicted.total_time_s / self.real.total_time_s - 1.0

    @property
    def bytes_error(self) -> float:
        """Of the bytes, relative."""
        return self.predicted.transferred_bytes / self.real.transferred_bytes - 1.0

    @property
    def downtime_error_s(self) -> float:
        """Of the downtime [s]."""
        return self.predicted.downtime_s - self.real.downtime_s

    def __str__(self) -> str:
        """Return a line of the table."""
        real, predicted = self.real, self.predicted
        errors = f"{self.total_time_error:7.1%} {self.bytes_error:7.1%} {1e3 * self.downtime_error_s:8.1f}"
        verdict = "right" if self.right else f"WRONG: {predicted.verdict}, was {real.status}"
        times = f"{real.total_time_s:7.3f} {predicted.total_time_s:9.3f}"
        disturbed = f", {self.real.stolen_s:.2f} s withheld by a hypervisor" if self.real.disturbed else ""
        pause = f"{1e3 * real.downtime_s:7.0f} {1e3 * real.pause_s:7.0f}"
        return f"{self.seed:>6} {self.version:>7} {self.strategy:13} {times} {errors} {pause}  {verdict}{disturbed}"


HEADER = "  seed    QEMU strategy       total s predicted   error   bytes  down ms said ms real ms  verdict"


def compared(seed: int, scenario: Scenario, version: str, real: Outcome, known: bool, host: Host) -> Run:
    """Predict a scenario, with the version of QEMU known or not."""
    name = systems.of_qemu(version) if known else "qemu"
    predicted = predict(
        dataclasses.replace(scenario, host=host, policy=dataclasses.replace(scenario.policy, name=name))
    )
    return Run(seed, version, scenario, real, predicted)


def summary(runs: list[Run]) -> str:
    """Return the errors of runs in a line."""
    done = [run for run in runs if run.right and run.real.status == "completed"]
    right = f"verdicts {sum(run.right for run in runs)} of {len(runs)} right"
    if not done:
        return right
    times = [abs(run.total_time_error) for run in done]
    sizes = [abs(run.bytes_error) for run in done]
    downtimes = [abs(run.downtime_error_s) for run in done]
    pushed = [abs(run.total_time_error) for run in done if run.strategy in ("hybrid", "postcopy")]
    push = f"; with a push median {median(pushed):.2%}, worst {max(pushed):.1%}" if pushed else ""
    return (
        f"total time: median {median(times):.2%}, worst {max(times):.1%}{push}; bytes: median {median(sizes):.2%}; "
        f"downtime: median {1e3 * median(downtimes):.1f} ms; {right}"
    )


def floor(runs: list[Run]) -> str:
    """Return in a line what no prediction can beat: how far apart runs of the same scenario are."""
    times: dict[tuple[int, str], list[float]] = {}
    for run in runs:
        if run.real.status == "completed":
            times.setdefault((run.seed, run.version), []).append(run.real.total_time_s)
    apart = [abs(other / each[0] - 1.0) for each in times.values() for other in each[1:]]
    if not apart:
        return "not repeated; --repeats 2 shows how far apart runs of the same scenario are"
    return f"total time of a repetition: median {median(apart):.2%} off, worst {max(apart):.1%}"


def measure(qemus: list[str], seeds: range, calibrate: bool, repeats: int = 1, tell=print) -> dict[str, list[Run]]:
    """Run the scenario of each seed with each QEMU; return the runs beside both predictions of each."""
    results: dict[str, list[Run]] = {"version known": [], "version not known": []}
    hosts = {qemu: measured_host(qemu) if calibrate else Host(platform="qemu-tcg") for qemu in qemus}
    for seed in seeds:
        for qemu, repeat in itertools.product(qemus, range(repeats)):
            trace, real = migrate(qemu, drawn(seed), 1000 * seed + repeat)
            version = trace.machine["qemu_version"]
            for known, runs in zip((True, False), results.values(), strict=True):
                runs.append(compared(seed, trace.scenario, version, real, known, hosts[qemu]))
            tell(results["version known"][-1])
    return results


def write(path: str, runs: list[Run]) -> None:
    """Append runs to a table like ``data/qemu/reference_runs.csv``."""
    rows = [row(run.seed, run.scenario, run.version, run.real) for run in runs]
    with Path(path).open("a", newline="") as stream:
        table = csv.DictWriter(stream, rows[0])
        if stream.tell() == 0:
            table.writeheader()
        table.writerows(rows)


def main() -> None:
    """Run and compare from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1, help="of the first run")
    parser.add_argument("--qemu", action="append", help="a QEMU binary, or a folder of another Debian; repeatable")
    parser.add_argument("--calibrate", action="store_true", help="measure this machine's speed first, in other runs")
    parser.add_argument("--repeats", type=int, default=1, help="of each scenario")
    parser.add_argument("-o", "--output", help="append the runs to this table, as data/qemu has them")
    asked = parser.parse_args()
    print(HEADER)
    with undisturbed() as permitted:
        if not permitted:
            print("ordinary priority: other processes disturb the runs; root can go before them", file=sys.stderr)
        seeds = range(asked.seed, asked.seed + asked.runs)
        results = measure(asked.qemu or [QEMU], seeds, asked.calibrate, asked.repeats)
    for name, runs in results.items():
        print(f"{name}: {summary(runs)}")
    print(f"floor: {floor(results['version known'])}")
    if asked.output:
        write(asked.output, results["version known"])


if __name__ == "__main__":
    main()
