"""Real migrations forecast while they run, against what came: from counters, measured meanwhile, the guest known.

    python -m tests.verification.live_forecasts [NUMBER] [SEED]

Guests are those of :mod:`tests.verification.profiled`, whose kinds take turns, without a warm-up. Their source is
asked through a second monitor four times a second, as `migkit watch` asks it; looks from 30 % of the time on count.
Each guest is measured from outside while it moves, as with `--measure`. The looks before that has told something
count as not known. Those that follow are shown apart, with the true guest beside them.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import random
import sys
import tempfile
import threading
import time
from pathlib import Path

from migkit.calibrate.forecast.measuring import FromOutside
from migkit.calibrate.forecast.outlook import Forecaster, Outlook
from migkit.cli._profiling import outside
from migkit.errors import MigkitError
from migkit.importers import read
from migkit.qemu.capture import Options, capture
from migkit.qemu.follow import Followed
from migkit.qemu.monitor import listener_of
from migkit.scenario import Guest, Scenario
from tests.verification.forecasts import FROM_SHARE, Look, groups, line
from tests.verification.profiled import KINDS, described, scenario

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
                opened = functools.partial(outside, listener_of(socket), memory_bytes)
                measured_case = dataclasses.replace(case, guest=Guest(memory_bytes=memory_bytes))
                measuring = stack.enter_context(FromOutside(opened, measured_case))
            measured = measuring.guest()
            if measured is not None:
                forecasters[MEASURED].learn(Scenario(guest=measured))
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


def main() -> None:
    """Print one line a migration, and the table."""
    number, seed = (int(sys.argv[at]) if len(sys.argv) > at else default for at, default in ((1, 10), (2, 2)))
    draw = random.Random(seed)
    looks: dict[str, list[Look]] = {}
    for at in range(number):
        kind = KINDS[at % len(KINDS)]
        case = scenario(draw, kind)
        case = dataclasses.replace(case, policy=dataclasses.replace(case.policy, time_limit_s=20.0))
        found, verdict, end_s = run(case)
        for name, told in found.items():
            for outlook, measured in told:
                look = Look(str(at), outlook.t_s / end_s, outlook, verdict, end_s)
                if outlook.phase != "done" and look.at >= FROM_SHARE:
                    looks.setdefault(name, []).append(look)
                    if measured and name != "counters":
                        when = "first pass" if outlook.iteration <= 1 else "later rounds"
                        looks.setdefault(f"{name}, {when}, since measured", []).append(look)
        print(f"{at}: {kind}: {verdict} {end_s:.2f} s, {[described(one) for one in case.guest.dirty]}", flush=True)
    for name, some in sorted(looks.items()):
        for title, part in groups(some).items() if "since" not in name else [("", some)]:
            print(line(f"{name}, {title}".strip(", "), part))


if __name__ == "__main__":
    main()
