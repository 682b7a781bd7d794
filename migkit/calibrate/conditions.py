"""Under which conditions a logged migration ran: its cap, its downtime limit, its strategy."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from migkit.importers.glossary import NO_LIMIT
from migkit.models.dirty import natural_downtime_s
from migkit.models.predict import predict
from migkit.policies.systems import of_qemu
from migkit.scenario import Guest, Host, Policy, Scenario, Strategy
from migkit.units import format_duration, format_rate

if TYPE_CHECKING:
    from migkit.importers import Log
    from migkit.traces import Trace

__all__ = ["Conditions", "agreed", "of_log", "platform", "self_check"]

_STEADY: Final = 0.02  # of the speed: what hardly varies is held by a cap or the link


class Conditions(NamedTuple):
    """What held a migration.

    Attributes
    ----------
    speed_bytes_per_s
        What it sent a second while the guest ran at the source, in the median; NaN: not said.
    steady
        Whether that hardly varied, so that a cap or the link set it.
    cap_bytes_per_s, downtime_limit_s
        As the log says them; NaN: not said.
    throttled
        Whether auto-converge throttled the guest.
    postcopy_s
        When it went post-copy [s]; infinite: never.
    switchover_bandwidth_bytes_per_s
        What its rule was told to reckon with (avail-switchover-bandwidth) [B/s]; NaN: what it measures.
    """

    speed_bytes_per_s: float
    steady: bool
    cap_bytes_per_s: float
    downtime_limit_s: float
    throttled: bool
    postcopy_s: float
    switchover_bandwidth_bytes_per_s: float = math.nan


def of_log(log: Log) -> Conditions:
    """Return the conditions that ``log`` tells.

    QEMU's ``expected-downtime`` is the limit itself until the first sync.

    Examples
    --------
    >>> from migkit.importers import read
    >>> from migkit.traces import data
    >>> of_log(read(data.data_path("kvm_database/precopy-4t-1.json.gz"))[0]).downtime_limit_s
    0.3
    """
    frame, settings = log.frame, log.meta["settings"]
    running = frame[(frame["phase"] == "precopy") & ~(frame["iteration"] <= 0)]  # metrics count no rounds
    speeds = running["bandwidth_bytes_per_s"].to_numpy(float)
    speeds = speeds[np.isfinite(speeds) & (speeds > 1.0)]
    speed = float(np.median(speeds)) if speeds.size else math.nan
    steady = speeds.size > 3 and float(np.median(np.abs(speeds - speed))) < _STEADY * speed
    posts = frame.loc[frame["phase"] == "postcopy", "t_s"].to_numpy(float)
    return Conditions(
        speed_bytes_per_s=speed,
        steady=steady,
        cap_bytes_per_s=_cap(settings.get("max_bandwidth_bytes_per_s")),
        downtime_limit_s=_limit_s(frame, settings),
        throttled=bool((frame["throttle"].to_numpy(float) > 0).any()),
        postcopy_s=float(posts[0]) if posts.size else math.inf,
        switchover_bandwidth_bytes_per_s=_number(settings.get("switchover_bandwidth_bytes_per_s")),
    )


def platform(log: Log) -> str | None:
    """Return the platform of the hosts, where ``log`` says what runs the guest; None: it does not.

    Examples
    --------
    >>> from migkit.importers import read
    >>> ram = '{"total": 1048576, "remaining": 4096}'
    >>> log = read(f'{{"enabled": false, "present": true}}\\n{{"status": "active", "ram": {ram}}}')[0]
    >>> platform(log)
    'qemu-tcg'
    """
    accelerator = log.meta["settings"].get("accelerator")
    return f"qemu-{accelerator}" if accelerator in ("kvm", "tcg") else None


def agreed(traces: Sequence[Trace]) -> tuple[dict[str, dict[str, Any]], tuple[str, ...]]:
    """Return the cap, the rule with its limit and settings, and the platform that all traces have in common.

    They come as tables of a scenario file, and with them the names of those in which the traces differ. Of a QEMU the
    rule is that of its version, and the platform what ran its guest.

    Examples
    --------
    >>> from migkit.traces import data, io
    >>> fast, slow = (io.read(data.data_path(f"traces/{name}.parquet")) for name in ("fast", "slow"))
    >>> agreed([fast])
    ({'policy': {'max_bandwidth': '160000000.0 B/s', 'name': 'qemu', 'downtime_limit': '0.15 s'}, 'host': {}}, ())
    >>> agreed([fast, slow])
    ({'policy': {}, 'host': {}}, ('cap', 'policy'))
    """
    caps, rules = [_cap_of(trace) for trace in traces], [_rule_of(trace) for trace in traces]
    platforms = [_platform_of(trace) for trace in traces]
    same = {"cap": len(set(caps)) == 1, "policy": len(set(rules)) == 1, "platform": len(set(platforms)) == 1}
    tables: dict[str, dict[str, Any]] = {"policy": {}, "host": {}}
    if same["cap"]:
        tables["policy"]["max_bandwidth"] = caps[0]
    if same["policy"]:
        name, limit_s, settings = rules[0]
        tables["policy"] |= {"name": name, "downtime_limit": f"{limit_s!r} s"}
        if settings:
            tables["policy"]["settings"] = dict(settings)
    if same["platform"] and platforms[0] is not None:
        tables["host"]["platform"] = platforms[0]
    return tables, tuple(name for name, agree in same.items() if not agree) if traces else ()


def _cap_of(trace: Trace) -> str:
    cap = float(trace.scenario.policy.max_bandwidth_bytes_per_s)
    return "unlimited" if math.isinf(cap) else f"{cap!r} B/s"


def _rule_of(trace: Trace) -> tuple[str, float, tuple[tuple[str, float], ...]]:
    policy = trace.scenario.policy
    name = of_qemu(trace.machine.get("qemu_version")) if policy.name == "qemu" else policy.name
    return name, float(policy.downtime_limit_s), tuple(sorted(policy.settings))


def _platform_of(trace: Trace) -> str | None:
    accelerator = trace.machine.get("accelerator")
    return f"qemu-{accelerator}" if accelerator else trace.scenario.host.platform


def _limit_s(frame: Any, settings: Any) -> float:
    said = _number(settings.get("downtime_limit_s"))
    if math.isfinite(said) or "expected_downtime_s" not in frame:
        return said
    early = frame.loc[frame["iteration"] <= 1, "expected_downtime_s"].to_numpy(float)
    early = early[np.isfinite(early) & (early > 0)]
    return float(early[0]) if early.size else math.nan


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and value > 0 else math.nan


def _cap(value: Any) -> float:
    """Return a cap; where the setting is as large as it can be, which switches it off, none is said."""
    said = _number(value)
    return said if said < NO_LIMIT else math.nan


def scenario(guest: Guest, held: Conditions) -> Scenario:
    """Return the scenario of the logged migration, with QEMU's rule and defaults where the log is silent."""
    changes: dict[str, Any] = {}
    if math.isfinite(held.cap_bytes_per_s):
        changes["max_bandwidth_bytes_per_s"] = held.cap_bytes_per_s
    elif math.isfinite(held.speed_bytes_per_s):
        changes["max_bandwidth_bytes_per_s"] = held.speed_bytes_per_s
    if math.isfinite(held.downtime_limit_s):
        changes["downtime_limit_s"] = held.downtime_limit_s
    if math.isfinite(held.switchover_bandwidth_bytes_per_s):
        changes["settings"] = (("switchover_bandwidth_bytes_per_s", held.switchover_bandwidth_bytes_per_s),)
    return Scenario(
        guest=guest,
        host=Host(firmware_bytes=0),
        policy=Policy(**changes),
        strategy=Strategy(auto_converge=held.throttled),
    )


