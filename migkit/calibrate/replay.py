"""What another rule would have done in a migration that was recorded, and when.

The rule is asked at each reading of the record, just as a simulation asks it (:mod:`migkit.policies.decision`). Its
orders are noted and not obeyed: the record goes on as it was. Where the rule wants a bitmap sync that the record does
not have, the guest fitted to the record's rounds says what that would have marked; where it would switch over then,
it does. A rule that has not decided by the end of the record has no answer.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from migkit.calibrate.guest import rounds
from migkit.calibrate.guest.curve import fit_curve
from migkit.calibrate.guest.rounds import Observed
from migkit.errors import UsageError
from migkit.models.dirty import unique_dirty_pages
from migkit.policies import decision
from migkit.scenario import Guest, Policy, Strategy
from migkit.scenario.policy import pack
from migkit.units import PAGE_BYTES

if TYPE_CHECKING:
    from migkit.importers import Log

__all__ = ["Order", "Replayed", "replay"]

_WINDOW_S: Final = 0.1
_NEEDED: Final = ("t_s", "remaining_bytes", "sent_bytes")
_DONE: Final = {
    decision.SWITCHOVER: "switches over",
    decision.POSTCOPY: "turns to post-copy",
    decision.ABORT: "gives up",
    decision.TIME_OUT: "times out",
}
_SAME: Final = 1e-9


class Order(NamedTuple):
    """Something that the rule orders: at a time [s], what, and to what (``downtime_limit_s`` [s], ``throttle``)."""

    t_s: float
    what: str
    value: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What a rule does over a record.

    Attributes
    ----------
    policy
        Its name.
    action
        What it does in the end; empty: it has not decided by the end of the record.
    t_s
        When, or how long the record is [s].
    remaining_bytes, bandwidth_bytes_per_s
        What it had before it then.
    downtime_s
        How long that takes at that speed [s].
    orders
        What it ordered until then.
    """

    policy: str
    action: str
    t_s: float
    remaining_bytes: float
    bandwidth_bytes_per_s: float
    downtime_s: float
    orders: tuple[Order, ...]


class _Moment(NamedTuple):
    t_s: float
    synced: bool
    remaining_bytes: float
    sent_bytes: float
    iteration: float
    bandwidth_bytes_per_s: float


def replay(log: Log, policy: Policy, strategy: Strategy | None = None) -> Replayed:
    """Return what ``policy`` would have done in a recorded migration.

    Parameters
    ----------
    log
        The record: an imported log, or a trace as :func:`migkit.importers.of_trace` gives it.
    policy, strategy
        The rule; its cap is not looked at, since the record has the speeds that it has.

    Raises
    ------
    UsageError
        The record has no readings of pre-copy with time, remainder and bytes sent.

    Examples
    --------
    >>> from migkit.importers import of_trace
    >>> from migkit.traces import data, io
    >>> trace = io.read(data.data_path("traces/slow.parquet"))
    >>> found = replay(of_trace(trace), trace.scenario.policy)
    >>> found.action, abs(found.t_s - trace.outcome.total_time_s) < 0.2
    ('switches over', True)
    """
    observed = rounds.of_log(log)
    moments = list(_moments(log, observed))
    if not moments:
        raise UsageError(
            "replay: the record has no reading of pre-copy with time, remaining memory and bytes sent; "
            "migkit import says what it holds"
        )
    return _Rule(observed, policy, strategy or Strategy()).over(moments)


def _moments(log: Log, observed: Observed | None) -> Iterator[_Moment]:
    """Yield the readings of pre-copy as ends of windows, and the syncs between them as the rounds tell them.

    The reading at which the guest had stopped follows a sync as well: the rule in force decided by it.
    """
    frame = log.frame
    if log.kind != "migration" or any(name not in frame for name in _NEEDED):
        return
    running = frame["phase"] == "precopy"
    stop = (frame["phase"] == "stopcopy") & (frame["phase"].shift() == "precopy")  # the rule in force decided here
    told = frame[running | stop].dropna(subset=list(_NEEDED))
    t, left, sent = (told[name].to_numpy(float) for name in _NEEDED)
    iteration = np.nan_to_num(told["iteration"].to_numpy(float), nan=1.0)
    stopped = stop[told.index].to_numpy()
    syncs = list(_syncs(observed)) if observed is not None else []
    cap = log.meta.get("settings", {}).get("max_bandwidth_bytes_per_s") or math.inf
    number = 0.0
    for at in range(t.size):
        first = max(0, int(np.searchsorted(t, t[at] - _WINDOW_S, side="right")) - 1)
        speed = _speed(t[at] - t[first], sent[at] - sent[first]) if at else _speed(t[0], sent[0])
        speed = min(speed, cap)
        while syncs and syncs[0][0] <= t[at]:
            sync_s, found_pages = syncs.pop(0)
            number = max(number + 1.0, iteration[max(0, at - 1)])
            gone = sent[at] - speed * (t[at] - sync_s)
            yield _moment(True, sync_s, found_pages * PAGE_BYTES, max(0.0, gone), number, speed)
        yield _moment(stopped[at], t[at], left[at], sent[at], max(number, 1.0), speed)


