"""Real migrations forecast while they run, against what came: from counters, measured meanwhile, the guest known.

    python -m tests.verification.live_forecasts [NUMBER] [SEED]

Guests are those of :mod:`tests.verification.profiled`, whose kinds take turns, without a warm-up. Their source is
asked through a second monitor four times a second, as `migkit watch` asks it; looks from 30 % of the time on count.
Each guest is measured from outside while it moves, as by `migkit watch`. The looks before that has told something
count as wrong. Those that follow are shown apart, with the true guest beside them. Wrong looks are listed. The runs
go before other processes where that is permitted.

Left out are those that were cancelled at their time limit though their scenario says that they would have ended:
nobody knows what would have become of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import itertools
import math
import random
import sys
import tempfile
import threading
import time
from pathlib import Path

from migkit import predict
from migkit.calibrate.forecast.measuring import FromOutside
from migkit.calibrate.forecast.outlook import Forecaster, Outlook
from migkit.calibrate.guest.outside import outside
from migkit.errors import MigkitError
from migkit.importers import read
from migkit.qemu.capture import Options, capture
from migkit.qemu.follow import Followed
from migkit.scenario import Guest, Scenario
from tests.verification.forecasts import FROM_SHARE, Look, groups, line
from tests.verification.profiled import KINDS, described, scenario
from tests.verification.qemu_migration import undisturbed

EVERY_S = 0.25
PATIENCE_S = 30.0


MEASURED = "measured meanwhile"
Told = tuple[Outlook, bool]


def followed(socket: Path, case: Scenario, forecasters: dict[str, Forecaster], found: dict[str, list[Told]]) -> None:
    """Ask until QEMU is gone or the migration is over; keep what each says, and whether the guest was measured."""
    with asyncio.Runner() as runner, contextlib.ExitStack() as stack:
        until_s = time.monotonic() + PATIENCE_S
        while not socket.exists() and time.monotonic() < until_s:
            time.sleep(0.02)
        source = runner.run(Followed.connect(socket))
        memory_bytes, measuring = runner.run(source.memory_bytes()), None
        while True:
            try:
                runner.run(source.look())
            except MigkitError:  # not yet, or no more
                if any(found.values()) or time.monotonic() > until_s:
                    break
                time.sleep(0.05)
                continue
            if measuring is None:
                opened = functools.partial(outside, source.monitor.pid, memory_bytes)
                measured_case = dataclasses.replace(case, guest=Guest(memory_bytes=memory_bytes))
                measuring = stack.enter_context(FromOutside(opened, measured_case))
            measured = measuring.told()
            if measured is not None:
                forecasters[MEASURED].learn(Scenario(guest=measured.guest), measured.seen_s)
            log = read(source.text())[-1]
            for name, forecaster in forecasters.items():
                outlook = forecaster.outlook(log)
                found[name].append((outlook, measured is not None))
                if outlook.iteration > 1:
                    measuring.first_pass_is_over()
            time.sleep(EVERY_S)
        runner.run(source.close())


def run(case: Scenario) -> tuple[dict[str, list[Told]], str, float]:
    """Return the outlooks of one real migration by what was known, its verdict and its total time."""
    known = Forecaster(dataclasses.replace(case))
    forecasters = {"counters": Forecaster(), MEASURED: Forecaster(), "guest known": known}
    found: dict[str, list[Told]] = {name: [] for name in forecasters}
    with tempfile.TemporaryDirectory() as folder:
        socket = Path(folder) / "vm.qmp"
        thread = threading.Thread(target=followed, args=(socket, case, forecasters, found))
        thread.start()
        trace = capture(case, Options(warm_up_s=0.5, monitor=socket))
        thread.join()
    verdict = "converges" if trace.outcome.verdict == "converges" else "does_not_converge"
    return found, verdict, trace.outcome.total_time_s


def told_wrong(name: str, look: Look) -> str:
    """Return a wrong look in words."""
    one = look.outlook
    return (
        f"   {name}: at {one.t_s:.2f} s, round {one.iteration}: {one.verdict} {one.end_s:.2f} s "
        f"[{one.low_s:.2f}, {one.high_s:.2f}] for {look.verdict} {look.end_s:.2f} s"
    )


def would_end(case: Scenario) -> bool:
    """Return whether a migration ends if it has the time."""
    patient = dataclasses.replace(case, policy=dataclasses.replace(case.policy, time_limit_s=math.inf))
    return predict(patient, level=None, detail=False).verdict == "converges"


def main() -> None:
    """Print one line a migration, its wrong looks, and the table."""
    number, seed = (int(sys.argv[at]) if len(sys.argv) > at else default for at, default in ((1, 10), (2, 2)))
    draw = random.Random(seed)
    looks: dict[str, list[Look]] = {}
    with undisturbed() as permitted:
        if not permitted:
            print("ordinary priority: other processes disturb the runs; root can go before them", file=sys.stderr)
        for at, kind in enumerate(itertools.islice(itertools.cycle(KINDS), number)):
            case = scenario(draw, kind)
            case = dataclasses.replace(case, policy=dataclasses.replace(case.policy, time_limit_s=20.0))
            found, verdict, end_s = run(case)
            kept = verdict == "converges" or not would_end(case)
            left_out = "" if kept else " (left out: it would have ended)"
            print(
                f"{at}: {kind}: {verdict} {end_s:.2f} s{left_out}, {'; '.join(map(described, case.guest.dirty))}",
                flush=True,
            )
            if kept:
                take(looks, str(at), found, verdict, end_s)
    for name, some in sorted(looks.items()):
        for title, part in groups(some).items() if "since" not in name else [("", some)]:
            print(line(f"{name}, {title}".strip(", "), part))


def take(looks: dict[str, list[Look]], name: str, found: dict[str, list[Told]], verdict: str, end_s: float) -> None:
    """Take the looks at one migration, and print those that are wrong."""
    for known, told in found.items():
        for outlook, measured in told:
            look = Look(name, outlook.t_s / end_s, outlook, verdict, end_s)
            if outlook.phase == "done" or look.at < FROM_SHARE:
                continue
            looks.setdefault(known, []).append(look)
            if measured and known != "counters":
                when = "first pass" if outlook.iteration <= 1 else "later rounds"
                looks.setdefault(f"{known}, {when}, since measured", []).append(look)
            if known == MEASURED and not look.right:
                print(told_wrong(known, look), flush=True)


if __name__ == "__main__":
    main()
