"""What the counters seen so far allow one to believe: guests, and where the migration stands with each of them.

The rounds so far give the guest's page classes (:mod:`migkit.calibrate.guest.curve`). Three things stay uncertain and
are drawn: how much the guest will write compared with its last rounds, how fast the path will be, and, while rounds
were all alike, which of the guests that fit one window it is. In the first pass nothing is known of what the guest
writes, unless it was measured before the move.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from migkit.calibrate import conditions
from migkit.calibrate.forecast.candidates import DRAWS, Candidate, candidates, passes, written_pages
from migkit.calibrate.forecast.judged import judged_so_far
from migkit.calibrate.forecast.lattice import normals
from migkit.calibrate.forecast.rewrites import difference_bytes, with_rewrites
from migkit.calibrate.forecast.speeds import BINDS, fastest_of, speed_of, spent_since_s, zero_page_s
from migkit.calibrate.guest import rounds
from migkit.calibrate.guest.first_pass import pages_ahead, syncs_at_every_look
from migkit.calibrate.guest.followed import later
from migkit.calibrate.guest.rounds import Observed
from migkit.models.midway import Pass, Standing, course
from migkit.models.result import Point
from migkit.policies import decision, systems
from migkit.scenario import Guest, Link, Scenario, Strategy
from migkit.units import PAGE_BYTES

if TYPE_CHECKING:
    from migkit.engine.records import Result
    from migkit.importers import Log

__all__ = ["Belief", "allowed_bytes", "beliefs", "course_of", "is_ending"]

_WIRE_BYTES: Final = PAGE_BYTES + 8.0
_SPEED_SPREAD: Final = 0.01
_SEEN: Final = 3  # rounds before the present one: what was long ago was under another limit
_WINDOW_S: Final = 0.1  # of QEMU's rate limit
_NEVER_S: Final = 1e9  # when a migration turns to post-copy that it may and nobody ordered


class Belief(NamedTuple):
    """One guest that the counters allow, and what goes with it.

    Attributes
    ----------
    case
        The scenario, with the cap, the limit and the speed in force.
    standing
        Where the migration stands.
    known
        Whether anything is known of what the guest writes.
    """

    case: Scenario
    standing: Standing
    known: bool


def beliefs(log: Log, base: Scenario | None = None, told_now: bool = False, seen_s: float = math.inf) -> list[Belief]:
    """Return what the counters of a migration in pre-copy allow one to believe, the central belief first.

    Parameters
    ----------
    log
        The migration so far. Cap, limit and capabilities are its settings, where it says them.
    base
        What is known beside them: its policy and strategy, and its guest where that has page classes.
    told_now
        Whether that guest is as it is now; else it is as it was at the request, and its growths have gone on since.
    seen_s
        For how long it was measured [s].

    Examples
    --------
    >>> from migkit.importers import read
    >>> from migkit.traces import data
    >>> log = read(data.data_path("kvm_database/precopy-4t-1.json.gz"))[0]
    >>> found = beliefs(dataclasses.replace(log, frame=log.frame[log.frame["t_s"] < 17]))
    >>> found[0].known, found[0].standing.iteration
    (True, 3)
    """
    now = _Now.of(log)
    observed = rounds.of_log(log)
    if now is None:
        return []
    ahead = pages_ahead(log)
    if ahead > 0.0:  # its syncs are none of the end of a pass
        now, observed = dataclasses.replace(now, iteration=1, left_pages=ahead), None
    case = _as_seen(_case(log, now, base), now, observed)
    memory_bytes = int(now.memory_pages) * PAGE_BYTES
    profiled = base.guest if base is not None else None
    if profiled is not None:
        profiled = _turned_back(profiled if told_now else later(profiled, now.t_s), now.t_s)
    throttles = case.strategy.auto_converge or now.throttle > 0.0
    shortest_s = max(_WINDOW_S, case.policy.downtime_limit_s)  # in which what may be left at the end is sent
    found = candidates(observed, memory_bytes, profiled, throttles, seen_s, shortest_s)
    known = bool(found)
    if case.xbzrle_cache_bytes is not None and observed is not None:
        each = difference_bytes(log)
        found = [one._replace(guest=with_rewrites(one.guest, observed.rounds, each, case.host)) for one in found]
    found = found or [Candidate(Guest(memory_bytes=memory_bytes), ())]
    spread = normals(DRAWS, 2, 1)[:, 1].tolist()
    judged = judged_so_far(log, observed, case)
    spent_s = _spent_since_s(log, case, observed)
    return [
        Belief(
            _with(case, one.guest, math.exp(_SPEED_SPREAD * spread[at % DRAWS]) if at else 1.0),
            dataclasses.replace(
                _standing(one, observed, now),
                judged=judged,
                spent_since_s=spent_s,
                passes=_passes(one, observed, case),
            ),
            known,
        )
        for at, one in enumerate(found)
    ]


def course_of(found: Sequence[Belief]) -> tuple[Point, ...]:
    """Return what will remain from now on if the central belief is right; empty: nothing is known.

    Examples
    --------
    >>> from migkit.importers import read
    >>> from migkit.traces import data
    >>> line = course_of(beliefs(read(data.data_path("kvm_database/precopy-4t-1.json.gz"))[0].until(17.0)))
    >>> line[0].t_s > 16.5, line[-1].remaining_bytes
    (True, 0.0)
    """
    line = course(found[0].case, found[0].standing) if found and found[0].known else ()
    return tuple(point for point in line if point.t_s < 0.5 * _NEVER_S)  # rounds that repeat are jumped over


def allowed_bytes(found: Sequence[Belief]) -> float:
    """Return at how much left the rule switches over, as of the speed measured last [B]; NaN: not known.

    Examples
    --------
    >>> from migkit.importers import read
    >>> from migkit.traces import data
    >>> log = read(data.data_path("kvm_database/precopy-4t-1.json.gz"))[0].until(17.0)
    >>> round(allowed_bytes(beliefs(log)) / 2**20)
    39
    """
    if not found or not found[0].standing.bandwidth_bytes_per_s > 0:
        return math.nan
    return _allowed_bytes(found[0].case, found[0].standing.bandwidth_bytes_per_s)


def _allowed_bytes(case: Scenario, measured_bytes_per_s: float) -> float:
    """Return at how much left QEMU's rule switches over [B]."""
    told = case.policy.setting("switchover_bandwidth_bytes_per_s")
    return float(told or measured_bytes_per_s) * case.policy.downtime_limit_s


