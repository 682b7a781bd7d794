"""When a migration under way will end, whether it will, and for how long the guest will stand."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from migkit.calibrate.forecast.belief import Belief, beliefs, is_ending
from migkit.calibrate.forecast.candidates import DRAWS
from migkit.calibrate.forecast.lattice import normals
from migkit.calibrate.forecast.speeds import BINDS, falling, fastest_of, push_of, pushed, speed_of, zero_pages_passed
from migkit.calibrate.guest.first_pass import pages_ahead
from migkit.engine.records import Result
from migkit.models.midway import rest
from migkit.models.spread import residuals
from migkit.models.spread.draws import additions
from migkit.scenario import Guest, Host, Scenario
from migkit.units import PAGE_BYTES

if TYPE_CHECKING:
    from migkit.importers import Log

__all__ = ["Forecaster", "Outlook"]

_LEVEL: Final = 0.9
_BACKWARDS: Final = 0.02  # of the expected time: what is shown never falls behind its best by more
_RUN_TO_RUN: Final = 0.03  # of what is to come, from one run to the next
_WINDOW_S: Final = 0.06
_PRICES: Final = 0.2  # that what a page takes differs by in the course of a push
_NEAR: Final = 0.07  # an end that is off by no more is as good as right, as logarithm ...
_FAR: Final = 0.12  # ... and one that is off by so much as bad as any
_ASKED: Final = 201
_AS_GOOD: Final = 0.99
_HOSTS: Final = 101
_WAITS: Final = {"pre-switchover": "migrate-continue", "postcopy-paused": "migrate-recover"}  # by state: the command
_SETTINGS: Final = ("max_bandwidth_bytes_per_s", "max_postcopy_bandwidth_bytes_per_s", "downtime_limit_s")
_FINISHED: Final = {"completed": "converges", "cancelled": "aborted", "failed": "aborted"}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What is expected of a migration, as of one reading.

    Attributes
    ----------
    t_s
        Time since the request [s]; NaN: it has ended, and the log does not say when.
    phase
        setup, precopy, stopcopy, postcopy or done.
    verdict
        ``converges``, ``does_not_converge`` or ``aborted``; ``not_known`` before the first pass has ended, where
        nothing was measured of the guest beforehand: then the end is that of a guest that writes nothing.
    end_s, low_s, high_s
        When it ends, since the request, and the bounds of that at 90 % [s]; infinite: never.
    share
        Share of the expected time that is over; NaN: without end. It never falls behind its best by more than 2 %,
        unless another migration begins, somebody changes the cap or the limit, or a wait for a command is over.
    converges
        Probability that it converges as things stand; NaN: not known.
    downtime_s, downtime_low_s, downtime_high_s
        For how long the guest will stand, and the bounds of that at 90 % [s]; NaN: not known.
    iteration, remaining_bytes, bandwidth_bytes_per_s, throttle
        As of the reading.
    waits_for
        The command that somebody must give before it goes on, so that its end is not known; empty: none.
    outcome, reason
        How it ended, as ``Log.meta`` names that, and why, in QEMU's words; empty: it has not, or nobody says.
    """

    t_s: float
    phase: str
    verdict: str
    end_s: float
    low_s: float
    high_s: float
    share: float
    converges: float = math.nan
    downtime_s: float = math.nan
    downtime_low_s: float = math.nan
    downtime_high_s: float = math.nan
    iteration: int = 0
    remaining_bytes: float = math.nan
    bandwidth_bytes_per_s: float = math.nan
    throttle: float = 0.0
    waits_for: str = ""
    outcome: str = ""
    reason: str = ""

    def completed(self) -> Outlook:
        """Return the outlook once the guest is known to have moved, though no reading tells of the end."""
        end_s = max(self.t_s, self.end_s) if math.isfinite(self.end_s) else self.t_s
        ends: dict[str, Any] = dict.fromkeys(("t_s", "end_s", "low_s", "high_s"), end_s)
        return dataclasses.replace(
            self, phase="done", verdict="converges", outcome="completed", share=1.0, converges=1.0, **ends
        )


