"""KVM migrations of an idle guest of 1 to 8 GiB over 1 Gbit/s: hosts measured with one size, other sizes predicted.

Only totals are known of these runs. The constants of the hosts are the medians of what the runs of one size and
strategy say:

* set-up, as QEMU counts it;
* a zero page = (total time - set-up - load - bytes / payload rate) / zero pages;
* load = downtime where the guest resumes before the rest is pushed, since such a stop sends no pages;
* bytes on their way = (downtime - load) x payload rate in pre-copy, where a stopped guest waits for all that the
  buffers of the connection hold. They count as sent, so that ``total = set-up + bytes / payload rate + zero pages x
  c`` holds within 25 ms from 1 to 8 GiB without any downtime beside. The load is what is typical there.

Set-up, load and bytes on their way are drawn as these runs differ, one by one: a quarter of the stops took
60 to 120 ms where the others took 20. A zero page is as uncertain as these runs and 1 % of the payload rate; that
rate is, too. What is less certain than it is of hosts of which nothing is known keeps its typical value.

How much of the guest is zero is taken from the runs of the other strategies, so that nothing of a run goes into its
own prediction.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np

from migkit.calibrate.accuracy.scored import Origin, Scored, predicted, scored
from migkit.calibrate.log_costs import ABSORBED, PARTS_SPREAD
from migkit.scenario import Guest, Host, Link, Policy, Scenario, Strategy
from migkit.scenario.installation.platforms import USUAL
from migkit.scenario.installation.typical import Estimate
from migkit.traces import data
from migkit.units import PAGE_BYTES

__all__ = ["hosts", "score"]

STRATEGIES: Final = {
    "precopy": Strategy(),
    "hybrid": Strategy(name="hybrid", postcopy_after_rounds=1),
    "postcopy": Strategy(name="postcopy"),
}
PAYLOAD_BYTES_PER_S: Final = 1e9 / 8 * 1448 / 1538  # of TCP over Ethernet of 1 Gbit/s
RATE_SPREAD: Final = 0.01
_TYPICAL: Final = Host(platform="qemu-kvm", firmware_bytes=0)
USUAL_LOAD_S: Final = _TYPICAL.stop_s + _TYPICAL.flush_disks_s + _TYPICAL.load_s + _TYPICAL.resume_s
_HOST: Final = "two hosts, 1 Gbit/s"

Rows = Sequence[dict[str, Any]]


def score(folder: Path | None = None) -> Iterator[Scored]:
    """Yield each run beside its predictions: on typical hosts, then on hosts measured with each other size.

    Examples
    --------
    >>> next(score()).origin.workload
    'idle guest of 1024 MiB'
    """
    rows = data.gigabit_runs(folder)
    sizes = sorted({row["memory_MiB"] for row in rows})
    for name, strategy in STRATEGIES.items():
        runs = {size: [row for row in rows if (row["memory_MiB"], row["strategy"]) == (size, name)] for size in sizes}
        known = {size: hosts(some) for size, some in runs.items() if some}
        for size in known:
            guest = _guest([row for row in rows if row["memory_MiB"] == size and row["strategy"] != name])
            yield from _beside(runs[size], _case(guest, _TYPICAL, strategy), name, "scenario alone")
            for other, host in known.items():
                if other != size:
                    yield from _beside(runs[size], _case(guest, host, strategy), name, f"{name} of other sizes")


def hosts(rows: Rows) -> Host:
    """Return hosts with the constants that runs of one size and strategy tell.

    Examples
    --------
    >>> some = [row for row in data.gigabit_runs() if (row["memory_MiB"], row["strategy"]) == (4096, "precopy")]
    >>> hosts(some).setup_s, round(hosts(some).in_flight_bytes / 2**20, 1)
    (0.019, 17.1)
    """
    waits = rows[0]["strategy"] == "precopy"
    sent_s = np.array([row["transferred_bytes"] for row in rows]) / PAYLOAD_BYTES_PER_S
    total_s, setup_s, down_s, zero = (
        np.array([row[name] for row in rows]) / scale
        for name, scale in (("total_ms", 1e3), ("setup_ms", 1e3), ("downtime_ms", 1e3), ("zero_pages", 1.0))
    )
    load_s = np.full(len(rows), USUAL_LOAD_S) if waits else down_s
    zero_s = (total_s - setup_s - load_s - sent_s) / zero
    told = {
        "zero_page_cpu_s": _estimate(zero_s, RATE_SPREAD * float(np.median(sent_s / zero))),
        "setup_s": _estimate(setup_s),
        "load_s": _estimate(load_s, PARTS_SPREAD * USUAL_LOAD_S if waits else 0.0),
    }
    known: dict[str, Any] = {name: one for name, one in told.items() if one and one.spread < USUAL[name].spread}
    if waits:
        known["in_flight_bytes"] = _estimate((down_s - load_s) * PAYLOAD_BYTES_PER_S) or 0.0
    if "zero_page_cpu_s" in known:
        known["postcopy_zero_page_cpu_s"] = 0.0
    known["receive_bytes_per_s"] = Estimate(PAYLOAD_BYTES_PER_S, RATE_SPREAD, "payload of TCP over Ethernet")
    return dataclasses.replace(_TYPICAL, **(known | ABSORBED))


def _estimate(values: np.ndarray, unsure: float = 0.0) -> Estimate | None:
    """Return the median of values with their spread, robust against one that is far off; None: it is not positive.

    Values that hold nothing else that is unsure are drawn one by one.
    """
    middle = float(np.median(values))
    if middle <= 0.0:
        return None
    source = f"{values.size} runs of one size"
    if not unsure and values.min() > 0.0:
        return Estimate.of_runs(values.tolist(), source)
    off = 1.4826 * float(np.median(np.abs(values - middle)))
    return Estimate(middle, math.hypot(off, unsure) / middle, source)


def _guest(rows: Rows) -> Guest:
    """Return a guest whose zero memory is what its runs found, in the median."""
    memory = rows[0]["ram_total_bytes"] // PAGE_BYTES
    zero = min(int(median(row["zero_pages"] for row in rows)), memory)
    return Guest(memory_bytes=memory * PAGE_BYTES, zero_bytes=zero * PAGE_BYTES)


def _case(guest: Guest, host: Host, strategy: Strategy) -> Scenario:
    """Return a scenario whose link is as fast as its payload, or nominal where hosts are known to take in no more."""
    link = Link(bandwidth_bytes_per_s=PAYLOAD_BYTES_PER_S if host is _TYPICAL else 1e9 / 8)
    return Scenario(guest=guest, host=host, link=link, policy=Policy(name="qemu-7"), strategy=strategy)


def _beside(rows: Rows, case: Scenario, name: str, split: str) -> Iterator[Scored]:
    told = predicted(case)
    for at, row in enumerate(rows):
        size = row["memory_MiB"]
        yield scored(
            Origin(f"{size}-{name}-{at}", f"idle guest of {size} MiB", _HOST, split),
            case,
            verdict="converges",
            total_time_s=row["total_ms"] / 1e3,
            downtime_s=row["downtime_ms"] / 1e3,
            transferred_bytes=row["transferred_bytes"],
            prediction=told,
        )
