"""A Linux with an application that is profiled while it works, then migrated for real, against the prediction.

    python -m tests.verification.profiled_linux [GUEST] [--operations 1000] [--repeats 3] [--memory 384] ...

`migkit qemu image` has made the guest. Each repeat boots it, profiles it by QEMU's own counting and then from outside
for at most 15 s each, and moves it soon after under a cap of 30 MiB/s; only its memory size and what QEMU says are
known. It goes before other processes where that is permitted.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from migkit import predict
from migkit.cli.qemu_profile import measured
from migkit.errors import MigkitError
from migkit.models.result import Prediction
from migkit.qemu.capture import Options, capture
from migkit.qemu.guests.booting import GUESTS
from migkit.qemu.machine import QEMU
from migkit.scenario import Guest, Policy, Scenario
from migkit.traces import Outcome, Trace
from migkit.units import MIB
from tests.verification.qemu_migration import undisturbed

MEANS = ("monitor", "process")
LONGEST_S = 15.0
LONGER_S = 3.0  # that the last pass, and what follows it, may take


def case(memory_mib: int, cap_mib_per_s: float) -> Scenario:
    """Return the migration of a guest of which nothing but its size is known."""
    policy = Policy(name="qemu-7", max_bandwidth_bytes_per_s=cap_mib_per_s * MIB, downtime_limit_s=0.3)
    return Scenario(guest=Guest(memory_bytes=memory_mib * MIB), policy=dataclasses.replace(policy, time_limit_s=90.0))


def profiled_and_moved(
    what: Scenario, options: Options, means: Sequence[str] = MEANS
) -> tuple[Trace, dict[str, Scenario], list[MigkitError]]:
    """Return the trace, what the guest was found to be by each means, and what could not be measured."""
    found: dict[str, Scenario] = {}
    problems: list[MigkitError] = []
    begun = threading.Event()

    def profile() -> None:
        begun.wait()
        asyncio.set_event_loop(None)
        for one in means:
            try:
                found[one] = measured(options.monitor, one, 0.05, LONGEST_S, True)[2]
            except MigkitError as error:
                problems.append(error)

    thread = threading.Thread(target=profile, daemon=True)
    thread.start()
    trace = capture(what, options, begun=begun.set)
    thread.join()
    return trace, found, problems


def compared(told: Prediction, real: Outcome) -> tuple[float, float, float]:
    """Return errors of total time and bytes, as shares, and that of the downtime [s]."""
    return (
        told.total_time_s / real.total_time_s - 1.0,
        told.transferred_bytes / real.transferred_bytes - 1.0,
        told.downtime_s - real.downtime_s,
    )


def main() -> None:
    """Print one line a repeat and means."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("guest", nargs="?", default="redis", choices=GUESTS[1:])
    parser.add_argument("--operations", type=float, help="of the application a second [all it can]")
    parser.add_argument("--scale", type=int, help="of the tables of PostgreSQL")
    parser.add_argument("--clients", type=int, help="of PostgreSQL")
    parser.add_argument("--memory", type=int, default=384, help="of the guest [MiB]")
    parser.add_argument("--cap", type=float, default=30.0, help="of the migration [MiB/s]")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--qemu", default=QEMU, help="a QEMU binary, or a folder of another Debian")
    parser.add_argument("--means", choices=MEANS, action="append", help="by which to profile [both]")
    asked = parser.parse_args()
    loads = {name: getattr(asked, name) for name in ("scale", "clients") if getattr(asked, name) is not None}
    errors: dict[str, list[tuple[float, float, float]]] = {}
    with undisturbed() as permitted:
        if not permitted:
            print("ordinary priority: other processes disturb the runs; root can go before them", file=sys.stderr)
        for _ in range(asked.repeats):
            with tempfile.TemporaryDirectory() as folder:
                means = asked.means or MEANS
                options = Options(
                    qemu=asked.qemu,
                    guest=asked.guest,
                    operations_per_s=asked.operations,
                    loads=loads,
                    warm_up_s=len(means) * (LONGEST_S + LONGER_S),
                    monitor=Path(folder) / "vm.qmp",
                )
                what = case(asked.memory, asked.cap)
                trace, found, problems = profiled_and_moved(what, options, means)
            for means, one in report(asked.guest, trace, found).items():
                errors.setdefault(means, []).append(one)
            for problem in problems:
                print(f"  not measured: {problem}", flush=True)
    for means, some in errors.items():
        time, bytes_, downtime_s = (median(map(abs, column)) for column in zip(*some, strict=True))
        print(
            f"by {means}: {len(some)} runs, off in the median by {time:.1%} of the total time, {bytes_:.1%} of the "
            f"bytes, {1e3 * downtime_s:.0f} ms of downtime"
        )


def report(name: str, trace: Trace, found: dict[str, Scenario]) -> dict[str, tuple[float, float, float]]:
    """Print what came to pass and what was told by each means; return the errors of those that converged."""
    real = trace.outcome
    print(
        f"{name}: {real.verdict}, {real.total_time_s:.2f} s, {real.transferred_bytes / MIB:.0f} MiB, "
        f"{real.iterations} rounds, downtime {1e3 * real.downtime_s:.0f} ms; withheld "
        f"{trace.machine['withheld_s']:.2f} s",
        flush=True,
    )
    errors = {}
    for means, one in found.items():
        told = predict(one)
        both = real.verdict == told.verdict == "converges"
        error = errors[means] = compared(told, real) if both else (float("nan"),) * 3
        interval = "[{:.2f}, {:.2f}]".format(*told.interval.total_time_s) if told.interval else "none"
        print(
            f"  by {means}: {told.verdict}, {told.total_time_s:.2f} s ({error[0]:+.1%}, 90 % {interval}), "
            f"{told.transferred_bytes / MIB:.0f} MiB ({error[1]:+.1%}), {told.iterations} rounds, "
            f"downtime {1e3 * told.downtime_s:.0f} ms, zero {one.guest.zero_bytes / MIB:.0f} MiB, classes "
            f"{[(c.region_bytes // MIB, round(c.writes_per_s), c.kind, c.zero_share) for c in one.guest.dirty]}",
            flush=True,
        )
    return errors


if __name__ == "__main__":
    main()
