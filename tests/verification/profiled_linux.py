"""A Linux with an application that is profiled while it works, then migrated for real, against the prediction.

    python -m tests.verification.profiled_linux [GUEST] [OPERATIONS] [REPEATS] [QEMU]

`migkit qemu image` has made the guest. Each repeat boots it, profiles it from outside and then by QEMU's own counting
for at most 15 s each, and moves it under a cap of 30 MiB/s; only its memory size and QEMU's cap and limit are known.
"""

from __future__ import annotations

import asyncio
import dataclasses
import sys
import tempfile
import threading
from pathlib import Path

from migkit import predict
from migkit.cli.qemu_profile import measured
from migkit.errors import MigkitError
from migkit.qemu.capture import Options, capture
from migkit.qemu.machine import QEMU
from migkit.scenario import Guest, Host, Policy, Scenario
from migkit.traces import Trace
from migkit.units import MIB

MEANS = ("process", "monitor")
LONGEST_S = 15.0
WARM_UP_S = 45.0
CASE = Scenario(
    guest=Guest(memory_bytes=384 * MIB),
    policy=Policy(name="qemu-7", max_bandwidth_bytes_per_s=30 * MIB, downtime_limit_s=0.3, time_limit_s=90.0),
)


def profiled_and_moved(options: Options) -> tuple[Trace, dict[str, Scenario], list[MigkitError]]:
    """Return the trace, what the guest was found to be by each means, and what could not be measured."""
    found: dict[str, Scenario] = {}
    problems: list[MigkitError] = []
    begun = threading.Event()

    def profile() -> None:
        begun.wait()
        asyncio.set_event_loop(None)
        for means in MEANS:
            try:
                found[means] = measured(options.monitor, means, 0.05, LONGEST_S, True)[2]
            except MigkitError as error:
                problems.append(error)

    thread = threading.Thread(target=profile, daemon=True)
    thread.start()
    trace = capture(CASE, options, begun=begun.set)
    thread.join()
    return trace, found, problems


def main() -> None:
    """Print one line a repeat and means."""
    given = sys.argv[1:]
    name, per_s, repeats, qemu = (*given, *("redis", "1000", "3", QEMU)[len(given) :])
    for _ in range(int(repeats)):
        with tempfile.TemporaryDirectory() as folder:
            monitor = Path(folder) / "vm.qmp"
            options = Options(
                qemu=qemu, guest=name, operations_per_s=float(per_s), warm_up_s=WARM_UP_S, monitor=monitor
            )
            trace, found, problems = profiled_and_moved(options)
        real = trace.outcome
        print(
            f"{name}: {real.verdict}, {real.total_time_s:.2f} s, {real.transferred_bytes / MIB:.0f} MiB, "
            f"{real.iterations} rounds, downtime {1e3 * real.downtime_s:.0f} ms; withheld "
            f"{trace.machine['withheld_s']:.2f} s",
            flush=True,
        )
        for means, case in found.items():
            told = predict(dataclasses.replace(case, host=Host(firmware_bytes=0)))
            error = told.total_time_s / real.total_time_s - 1.0
            interval = "[{:.2f}, {:.2f}]".format(*told.interval.total_time_s) if told.interval else "none"
            print(
                f"  by {means}: {told.verdict}, {told.total_time_s:.2f} s ({error:+.1%}, 90 % {interval}), "
                f"{told.transferred_bytes / MIB:.0f} MiB, downtime {1e3 * told.downtime_s:.0f} ms, "
                f"zero {case.guest.zero_bytes / MIB:.0f} MiB, classes "
                f"{[(one.region_bytes // MIB, round(one.writes_per_s)) for one in case.guest.dirty]}",
                flush=True,
            )
        for problem in problems:
            print(f"  not measured: {problem}", flush=True)


if __name__ == "__main__":
    main()
