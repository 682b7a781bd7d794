"""Real migrations forecast while they run, from counters alone and with the guest known, against what came.

    python -m tests.verification.live_forecasts [NUMBER] [SEED]

Guests are those of :mod:`tests.verification.profiled`, whose kinds take turns, without a warm-up. Their source is
asked through a second monitor four times a second, as `migkit watch` asks it; looks from 30 % of the time on count.
"""

from __future__ import annotations

import asyncio
import dataclasses
import random
import sys
import tempfile
import threading
import time
from pathlib import Path

from migkit.calibrate.forecast.outlook import Forecaster, Outlook
from migkit.errors import MigkitError
from migkit.importers import read
from migkit.qemu.capture import Options, capture
from migkit.qemu.follow import Followed
from migkit.scenario import Scenario
from tests.verification.forecasts import FROM_SHARE, Look, groups, line
from tests.verification.profiled import KINDS, described, scenario

EVERY_S = 0.25
PATIENCE_S = 30.0


def followed(socket: Path, forecasters: dict[str, Forecaster], found: dict[str, list[Outlook]]) -> None:
    """Ask until QEMU is gone or the migration is over, and keep what each forecaster says."""
    with asyncio.Runner() as runner:
        until_s = time.monotonic() + PATIENCE_S
        while not socket.exists() and time.monotonic() < until_s:
            time.sleep(0.02)
        source = runner.run(Followed.connect(socket))
        while True:
            try:
                runner.run(source.look())
            except MigkitError:  # not yet, or no more
                if any(found.values()) or time.monotonic() > until_s:
                    break
                time.sleep(0.05)
                continue
            log = read(source.text())[-1]
            for name, forecaster in forecasters.items():
                found[name].append(forecaster.outlook(log))
            time.sleep(EVERY_S)
        runner.run(source.close())


def run(case: Scenario) -> tuple[dict[str, list[Outlook]], str, float]:
    """Return the outlooks of one real migration by what was known, its verdict and its total time."""
    forecasters = {"counters": Forecaster(), "guest known": Forecaster(dataclasses.replace(case))}
    found: dict[str, list[Outlook]] = {name: [] for name in forecasters}
    with tempfile.TemporaryDirectory() as folder:
        socket = Path(folder) / "vm.qmp"
        thread = threading.Thread(target=followed, args=(socket, forecasters, found))
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
        for name, outlooks in found.items():
            told = [Look(str(at), one.t_s / end_s, one, verdict, end_s) for one in outlooks if one.phase != "done"]
            looks.setdefault(name, []).extend(one for one in told if one.at >= FROM_SHARE)
        print(f"{at}: {kind}: {verdict} {end_s:.2f} s, {[described(one) for one in case.guest.dirty]}", flush=True)
    for name, some in looks.items():
        for title, part in groups(some).items():
            print(line(f"{name}, {title}", part))


if __name__ == "__main__":
    main()