class Forecaster:
    """Forecasts one migration from reading to reading.

    Parameters
    ----------
    base
        What is known beside the readings: the policy and the strategy, and the guest where it was measured before.

    Attributes
    ----------
    beliefs
        What the last outlook rests on, the central belief first.

    Examples
    --------
    >>> from migkit.importers import read
    >>> from migkit.traces import data
    >>> log = read(data.data_path("kvm_database/precopy-4t-1.json.gz"))[0]
    >>> early = dataclasses.replace(log, frame=log.frame[log.frame["t_s"] < 17])
    >>> outlook = Forecaster().outlook(early)
    >>> outlook.verdict, 17 < outlook.end_s < 19
    ('converges', True)
    """

    def __init__(self, base: Scenario | None = None) -> None:
        self._base, self._told_now, self._seen_s = base, False, math.inf
        self._best, self._t_s = 0.0, 0.0
        self._settings: tuple[Any, ...] = ()
        self.beliefs: list[Belief] = []

    def learn(self, base: Scenario, seen_s: float = math.inf) -> None:
        """Take what is known beside the readings from now on: its guest is as it is now, and was measured so long."""
        self._base, self._told_now, self._seen_s = base, True, seen_s

    def outlook(self, log: Log) -> Outlook:
        """Return what is expected now, from a log of all readings so far.

        Only readings count: not what the log says of the end, unless it has come.
        """
        last = _last(log)
        self.beliefs = []
        self._begin_anew(log, last)
        if last["phase"] == "done":
            return self._shown(_over(log, last))
        if last["phase"] in ("postcopy", "stopcopy"):
            return self._shown(_pushing(log, last, self._base.guest if self._base is not None else None))
        found = self.beliefs = beliefs(log, self._base, self._told_now, self._seen_s)
        if not found:
            return _unknown(last, math.inf)
        return self._shown(_expected(found, last))

    def _begin_anew(self, log: Log, last: Mapping[str, Any]) -> None:
        """Forget the best share where the end moves for a reason that no reading before could tell."""
        settings = tuple(log.meta["settings"].get(name) for name in _SETTINGS)
        if last["t_s"] < self._t_s or settings != self._settings or last["waits_for"]:
            self._best = 0.0
        self._t_s, self._settings = last["t_s"], settings

    def _shown(self, told: Outlook) -> Outlook:
        """Hold the share that is over within 2 % of its best, and the end that is said with it."""
        if told.verdict == "not_known" or not told.end_s < math.inf or told.t_s <= 0.0:
            return told
        share = min(1.0, max(told.t_s / max(told.end_s, told.t_s), self._best - _BACKWARDS))
        self._best = max(self._best, share)
        end_s = told.t_s / share
        return dataclasses.replace(told, share=share, end_s=end_s, low_s=min(told.low_s, end_s))


def _last(log: Log) -> dict[str, Any]:
    """Return what the last reading says."""
    frame = log.frame
    told = frame[frame["remaining_bytes"].notna()]
    row = frame.iloc[-1]
    phase = row["phase"] if row["phase"] in ("precopy", "stopcopy", "postcopy", "done") else "setup"
    times = frame["t_s"].dropna()
    return {
        "t_s": float(times.iloc[-1]) if len(times) else 0.0,
        "phase": phase,
        "iteration": 1 if pages_ahead(log) > 0.0 else int(np.nan_to_num(frame["iteration"].max())),
        "remaining_bytes": float(told["remaining_bytes"].iloc[-1]) if len(told) else math.nan,
        "bandwidth_bytes_per_s": speed_of(log),
        "throttle": float(np.nan_to_num(row["throttle"])),
        "waits_for": _WAITS.get(row["status"], "") if "status" in frame else "",
    }


def _unknown(last: dict[str, Any], end_s: float) -> Outlook:
    """Return the outlook of a guest of which nothing is known: it ends at the earliest when an idle one would."""
    return Outlook(**last, verdict="not_known", end_s=end_s, low_s=last["t_s"], high_s=math.inf, share=math.nan)


def _over(log: Log, last: dict[str, Any]) -> Outlook:
    totals = log.meta["totals"]
    end_s = float(totals.get("total_time_s") or last["t_s"]) or math.nan
    downtime_s = float(totals.get("downtime_s") or math.nan)
    outcome = log.meta["outcome"]
    verdict = _FINISHED.get(outcome, "aborted")
    last = last | {"t_s": max(end_s, last["t_s"])}
    return Outlook(
        **last,
        outcome=outcome if outcome in _FINISHED else "",
        reason=log.meta["texts"].get("error-desc", ""),
        verdict=verdict,
        end_s=end_s,
        low_s=end_s,
        high_s=end_s,
        share=1.0,
        converges=1.0 if verdict == "converges" else 0.0,
        downtime_s=downtime_s,
        downtime_low_s=downtime_s,
        downtime_high_s=downtime_s,
    )