def is_ending(result: Result) -> bool:
    """Return whether a migration ends as things stand: not by a turn to post-copy that is permitted and not ordered.

    Examples
    --------
    >>> from migkit.importers import read
    >>> from migkit.models.midway import rest
    >>> from migkit.traces import data
    >>> found = beliefs(read(data.data_path("kvm_database/precopy-4t-1.json.gz"))[0].until(17.0))
    >>> is_ending(rest(found[0].case, found[0].standing))
    True
    """
    ended = int(result.action) in (decision.SWITCHOVER, decision.POSTCOPY)
    return ended and bool(result.total_s < _NEVER_S)


def _turned_back(guest: Guest, now_s: float) -> Guest:
    """Return a guest with its phases, where known, as they were at the request, when the engine's clock began."""
    dirty = []
    for one in guest.dirty:
        if one.phase_offset_s is not None and one.phases:
            cycle_s = sum(duration_s for duration_s, _ in one.phases)
            one = dataclasses.replace(one, phase_offset_s=(one.phase_offset_s - now_s) % cycle_s)
        dirty.append(one)
    return dataclasses.replace(guest, dirty=tuple(dirty))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Now:
    """The last reading, and the speed of the last second, and of the best of the last seconds."""

    t_s: float
    iteration: int
    left_pages: float
    memory_pages: float
    sent_bytes: float
    speed_bytes_per_s: float
    fastest_bytes_per_s: float
    window_bytes_per_s: float
    throttle: float

    @classmethod
    def of(cls, log: Log) -> _Now | None:
        frame = log.frame
        told = frame[(frame["phase"] == "precopy") & frame["remaining_bytes"].notna() & frame["t_s"].notna()]
        memory = frame["total_bytes"].max() if "total_bytes" in frame else math.nan
        if math.isnan(memory):
            memory = float(log.meta["totals"].get("total_bytes") or 0.0)
        speed = speed_of(log)
        if told.empty or not memory >= PAGE_BYTES or not speed > 0:
            return None
        last = told.iloc[-1]
        windows = told["bandwidth_bytes_per_s"].dropna()
        windows = windows[windows > 0]
        return cls(
            t_s=float(last["t_s"]),
            iteration=int(np.nan_to_num(last["iteration"], nan=1.0)),
            left_pages=float(last["remaining_bytes"]) / PAGE_BYTES,
            memory_pages=float(memory) / PAGE_BYTES,
            sent_bytes=float(np.nan_to_num(last["sent_bytes"])),
            speed_bytes_per_s=speed,
            fastest_bytes_per_s=fastest_of(log),
            window_bytes_per_s=float(windows.iloc[-1]) if len(windows) else speed,
            throttle=float(np.nan_to_num(last["throttle"])),
        )


