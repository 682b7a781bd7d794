"""Guests that are profiled while they run, then migrated for real, against the prediction from the profile alone.

    python -m tests.verification.profiled [NUMBER] [SEED] [QEMU] [KIND]

The guests of 256 MiB take turns: random writes, a sweep, phases of one class or two, a growth, or all of these. Or
all are of one kind, such as "two programs", two classes with cycles of their own, or "two programs, long phases".
Sizes, rates, lengths of phases, where in its cycle a guest is when it moves, and whether its classes lie interleaved
or one behind the other are drawn. `migkit qemu profile` measures each for at most 20 s before it moves, under the cap
and the limit that its QEMU has; the scenario is not shown to it. What the profile says of a growth is carried on to
the moment at which the guest moves. Intervals are those of hosts as the profile says, QEMU's emulator, and those of
hosts that nobody described. The runs go before other processes where that is permitted.
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
from typing import NamedTuple

import numpy as np

from migkit import predict
from migkit.calibrate.guest.followed import later
from migkit.cli.qemu_profile import measured
from migkit.errors import MigkitError
from migkit.models.result import Prediction
from migkit.qemu.capture import Options, capture
from migkit.qemu.machine import QEMU
from migkit.scenario import DirtyClass, Guest, Host, Policy, Scenario
from migkit.traces import Trace
from migkit.units import MIB
from tests.verification.qemu_migration import undisturbed

WARM_UP_S = 24.0
LONGEST_S = 20.0
KINDS = ("random", "sweep", "phases", "sweep with phases", "growth", "all")
GROWTH_BYTES = 64 * MIB


def scenario(draw: random.Random, kind: str) -> Scenario:
    """Return one guest and its cap."""
    if kind.startswith("two programs"):
        dirty = [_class(draw, kind + draw.choice(("", ", sweep"))) for _ in range(2)]
    else:
        dirty = [
            _class(draw, kind if at == 0 else draw.choice(("random", kind))) for at in range(draw.choice((1, 2)))
        ]
    if kind in ("growth", "all"):
        rate = math.exp(draw.uniform(math.log(50.0), math.log(500.0)))
        dirty.append(DirtyClass(region_bytes=GROWTH_BYTES, writes_per_s=rate, kind="growth"))
    policy = Policy(name="qemu-7", max_bandwidth_bytes_per_s=draw.choice((16, 24, 32)) * MIB, downtime_limit_s=0.1)
    layout = draw.choice(("interleaved", "blocks"))
    guest = Guest(memory_bytes=256 * MIB, zero_bytes=96 * MIB, dirty=tuple(dirty), layout=layout)
    return Scenario(guest=guest, policy=dataclasses.replace(policy, time_limit_s=40.0))


def _class(draw: random.Random, kind: str) -> DirtyClass:
    phases: tuple[tuple[float, float], ...] = ()
    if "phases" in kind or kind.startswith(("all", "two programs")):
        low_s, high_s = (2.0, 4.5) if "long" in kind else (0.6, 2.0)
        phases = ((draw.uniform(low_s, high_s), 1.0), (draw.uniform(low_s, high_s), draw.choice((0.0, 0.0, 0.3))))
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
    policy = dataclasses.replace(known.policy, time_limit_s=case.policy.time_limit_s)
    return trace, dataclasses.replace(known, guest=guest, policy=policy)


def described(one: DirtyClass) -> str:
    """Return size, rate, kind and phases of a class."""
    phases = "".join(f" {duration_s:.2f} s at {level:.2g}" for duration_s, level in one.phases)
    return f"{one.region_bytes / MIB:.1f} MiB {one.writes_per_s:.0f}/s {one.kind}{phases}"


def _of_cap(trace: Trace) -> float:
    """Return how fast the first pass was over what it might be: less on a machine that is busy with other work."""
    sent, took_s = (trace.rounds[name].to_numpy()[0] for name in ("sent_bytes", "duration_s"))
    return float(sent / took_s / trace.scenario.policy.max_bandwidth_bytes_per_s)


class Told(NamedTuple):
    """A prediction against what came to pass: its error, and whether the 90 % interval holds."""

    error: float
    holds: bool


def against(told: Prediction, total_s: float) -> Told:
    """Return how well a total time was told [s]."""
    low_s, high_s = told.interval.total_time_s if told.interval else (math.nan, math.nan)
    return Told(told.total_time_s / total_s - 1.0, low_s <= total_s <= high_s)


def summary(told: Sequence[Told]) -> str:
    """Return what runs come to."""
    if not told:
        return "none converged"
    errors, held = np.abs([one.error for one in told]), sum(one.holds for one in told)
    return (
        f"{len(told)} guests, median {np.median(errors):.1%}, worst {errors.max():.1%}, 90 % interval holds "
        f"{held} of {len(told)}"
    )


class Run(NamedTuple):
    """A guest: its kind, whether the verdict was right, and where it converged both predictions of its total time."""

    kind: str
    right: bool
    as_profiled: Told | None = None
    of_any_host: Told | None = None


def run(number: int, kind: str, case: Scenario, qemu: str) -> Run:
    """Profile a guest, move it, and print what came to pass beside what was told."""
    with tempfile.TemporaryDirectory() as folder:
        trace, known = profiled_and_moved(case, Path(folder), qemu)
    told, truth, real = predict(known), predict(trace.scenario, level=None), trace.outcome
    low, high = told.interval.total_time_s if told.interval else (math.nan, math.nan)
    print(
        f"{number}: {kind}: {real.verdict} {real.total_time_s:.2f} s, from the profile {told.verdict} "
        f"{told.total_time_s:.2f} s (90 % [{low:.2f}, {high:.2f}]), from the scenario {truth.verdict} "
        f"{truth.total_time_s:.2f} s; sent at {_of_cap(trace):.1%} of its cap\n"
        f"   is  {case.guest.layout} {'; '.join(map(described, case.guest.dirty))}\n"
        f"   was found {known.guest.layout} {'; '.join(map(described, known.guest.dirty))}; zero "
        f"{known.guest.zero_bytes / MIB:.1f} MiB",
        flush=True,
    )
    right = (told.verdict == "converges") == (real.verdict == "converges")
    if real.verdict != "converges":
        return Run(kind, right)
    usual = predict(dataclasses.replace(known, host=Host()))
    return Run(kind, right, against(told, real.total_time_s), against(usual, real.total_time_s))


def main() -> None:
    """Print one line a guest, and what they come to by kind: of hosts as profiled, and of hosts not described."""
    given = sys.argv[1:]
    number, seed, qemu, *one = (*given, *("6", "1", QEMU)[len(given) :])
    kinds = one or KINDS
    draw, runs = random.Random(int(seed)), []
    with undisturbed() as permitted:
        if not permitted:
            print("ordinary priority: other processes disturb the runs; root can go before them", file=sys.stderr)
        for at in range(int(number)):
            kind = kinds[at % len(kinds)]
            runs.append(run(at, kind, scenario(draw, kind), qemu))
    found = [(one.kind, one.as_profiled, one.of_any_host) for one in runs if one.as_profiled and one.of_any_host]
    for kind in kinds:
        print(f"{kind}: {summary([told for one, told, _ in found if one == kind])}")
    right = np.mean([one.right for one in runs])
    print(f"all: {summary([told for _, told, _ in found])}; verdicts right {right:.0%}")
    print(f"all, the hosts not described: {summary([usual for _, _, usual in found])}")


if __name__ == "__main__":
    main()