def _pushing(log: Log, last: dict[str, Any], guest: Guest | None) -> Outlook:
    """Return the outlook where nothing is dirtied any more.

    What remains goes as what has gone. How much of it is zero pages nobody knows, unless the guest is known, so the
    bounds are those of no full page and of full pages alone. A guest that stands already may stand for as long again:
    what it waits for is not in the counters.
    """
    if last["waits_for"]:
        ends = {"end_s": math.inf, "low_s": last["t_s"], "high_s": math.inf, "share": math.nan}
        return Outlook(**last, verdict="converges", converges=1.0, **ends)
    left_s, low_s, high_s, stood_s = 0.0, 0.0, 0.0, 0.0
    if last["phase"] == "postcopy":
        left_s, low_s, high_s = _push_s(log, last["remaining_bytes"], guest)
    else:
        stood_s = last["t_s"] - float(log.frame.loc[log.frame["phase"] == "stopcopy", "t_s"].min())
    end_s = last["t_s"] + left_s
    return Outlook(
        **last,
        verdict="converges",
        end_s=end_s,
        low_s=last["t_s"] + low_s,
        high_s=max(last["t_s"] + high_s, end_s + max(2.0 * _WINDOW_S, stood_s)),
        share=0.0,
        converges=1.0,
    )


def _push_s(log: Log, left_bytes: float, guest: Guest | None) -> tuple[float, float, float]:
    """Return how long the push takes from now on, and the bounds of that [s]; 0: not known."""
    zero_page_s = Host().postcopy_zero_page_cpu_s
    if guest is None or not guest.zero_bytes:
        found = _as_passed_s(log, left_bytes / PAGE_BYTES)
        if found is not None:
            return found
    left_s = _as_known_s(log, left_bytes, guest)
    return left_s, min(0.8 * left_s, left_bytes / PAGE_BYTES * zero_page_s), 1.5 * left_s


def _as_passed_s(log: Log, pages: float) -> tuple[float, float, float] | None:
    """Return how long pages take of which nobody knows how many are zero, and the bounds of that [s].

    Where demands led the push there were more full pages than there are elsewhere. Where it went its own way there
    were fewer than there are to come, since the guest has not asked for all that it uses. So the share lies between
    these two, and the time in the middle of both.
    """
    host = Host()
    speed = _freed_bytes_per_s(log)
    speed = speed if speed > 0.0 else fastest_of(log)
    speed = speed if speed > 0.0 else host.goodput_bytes_per_s
    push = push_of(log, PAGE_BYTES / speed, host.postcopy_zero_page_cpu_s)
    if push is None:
        return None

    def lasting_s(share: float) -> float:
        return pages * (share * push.full_page_s + (1.0 - share) * push.zero_page_s)

    none_s, all_s = sorted((lasting_s(0.0), lasting_s(1.0)))
    left_s = math.sqrt(lasting_s(push.own_share) * lasting_s(push.share))
    return left_s, (1.0 - _PRICES) * none_s, (1.0 + _PRICES) * all_s


def _freed_bytes_per_s(log: Log) -> float:
    """Return how fast a push may go that a cap held back before, while it was a pre-copy [B/s]; NaN: none did."""
    said, frame = log.meta["settings"], log.frame
    windows = frame.loc[frame["phase"] == "precopy", "bandwidth_bytes_per_s"]  # as QEMU measured them
    fastest = max(fastest_of(log), float(np.nan_to_num(windows.max())))
    if not fastest >= BINDS * float(said.get("max_bandwidth_bytes_per_s") or math.inf):
        return math.nan
    return min(Host().goodput_bytes_per_s, float(said.get("max_postcopy_bandwidth_bytes_per_s") or math.inf))