def _case(log: Log, now: _Now, base: Scenario | None) -> Scenario:
    """Return the scenario of the migration but for its guest: the rule, cap and limit in force, and the path."""
    guest = Guest(memory_bytes=int(now.memory_pages) * PAGE_BYTES)
    held = conditions.of_log(log)
    said = conditions.scenario(guest, held)
    said = dataclasses.replace(said, strategy=_strategy(log, said.strategy))
    policy = dataclasses.replace(said.policy, name=systems.of_qemu((log.meta["version"] or {}).get("qemu")))
    host = dataclasses.replace(base.host if base is not None else said.host, firmware_bytes=0)
    host = dataclasses.replace(host, platform=host.platform or conditions.platform(log))
    zero_s = zero_page_s(log)
    if zero_s > 0:
        host = dataclasses.replace(host, zero_page_cpu_s=zero_s)
    said = dataclasses.replace(said, host=host)
    if base is not None:
        if base.strategy.name != "precopy":
            said = dataclasses.replace(said, strategy=base.strategy)
        if base.policy.name != "qemu":
            policy = dataclasses.replace(policy, name=base.policy.name, settings=base.policy.settings)
    said = dataclasses.replace(said, policy=policy)
    return _held_back(said, now, held)


def _as_seen(case: Scenario, now: _Now, observed: Observed | None) -> Scenario:
    """Return the scenario with a limit that the last rounds bear out.

    The rule looks once a window of the rate limit. Where less is left than it allows, it syncs, and where that finds
    less as well, it switches over. So it allows no more than the last syncs found, nor than what was left at them and
    one window.
    """
    seen = observed.rounds[-_SEEN:] if observed is not None else ()
    if observed is None or len(seen) < _SEEN or not case.policy.name.startswith("qemu"):
        return case
    found = min(observed.found_pages, *(one.to_send_pages for one in seen))
    left = max(one.pending_pages for one in seen)
    most_bytes = min(found * PAGE_BYTES, left * PAGE_BYTES + now.speed_bytes_per_s * _WINDOW_S)
    share = most_bytes / _allowed_bytes(case, now.window_bytes_per_s)
    if not share < 1.0:
        return case
    policy = dataclasses.replace(case.policy, downtime_limit_s=case.policy.downtime_limit_s * share)
    return dataclasses.replace(case, policy=policy)


def _strategy(log: Log, said: Strategy) -> Strategy:
    """Return the strategy with what was switched on for this migration."""
    on, settings = log.meta["capabilities"], log.meta["settings"]
    said = dataclasses.replace(said, auto_converge=said.auto_converge or bool(on.get("auto-converge")))
    if syncs_at_every_look(log) and said.name == "precopy":  # post-copy is permitted, and not ordered yet
        said = dataclasses.replace(said, name="hybrid", postcopy_after_s=_NEVER_S)
    if not on.get("xbzrle"):
        return said
    cache_bytes = int(settings.get("xbzrle_cache_bytes") or said.xbzrle_cache_bytes)
    return dataclasses.replace(said, xbzrle=True, xbzrle_cache_bytes=cache_bytes)


def _held_back(case: Scenario, now: _Now, held: conditions.Conditions) -> Scenario:
    """Return the scenario with what holds the speed back: a cap that is reached, else the path.

    Where nobody says the cap, the median of the speeds that the source says stands for it already, if it says any.
    """
    if math.isnan(held.cap_bytes_per_s) and math.isnan(held.speed_bytes_per_s):
        policy = dataclasses.replace(case.policy, max_bandwidth_bytes_per_s=now.speed_bytes_per_s)
        return dataclasses.replace(case, policy=policy)
    if not now.fastest_bytes_per_s < BINDS * held.cap_bytes_per_s:
        return case
    return dataclasses.replace(case, link=Link(bandwidth_bytes_per_s=now.speed_bytes_per_s))


