"""Guests that are profiled while they run, then migrated for real, against the prediction from the profile alone.

    python -m tests.verification.profiled [NUMBER] [SEED] [QEMU]

The guests of 256 MiB take turns: random writes, a sweep, phases of one class or two, a growth, or all of these.
Sizes, rates, lengths of phases and where in its cycle a guest is when it moves are drawn. `migkit qemu profile`
measures each for at most 20 s before it moves, under the cap and the limit that its QEMU has; the scenario is not
shown to it. What the profile says of a growth is carried on to the moment at which the guest moves.
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
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from migkit import predict
from migkit.calibrate.guest.followed import later
from migkit.cli.qemu_profile import measured
from migkit.errors import MigkitError
from migkit.qemu.capture import Options, capture
from migkit.qemu.machine import QEMU
from migkit.scenario import DirtyClass, Guest, Host, Policy, Scenario
from migkit.traces import Trace
from migkit.units import MIB

WARM_UP_S = 24.0
LONGEST_S = 20.0
KINDS = ("random", "sweep", "phases", "sweep with phases", "growth", "all")
GROWTH_BYTES = 64 * MIB


def scenario(draw: random.Random, kind: str) -> Scenario:
    """Return one guest and its cap."""
    dirty = [_class(draw, kind if at == 0 else draw.choice(("random", kind))) for at in range(draw.choice((1, 2)))]
    if kind in ("growth", "all"):
        rate = math.exp(draw.uniform(math.log(50.0), math.log(500.0)))
        dirty.append(DirtyClass(region_bytes=GROWTH_BYTES, writes_per_s=rate, kind="growth"))
    guest = Guest(memory_bytes=256 * MIB, zero_bytes=96 * MIB, dirty=tuple(dirty))
    policy = Policy(name="qemu-7", max_bandwidth_bytes_per_s=draw.choice((16, 24, 32)) * MIB, downtime_limit_s=0.1)
    return Scenario(guest=guest, policy=dataclasses.replace(policy, time_limit_s=40.0))


def _class(draw: random.Random, kind: str) -> DirtyClass:
    phases: tuple[tuple[float, float], ...] = ()
    if "phases" in kind or kind == "all":
        phases = ((draw.uniform(0.6, 2.0), 1.0), (draw.uniform(0.6, 2.0), draw.choice((0.0, 0.0, 0.3))))
    return DirtyClass(
        region_bytes=draw.choice((8, 16, 24, 32)) * MIB,
        writes_per_s=math.exp(draw.uniform(math.log(200.0), math.log(4000.0))),
        kind="sweep" if "sweep" in kind or kind == "all" else "random",
        phases=phases,
        phase_offset_s=draw.uniform(0.0, sum(duration_s for duration_s, _ in phases)),
    )


def profiled_and_moved(case: Scenario, folder: Path, qemu: str) -> tuple[Trace, Scenario]:
    """Return the trace of a migration, and its scenario with the guest as it was profiled during its warm-up."""
    socket = folder / "vm.qmp"
    found: list[tuple[float, Scenario]] = []
    problems: list[MigkitError] = []
    works = threading.Event()
    begun_s: list[float] = []

    def begun() -> None:
        begun_s.append(time.monotonic())
        works.set()

    def profile() -> None:
        works.wait()
        asyncio.set_event_loop(None)
        try:
            case_found = measured(socket, "process", 0.05, LONGEST_S, True)[2]
            found.append((time.monotonic(), case_found))
        except MigkitError as error:
            problems.append(error)

    thread = threading.Thread(target=profile, daemon=True)
    thread.start()
    trace = capture(case, Options(qemu=qemu, warm_up_s=WARM_UP_S, monitor=socket), begun=begun)
    thread.join()
    if problems:
        raise problems[0]
    (profiled_s, known), *_ = found
    guest = later(known.guest, begun_s[0] + WARM_UP_S - profiled_s)
    return trace, dataclasses.replace(case, guest=guest, host=Host(firmware_bytes=0))


def described(one: DirtyClass) -> str:
    """Return size, rate, kind and phases of a class."""
    phases = "".join(f" {duration_s:.2f} s at {level:.2g}" for duration_s, level in one.phases)
    return f"{one.region_bytes / MIB:.1f} MiB {one.writes_per_s:.0f}/s {one.kind}{phases}"


def summary(errors: Sequence[float], holds: Sequence[bool]) -> str:
    """Return what runs of one kind come to."""
    if not errors:
        return "none converged"
    median, worst = np.median(errors), max(errors)
    held = f"90 % interval holds {sum(holds)} of {len(holds)}"
    return f"{len(errors)} guests, median {median:.1%}, worst {worst:.1%}, {held}"


def main() -> None:
    """Print one line a guest, and what they come to by kind."""
    given = sys.argv[1:]
    number, seed, qemu = (*given, *("6", "1", QEMU)[len(given) :])
    draw, verdicts = random.Random(int(seed)), []
    errors: dict[str, list[float]] = {kind: [] for kind in KINDS}
    holds: dict[str, list[bool]] = {kind: [] for kind in KINDS}
    for at in range(int(number)):
        kind = KINDS[at % len(KINDS)]
        case = scenario(draw, kind)
        with tempfile.TemporaryDirectory() as folder:
            trace, known = profiled_and_moved(case, Path(folder), qemu)
        told, truth = predict(known), predict(trace.scenario, level=None)
        real = trace.outcome
        verdicts.append((told.verdict == "converges") == (real.verdict == "converges"))
        error = told.total_time_s / real.total_time_s - 1.0 if real.verdict == "converges" else math.nan
        low, high = told.interval.total_time_s if told.interval else (math.nan, math.nan)
        if real.verdict == "converges":
            errors[kind].append(abs(error))
            holds[kind].append(low <= real.total_time_s <= high)
        print(
            f"{at}: {kind}: {real.verdict} {real.total_time_s:.2f} s, from the profile {told.verdict} "
            f"{told.total_time_s:.2f} s ({error:+.1%}, 90 % [{low:.2f}, {high:.2f}]), from the scenario "
            f"{truth.verdict} {truth.total_time_s:.2f} s\n   is  {'; '.join(map(described, case.guest.dirty))}\n"
            f"   was found {'; '.join(map(described, known.guest.dirty))}; zero "
            f"{known.guest.zero_bytes / MIB:.1f} MiB",
            flush=True,
        )
    for kind in KINDS:
        print(f"{kind}: {summary(errors[kind], holds[kind])}")
    every, held = ([one for kind in KINDS for one in of_kind[kind]] for of_kind in (errors, holds))
    print(f"all: {summary(every, held)}; verdicts right {np.mean(verdicts):.0%}")


if __name__ == "__main__":
    main()