def _speed(span_s: float, sent_bytes: float) -> float:
    """Return the speed [B/s]; none is known before a window has gone by, since what it may send goes at its start."""
    return max(0.0, sent_bytes / span_s) if span_s >= _WINDOW_S else 0.0


def _moment(synced: Any, *numbers: Any) -> _Moment:
    t_s, *others = map(float, numbers)
    return _Moment(t_s, bool(synced), *others)


def _syncs(observed: Observed) -> Iterator[tuple[float, float]]:
    """Yield when each sync was [s], and what it left to send [pages]."""
    for one in observed.rounds:
        yield one.start_s, one.to_send_pages
    if math.isfinite(observed.synced_s):
        yield observed.synced_s, observed.found_pages


class _Rule:
    """A rule that is asked at each moment of a record."""

    def __init__(self, observed: Observed | None, policy: Policy, strategy: Strategy) -> None:
        self._policy = policy
        self._parameters = pack(policy, strategy)
        self._state = decision.new_state()
        self._memory_bytes = observed.memory_bytes if observed is not None else 0
        self._guest = _fitted(observed) if observed is not None else None
        self._orders: list[Order] = []
        self._synced_s = 0.0
        self._synced_bytes = 0.0

    def over(self, moments: list[_Moment]) -> Replayed:
        """Ask at each moment until the rule decides."""
        self._state.guest_bytes = self._memory_bytes or moments[0].remaining_bytes
        for moment in moments:
            action, left = self._ask(moment, moment.synced, moment.remaining_bytes)
            if moment.synced:
                self._synced_s, self._synced_bytes = moment.t_s, moment.sent_bytes
            if action == decision.SYNC:
                action, left = self._after_a_sync(moment)
            self._note(moment.t_s)
            if action in _DONE:
                return self._replayed(_DONE[action], moment, left)
        return self._replayed("", moments[-1], moments[-1].remaining_bytes)

    def _ask(self, moment: _Moment, synced: bool, left_bytes: float) -> tuple[int, float]:
        state = self._state
        state.now_s, state.sent_bytes, state.iteration = moment.t_s, moment.sent_bytes, moment.iteration
        state.event = decision.SYNCED if synced else decision.WINDOW if left_bytes > 0 else decision.EMPTY
        state.dirtied_pages = max(0.0, left_bytes - state.remaining_bytes) / PAGE_BYTES if synced else 0.0
        state.remaining_bytes = left_bytes
        state.bandwidth_bytes_per_s = moment.bandwidth_bytes_per_s
        state.sent_pages = moment.sent_bytes / PAGE_BYTES
        state.round_start_s = self._synced_s
        state.round_sent_bytes = moment.sent_bytes - self._synced_bytes
        return int(decision.decide(state, self._parameters, self._policy.decider)), left_bytes

    def _after_a_sync(self, moment: _Moment) -> tuple[int, float]:
        """Return what the rule does where it syncs by itself; it goes on as the record does unless it decides."""
        window_s = moment.t_s - self._synced_s
        marked = unique_dirty_pages(self._guest, window_s) * PAGE_BYTES if self._guest is not None else 0.0
        kept = self._state.copy()
        action, left = self._ask(moment, True, moment.remaining_bytes + marked)
        if action not in _DONE:
            self._state[:] = kept
        return action, left

    def _note(self, t_s: float) -> None:
        for what in ("downtime_limit_s", "throttle"):
            value = float(getattr(self._state, what))
            last = next((one.value for one in reversed(self._orders) if one.what == what), 0.0)
            if abs(value - last) > _SAME and math.isfinite(value):
                self._orders.append(Order(t_s, what, value))

    def _replayed(self, action: str, moment: _Moment, left_bytes: float) -> Replayed:
        speed = moment.bandwidth_bytes_per_s
        return Replayed(
            policy=self._policy.name,
            action=action,
            t_s=moment.t_s,
            remaining_bytes=left_bytes,
            bandwidth_bytes_per_s=speed,
            downtime_s=left_bytes / speed if speed > 0 else math.nan,
            orders=tuple(self._orders),
        )


def _fitted(observed: Observed) -> Guest | None:
    """Return the guest whose syncs would have marked what the record's did; None: it has no rounds."""
    if not observed.rounds:
        return None
    zero = 0.0 if math.isnan(observed.zero_pages) else observed.zero_pages
    limit = max(1.0, observed.memory_bytes / PAGE_BYTES - zero)
    curve = fit_curve(observed.rounds, limit, [1.0 - one.throttle for one in observed.rounds])
    return Guest(memory_bytes=observed.memory_bytes, dirty=curve.classes())