def _with(case: Scenario, guest: Guest, faster: float) -> Scenario:
    """Return the scenario with a guest, on a path that is so much faster."""
    policy, link = case.policy, case.link
    return dataclasses.replace(
        case,
        guest=guest,
        policy=dataclasses.replace(policy, max_bandwidth_bytes_per_s=policy.max_bandwidth_bytes_per_s * faster),
        link=dataclasses.replace(link, bandwidth_bytes_per_s=link.bandwidth_bytes_per_s * faster),
    )


def _spent_since_s(log: Log, case: Scenario, observed: Observed | None) -> float:
    """Return since when the window of a cap lasts whose bytes are sent [s]; NaN: it begins now, or no cap binds."""
    cap = case.policy.max_bandwidth_bytes_per_s
    if not cap <= case.link.bandwidth_bytes_per_s or not math.isfinite(cap):
        return math.nan
    return spent_since_s(log, cap, observed.synced_s if observed is not None else math.nan)


def _passes(found: Candidate, observed: Observed | None, case: Scenario) -> tuple[Pass, ...]:
    """Return what each pass so far sent of each page class, where a cache remembers it."""
    return () if case.xbzrle_cache_bytes is None else passes(found.guest, observed)


def _standing(found: Candidate, observed: Observed | None, now: _Now) -> Standing:
    """Return where the migration stands if the guest is this one."""
    guest = found.guest
    common: dict[str, Any] = {
        "now_s": now.t_s,
        "iteration": max(1, now.iteration),
        "bandwidth_bytes_per_s": now.window_bytes_per_s,
        "sent_bytes": now.sent_bytes,
        "throttle": now.throttle,
    }
    if now.iteration <= 1:
        return _in_first_pass(guest, now, common)
    left, synced_s = _last_sync(observed, now)
    pages = np.array([one.region_pages for one in guest.dirty], float)
    shares = np.array(found.shares)
    dirty = float((shares * pages).sum())
    shares = shares * min(1.0, left / dirty) if dirty > 0 else shares
    ahead = min(1.0, now.left_pages / left) if left > 0 else 0.0
    once = max(0.0, left - float((shares * pages).sum())) * ahead
    return Standing(synced_s=synced_s, ahead=ahead, shares=tuple(shares.tolist()), once_pages=once, **common)


def _in_first_pass(guest: Guest, now: _Now, common: Mapping[str, Any]) -> Standing:
    """Return where the first pass stands: zero pages as the guest has them, else as many as there were so far."""
    sent = now.sent_bytes / _WIRE_BYTES
    passed = now.memory_pages - now.left_pages
    unwritten = sum(one.region_pages - written_pages(one) for one in guest.dirty if one.kind == "growth")
    emptied = sum(one.region_pages * one.zero_share for one in guest.dirty if one.kind != "growth")
    full = now.memory_pages - guest.zero_bytes / PAGE_BYTES - unwritten - emptied
    if not guest.zero_bytes:
        full = now.memory_pages * min(1.0, sent / passed) if passed > 0 else now.memory_pages
    ahead = min(max(0.0, 1.0 - sent / full), now.left_pages / full) if full > 0 else 0.0
    classes = sum(one.region_pages for one in guest.dirty if one.kind != "growth")
    return Standing(
        synced_s=0.0,
        ahead=ahead,
        shares=tuple(float(one.kind != "growth") for one in guest.dirty),
        once_pages=max(0.0, full + emptied - classes) * ahead,
        zero_pages=max(0.0, now.left_pages - (full + emptied) * ahead),
        **common,
    )


def _last_sync(observed: Observed | None, now: _Now) -> tuple[float, float]:
    """Return what the last sync left to send [pages], and when it was [s], which is a guess if no reading tells."""
    if observed is not None and math.isfinite(observed.synced_s):
        return max(observed.found_pages, now.left_pages), min(observed.synced_s, now.t_s)
    marked = observed.rounds[-1].marked_pages if observed is not None and observed.rounds else now.left_pages
    left = max(now.left_pages, marked)
    return left, max(0.0, now.t_s - (left - now.left_pages) * _WIRE_BYTES / now.speed_bytes_per_s)