def self_check(guest: Guest, held: Conditions, log: Log) -> tuple[str, ...]:
    """Return what the fitted guest makes of the migration that it was fitted to, and what happened, in sentences.

    Examples
    --------
    >>> from migkit.importers import read
    >>> log = read('{"status": "active", "total-time": 900, "ram": {"total": 1048576, "remaining": 4096}}')[0]
    >>> self_check(Guest(memory_bytes=2**20), of_log(log), log)[0]
    'it converges'
    """
    if math.isfinite(held.postcopy_s):
        return ()
    case = scenario(guest, held)
    told = predict(case, level=None, detail=False)
    total_s = log.meta["totals"].get("total_time_s") or log.meta["totals"].get("t_s")
    if log.meta["outcome"] != "completed" or not total_s:
        return (f"it {told.verdict.replace('_', ' ')}", *_why(case))
    if told.verdict != "converges":
        return (
            "Not stationary: the logged migration came to its end, the guest as fitted does not let it "
            f"({told.verdict.replace('_', ' ')}). Its load fell before the end, or it was helped.",
            *_why(case),
        )
    return (f"predicted {format_duration(told.total_time_s)}, measured {format_duration(total_s)}",)


def _why(case: Scenario) -> tuple[str, ...]:
    speed, limit_s = case.policy.max_bandwidth_bytes_per_s, case.policy.downtime_limit_s
    natural_s = natural_downtime_s(case.guest, speed)
    return (
        f"natural downtime {format_duration(natural_s)} at {format_rate(speed)}, limit {format_duration(limit_s)}",
    )


def with_guest(case: Scenario, guest: Guest) -> Scenario:
    """Return ``case`` with another guest."""
    return dataclasses.replace(case, guest=guest)