def _as_known_s(log: Log, left_bytes: float, guest: Guest | None) -> float:
    """Return how long the push takes from now on by what is known of its zero pages [s]; 0: not known.

    At its first reading it goes as fast as a host can, if a cap held the pre-copy back.
    """
    first = int((log.frame["phase"] == "postcopy").sum()) < 2
    zero_page_s = Host().postcopy_zero_page_cpu_s
    speed = _freed_bytes_per_s(log) if first else math.nan
    if guest is None or not guest.zero_bytes:
        speed = speed if speed > 0 else falling(log)
        zero_bytes = 0.0
    else:
        speed = speed if speed > 0 else pushed(log, zero_page_s)
        zero_bytes = min(left_bytes, max(0.0, guest.zero_bytes - PAGE_BYTES * zero_pages_passed(log)))
    found = (left_bytes - zero_bytes) / speed + zero_bytes / PAGE_BYTES * zero_page_s if speed > 0 else 0.0
    return found if math.isfinite(found) else 0.0


def _expected(found: list[Belief], last: dict[str, Any]) -> Outlook:
    """Return the outlook that beliefs give: of the central one the end, of all of them the bounds."""
    results = [rest(one.case, one.standing) for one in found]
    ends = [_end_s(result) for result in results]
    converging = [is_ending(result) for result in results]
    probability = float(np.mean(converging))
    if not found[0].known:
        return _unknown(last, max(ends[0], last["t_s"]))
    verdict = "converges" if probability >= 0.5 else "does_not_converge"
    some = [end for end, ending in zip(ends, converging, strict=True) if ending]
    end_s = math.inf
    if verdict == "converges":
        end_s = _likeliest(some)
    stands = [float(result.downtime_s) for result in results if is_ending(result)] or [math.nan]
    stands_s = float(results[0].downtime_s) if converging[0] else float(np.median(stands))
    shortest_s, longest_s = _downtimes(stands, found[0].case)
    low_s, high_s = _bounds(sorted(end + _noise_s(end, last["t_s"], at) for at, end in enumerate(ends)))
    return Outlook(
        **last,
        verdict=verdict,
        end_s=end_s,
        low_s=max(last["t_s"], min(low_s, end_s)),
        high_s=max(high_s, end_s),
        share=math.nan if math.isinf(end_s) else 0.0,
        converges=probability,
        downtime_s=stands_s,
        downtime_low_s=min(shortest_s, stands_s),
        downtime_high_s=max(longest_s, stands_s),
    )


def _downtimes(stands: list[float], case: Scenario) -> tuple[float, float]:
    """Return the bounds of a downtime at 90 % [s], from what the beliefs say of it; NaN where they say nothing.

    Hosts of one kind differ in what they need between stop and resume. The counters tell nothing of that, so the
    bounds are drawn and widened as those of a prediction are.
    """
    _, added_s = additions(case, _HOSTS, seed=0)
    drawn = np.maximum(0.0, np.add.outer(stands, np.ravel(added_s))).ravel()
    drawn_low, drawn_high = (np.array([[1.0, bound_s, 1.0]]) for bound_s in _bounds(sorted(drawn.tolist())))
    low, high = residuals.widened(case, drawn_low, drawn_high, 0.0, _LEVEL, residuals.learned_for(case))
    return float(low[0, 1]), float(high[0, 1])


def _likeliest(ends: list[float]) -> float:
    """Return the end that most ends are near."""
    values = np.array(ends)
    asked = np.geomspace(values.min(), values.max(), _ASKED)
    apart = np.abs(np.log(values[:, None] / asked[None, :]))
    near = np.clip((_FAR - apart) / (_FAR - _NEAR), 0.0, 1.0).sum(axis=0)
    return float(np.median(asked[near >= _AS_GOOD * near.max()]))


def _end_s(result: Result) -> float:
    return float(result.total_s) if is_ending(result) else math.inf


def _noise_s(end_s: float, now_s: float, at: int) -> float:
    """Return what a run differs by from its model: of what is to come, and by when its windows end [s]."""
    z = normals(DRAWS, 3, 2)[at % DRAWS]
    return float(_RUN_TO_RUN * z[0] * (end_s - now_s) + _WINDOW_S * z[1]) if math.isfinite(end_s) else 0.0


def _bounds(ordered: list[float]) -> tuple[float, float]:
    """Return the bounds that hold 90 % of values in ascending order."""
    count = len(ordered)
    low = math.floor(0.5 * (1.0 - _LEVEL) * (count - 1))
    return ordered[low], ordered[count - 1 - low]
