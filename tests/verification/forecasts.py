"""Forecasts of recorded migrations, from no more of each than had been read at a moment, against what came.

    python -m tests.verification.forecasts

The recordings are the reference runs and the migrations of a database that ship, none of them chosen. Each is looked
at up to 20 times, evenly spread from 30 % of its time on. One that was turned to post-copy by hand is looked at from
the first reading that shows it: no counter tells what somebody is about to order. Of a reading it is known what a
watcher knows: the counters so far, the version, the cap, the limit and the capabilities. A look is right when the
verdict is right and the end, where there is one, lies within 10 %. The database under 16 threads without help does
not converge: its load was ended after the benchmark, or a lull let it through. Once it stands for the switchover it
does.

The grid (:mod:`tests.verification.qemu_grid`) is a further set, which no constant of the forecast was chosen on. Of
its pre-copies each sync is known, and between two syncs the counters are taken to grow evenly. Each is looked at
after every sync from 30 % of its time on. Left out are those that auto-converge throttled, since nobody knows
when, and those that were cancelled at their time limit though their scenario says that they would have ended.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from migkit import predict
from migkit.calibrate.forecast.outlook import Forecaster, Outlook
from migkit.importers import Log, read, read_reference
from migkit.scenario import DirtyClass, Guest, Policy, Scenario, Strategy
from migkit.scenario.form import schema
from migkit.traces import data
from migkit.units import PAGE_BYTES

FROM_SHARE = 0.3
LOOKS = 20
WITHIN = 0.1
FIRMWARE_BYTES = 2**20
READ_EVERY_S = 0.1  # of the grid


class Recorded(NamedTuple):
    """One recording: its log, what came of it, its guest where that is known, and when post-copy was asked for."""

    name: str
    log: Log
    verdict: str
    end_s: float
    guest: Guest | None
    asked_s: float


class Synced(NamedTuple):
    """One migration of the grid: a recording, and the readings that followed a sync."""

    recorded: Recorded
    rows: tuple[int, ...]
    kind: str


class Look(NamedTuple):
    """One forecast and what came."""

    name: str
    at: float
    outlook: Outlook
    verdict: str
    end_s: float

    @property
    def right(self) -> bool:
        """Whether the verdict is right, and the end within 10 %."""
        if self.outlook.verdict != self.verdict:
            return False
        return self.verdict != "converges" or abs(self.outlook.end_s / self.end_s - 1.0) <= WITHIN


def recorded() -> Iterator[Recorded]:
    """Yield all recordings that ship."""
    known = {run["run"]: run for run in data.reference_runs()}
    for name in data.reference_timelines():
        yield _reference(name, known[name])
    for path in sorted(data.data_path("kvm_database").glob("*-*.json.gz")):
        log = read(path)[0]
        settings = {"max_bandwidth_bytes_per_s": 128.0 * 2**20, "downtime_limit_s": 0.3}
        on = {"auto-converge": path.name.startswith("auto"), "postcopy-ram": path.name.startswith("post")}
        log = dataclasses.replace(log, meta={**log.meta, "settings": settings, "capabilities": on})
        asked_s = 0.2 if path.name.startswith("post") else 0.0
        verdict = "does_not_converge" if path.name.startswith("precopy-16t") else "converges"
        end_s = float(log.meta["totals"]["total_time_s"])
        yield Recorded(path.name.removesuffix(".json.gz"), log, verdict, end_s, None, asked_s)


def _reference(name: str, run: Mapping[str, Any]) -> Recorded:
    log = read_reference(name)
    frame = log.frame.assign(total_bytes=float(run["memory_bytes"]))
    on = dict.fromkeys(str(run["capabilities"] or "").split(";"), True)
    settings = {name: run[name] for name in ("max_bandwidth_bytes_per_s", "downtime_limit_s") if run[name]}
    settings["accelerator"] = run["accelerator"]
    meta = {**log.meta, "settings": settings, "capabilities": on, "version": {"qemu": run["qemu_version"]}}
    log = dataclasses.replace(log, frame=frame, meta=meta)
    classes = run["classes"] if not isinstance(run["classes"], str) else json.loads(run["classes"])
    dirty = tuple(DirtyClass(**one) for one in classes)
    memory = int(run["memory_bytes"])
    zero = memory - sum(one.region_bytes for one in dirty) - FIRMWARE_BYTES
    guest = Guest(memory_bytes=memory, zero_bytes=zero, dirty=dirty)
    verdict = "converges" if run["status"] == "completed" else "does_not_converge"
    return Recorded(name, log, verdict, float(run["total_time_s"]), guest, float(run["postcopy_after_s"] or 0.0))


def grid() -> Iterator[Synced]:
    """Yield the migrations of the grid whose end is known, see above."""
    for run in pq.read_table(data.data_path("qemu/grid.parquet")).to_pylist():
        scenario = schema.from_record(json.loads(run["scenario"]))
        if scenario.strategy.name == "precopy" and not run["max_throttle_percent"]:
            verdict = _verdict(run, scenario)
            if verdict:
                yield synced(run, scenario, verdict)


def _verdict(run: Mapping[str, Any], scenario: Scenario) -> str:
    """Return what came of a migration of the grid; of one cancelled at its limit, nothing unless it never ends."""
    if run["verdict"] == "converges":
        return "converges"
    patient = dataclasses.replace(scenario, policy=dataclasses.replace(scenario.policy, time_limit_s=math.inf))
    told = predict(patient, level=None, detail=False).verdict
    return "does_not_converge" if told == "does_not_converge" else ""


def synced(run: Mapping[str, Any], scenario: Scenario, verdict: str) -> Synced:
    """Return a migration of the grid as a log: what each sync left, and readings spread evenly between two syncs."""
    rows: list[dict[str, float]] = []
    first, sent, full, zero = [], 0.0, 0.0, 0.0
    for at, one in enumerate(run["rounds"]):
        lasts_s = one["duration_s"]
        count = max(2, math.ceil(lasts_s / READ_EVERY_S) + 1)
        first.append(len(rows))
        for share in np.linspace(0.0, 1.0 - 1e-3, count).tolist():
            pages = share * (one["normal_pages"] + one["zero_pages"])
            rows.append(
                {
                    "t_s": one["start_s"] + share * lasts_s,
                    "iteration": at + 1.0,
                    "remaining_bytes": max(0.0, one["remaining_bytes"] - pages * PAGE_BYTES),
                    "sent_bytes": sent + share * one["sent_bytes"],
                    "normal_pages": full + share * one["normal_pages"],
                    "zero_pages": zero + share * one["zero_pages"],
                    "bandwidth_bytes_per_s": one["sent_bytes"] / lasts_s if lasts_s >= READ_EVERY_S else math.nan,
                }
            )
        sent, full, zero = sent + one["sent_bytes"], full + one["normal_pages"], zero + one["zero_pages"]
    frame = pd.DataFrame(rows).assign(
        phase="precopy", status="active", total_bytes=float(scenario.guest.memory_bytes), throttle=0.0
    )
    frame["bandwidth_bytes_per_s"] = frame["bandwidth_bytes_per_s"].ffill().cummax()
    frame["dirtied_pages_per_s"] = frame["postcopy_faults"] = math.nan
    settings = {name: getattr(scenario.policy, name) for name in ("max_bandwidth_bytes_per_s", "downtime_limit_s")}
    settings["accelerator"] = run["accelerator"]
    meta = {
        "version": {"qemu": run["qemu_version"]},
        "settings": settings,
        "capabilities": dict.fromkeys(run["capabilities"], True),
        "postcopy": False,
        "outcome": "under way",
        "totals": {},
    }
    name = f"grid-{run['cell']}-{run['repeat']}"
    log = Log(kind="migration", frame=frame, meta=meta, unknown={}, cannot_tell=(), next_time=())
    kept = Recorded(name, log, verdict, float(run["total_time_s"]), scenario.guest, 0.0)
    return Synced(kept, tuple(first[1:]), _kind(scenario))


def _kind(scenario: Scenario) -> str:
    strategy, dirty = scenario.strategy, scenario.guest.dirty
    if strategy.auto_converge or strategy.xbzrle or strategy.tls:
        return next(name for name in ("auto_converge", "xbzrle", "tls") if getattr(strategy, name))
    if strategy.streams > 1:
        return "streams"
    if any(one.phases for one in dirty):
        return "phases"
    return "growth" if any(one.kind == "growth" for one in dirty) else "plain"


def synced_looks(one: Synced, *, profiled: bool = False) -> list[Look]:
    """Return the forecasts of a migration of the grid, after each sync."""
    times, end_s = one.recorded.log.frame["t_s"].to_numpy(float), one.recorded.end_s
    forecaster = Forecaster(_base(one.recorded) if profiled else None)
    return [
        Look(
            one.recorded.name,
            times[row] / end_s,
            forecaster.outlook(until(one.recorded.log, row)),
            one.recorded.verdict,
            end_s,
        )
        for row in one.rows
        if times[row] >= FROM_SHARE * end_s
    ]


def looks(one: Recorded, *, profiled: bool = False) -> list[Look]:
    """Return the forecasts of a recording."""
    frame = one.log.frame
    times = frame["t_s"].to_numpy(float)
    running = np.flatnonzero((times >= max(FROM_SHARE * one.end_s, turned_s(one))) & (frame["phase"] != "done"))
    chosen = running[np.unique(np.linspace(0, running.size - 1, min(LOOKS, running.size)).round().astype(int))]
    base = _base(one) if profiled else None
    forecaster = Forecaster(base)
    found = []
    for at in chosen.tolist():
        log = until(one.log, at)
        verdict = "converges" if frame["phase"].iloc[at] == "stopcopy" else one.verdict
        found.append(Look(one.name, times[at] / one.end_s, forecaster.outlook(log), verdict, one.end_s))
    return found


def turned_s(one: Recorded) -> float:
    """Return when the first reading shows post-copy that was ordered by hand [s]; 0: none was."""
    shown = one.log.frame.loc[one.log.frame["phase"] == "postcopy", "t_s"]
    return float(shown.min()) if one.asked_s and len(shown) else 0.0


def until(log: Log, at: int) -> Log:
    """Return what was known after a reading."""
    frame = log.frame.iloc[: at + 1]
    last = frame.iloc[-1]
    totals = {
        name: float(last[column])
        for name, column in (
            ("t_s", "t_s"),
            ("iteration", "iteration"),
            ("normal_pages", "normal_pages"),
            ("zero_pages", "zero_pages"),
            ("total_bytes", "total_bytes"),
        )
        if column in frame and not math.isnan(last[column])
    }
    return dataclasses.replace(log, frame=frame, meta={**log.meta, "outcome": "under way", "totals": totals})


def _base(one: Recorded) -> Scenario | None:
    if one.guest is None:
        return None
    on = one.log.meta["capabilities"].get("auto-converge", False)
    version = (one.log.meta["version"] or {}).get("qemu", "")
    policy = Policy(name="qemu-7" if version.startswith("7") else "qemu-10")
    return Scenario(guest=one.guest, policy=policy, strategy=Strategy(auto_converge=on))


def groups(found: list[Look]) -> dict[str, list[Look]]:
    """Return the looks by what was known."""
    after = [one for one in found if one.outlook.verdict != "not_known"]
    return {
        "all": found,
        "from the first sync on": after,
        "in the first pass": [one for one in found if one.outlook.verdict == "not_known"],
    }


def right(found: list[Look]) -> float:
    """Return the share of looks that are right."""
    return float(np.mean([one.right for one in found]))


def verdicts(found: list[Look]) -> float:
    """Return the share of looks whose verdict is right."""
    return float(np.mean([one.outlook.verdict == one.verdict for one in found]))


def line(title: str, found: list[Look]) -> str:
    """Return one row of the table."""
    if not found:
        return f"{title:54} none"
    ending = [one for one in found if one.verdict == "converges"]
    ends = [abs(one.outlook.end_s / one.end_s - 1) for one in ending if one.outlook.end_s < math.inf]
    near = np.mean(np.array(ends) <= WITHIN) if ends else math.nan
    holds = [one.outlook.low_s <= one.end_s <= one.outlook.high_s for one in ending]
    return (
        f"{title:54} {len(found):5}  right {right(found):6.1%}  verdict {verdicts(found):6.1%}  "
        f"end within 10 % {near:6.1%}  interval holds {np.mean(holds) if holds else math.nan:6.1%}"
    )


def main() -> None:
    """Print the table, and the recordings with the most wrong looks."""
    ones = list(recorded())
    for profiled in (False, True):
        kept = [one for one in ones if one.guest is not None or not profiled]
        found = [look for one in kept for look in looks(one, profiled=profiled)]
        print("guest profiled before" if profiled else f"{len(kept)} recordings, counters alone")
        for title, some in groups(found).items():
            print(line("  " + title, some))
        for series in sorted({re.sub(r"-\w+-\d+$|-\d+$", "", one.name) for one in kept}):
            some = [one for one in found if re.sub(r"-\w+-\d+$|-\d+$", "", one.name) == series]
            print(line("    " + series, some))
    synced = list(grid())
    for profiled in (False, True):
        by_kind: dict[str, list[Look]] = {}
        for each in synced:
            by_kind.setdefault(each.kind, []).extend(synced_looks(each, profiled=profiled))
        known = "guest profiled before" if profiled else "counters alone"
        print(line(f"{len(synced)} of the grid, {known}", [look for some in by_kind.values() for look in some]))
        for kind, some in sorted(by_kind.items()):
            print(line("    " + kind, some))


if __name__ == "__main__":
    main()
