"""Guests that are profiled while they run, then migrated for real, against the prediction from the profile alone.

    python -m tests.verification.profiled [NUMBER] [SEED]

Each guest of 256 MiB has one or two page classes with random sizes and rates, half of them with a sweep, a quarter
with phases. `migkit qemu profile` measures it for at most 20 s before it moves, under the cap and the limit that its
QEMU has; the scenario is not shown to it.
"""

from __future__ import annotations

import asyncio
import dataclasses
import math
import random
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from migkit import predict
from migkit.cli.qemu_profile import measured
from migkit.errors import MigkitError
from migkit.qemu.capture import Options, capture
from migkit.scenario import DirtyClass, Guest, Host, Policy, Scenario
from migkit.traces import Trace
from migkit.units import MIB

WARM_UP_S = 27.0
FILLED_S = 6.0  # a guest has filled its memory by then
LONGEST_S = 20.0


def scenario(draw: random.Random) -> Scenario:
    """Return one guest and its cap."""
    dirty = []
    for _ in range(draw.choice((1, 2))):
        size = draw.choice((8, 16, 24, 32)) * MIB
        kind = "sweep" if draw.random() < 0.25 else "random"
        phases = ((1.0, 1.0), (1.0, 0.0)) if draw.random() < 0.25 else ()
        rate = math.exp(draw.uniform(math.log(200.0), math.log(4000.0)))
        dirty.append(DirtyClass(region_bytes=size, writes_per_s=rate, kind=kind, phases=phases))
    guest = Guest(memory_bytes=256 * MIB, zero_bytes=128 * MIB, dirty=tuple(dirty))
    policy = Policy(name="qemu-7", max_bandwidth_bytes_per_s=draw.choice((16, 24, 32)) * MIB, downtime_limit_s=0.1)
    return Scenario(guest=guest, policy=dataclasses.replace(policy, time_limit_s=40.0))


def profiled_and_moved(case: Scenario, folder: Path) -> tuple[Trace, Scenario]:
    """Return the trace of a migration, and its scenario with the guest as it was profiled during its warm-up."""
    socket = folder / "vm.qmp"
    found: list[Scenario] = []
    problems: list[MigkitError] = []

    def profile() -> None:
        try:
            while not socket.exists():
                time.sleep(0.05)
            time.sleep(FILLED_S)
            asyncio.set_event_loop(None)
            found.append(measured(socket, "process", 0.05, LONGEST_S, True)[2])
        except MigkitError as error:
            problems.append(error)

    thread = threading.Thread(target=profile)
    thread.start()
    trace = capture(case, Options(warm_up_s=WARM_UP_S, monitor=socket))
    thread.join()
    if problems:
        raise problems[0]
    return trace, dataclasses.replace(case, guest=found[0].guest, host=Host(firmware_bytes=0))


def described(one: DirtyClass) -> tuple[int, int, str, bool]:
    """Return size [MiB], rate [writes/s], kind, and whether it has phases."""
    return one.region_bytes // MIB, round(one.writes_per_s), one.kind, bool(one.phases)


def main() -> None:
    """Print one line a guest, and what they come to."""
    number, seed = (int(sys.argv[at]) if len(sys.argv) > at else default for at, default in ((1, 6), (2, 1)))
    draw, errors, holds, verdicts = random.Random(seed), [], [], []
    for at in range(number):
        case = scenario(draw)
        with tempfile.TemporaryDirectory() as folder:
            trace, known = profiled_and_moved(case, Path(folder))
        told, truth = predict(known), predict(case, level=None)
        real = trace.outcome
        verdicts.append((told.verdict == "converges") == (real.verdict == "converges"))
        error = told.total_time_s / real.total_time_s - 1.0 if real.verdict == "converges" else math.nan
        low, high = told.interval.total_time_s if told.interval else (math.nan, math.nan)
        if real.verdict == "converges":
            errors.append(abs(error))
            holds.append(low <= real.total_time_s <= high)
        print(
            f"{at}: {real.verdict} {real.total_time_s:.2f} s, from the profile {told.verdict} "
            f"{told.total_time_s:.2f} s ({error:+.1%}), from the scenario {truth.verdict} "
            f"{truth.total_time_s:.2f} s, classes {[described(one) for one in case.guest.dirty]}",
            flush=True,
        )
    print(
        f"median {np.median(errors):.1%}, worst {max(errors):.1%}, verdicts {np.mean(verdicts):.0%}, "
        f"90 % interval holds {np.mean(holds):.0%}"
    )


if __name__ == "__main__":
    main()
