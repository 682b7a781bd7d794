"""Why a prediction is as it is, in words, and what would change it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from migkit.engine.packing import Packed
from migkit.engine.records import SETTLED, Result
from migkit.engine.run_state import LAST_S
from migkit.errors import counted
from migkit.models.advice.limits import LIMITS, beyond, bounds, limited_by, words
from migkit.models.advice.remedies import PERMITS, Remedy, advise, idle
from migkit.models.dirty import unique_dirty_pages
from migkit.models.history import LastLook
from migkit.policies import decision
from migkit.scenario import Scenario
from migkit.scenario.ability import missing
from migkit.units import PAGE_BYTES, format_duration, format_rate, format_size

__all__ = ["REASONS", "Facts", "Why", "reason_of", "why"]

_MARGIN: Final = 1.05  # a limit, and a cap, that is a little above what is just enough
_ABOVE: Final = 1.5  # times the limit: the last window's bandwidth may be below that of the round by so much
_FAR_ABOVE: Final = 2.0  # times the limit: a downtime that a reader of the limit does not expect
_YEAR_S: Final = 365.25 * 86_400.0
_WORTH_SAYING: Final = 1.5  # times the cap: what the link would carry without it
REASONS: Final = (  # words of ``reason``
    *("within_limit", "forced", "by_passes", "stopcopy", "postcopy"),
    *("settled", "undecided", "time_limit", "policy_gave_up", "not_admitted"),
)

_BY_ACTION: Final = {
    decision.POSTCOPY: "postcopy",
    decision.ABORT: "policy_gave_up",
    decision.TIME_OUT: "time_limit",
    SETTLED: "settled",
}


class Facts(NamedTuple):
    """What the sentences are made from, beside the scenario and the result.

    Attributes
    ----------
    packed
        The records of the scenario.
    bandwidth_bytes_per_s
        What the migration can send, cap included [B/s].
    natural_s
        The guest's natural downtime at that bandwidth [s].
    last
        What the rule had before it at the end.
    """

    packed: Packed
    bandwidth_bytes_per_s: float
    natural_s: float
    last: LastLook


class Why(NamedTuple):
    """Why a migration ends as it does.

    Attributes
    ----------
    reason
        One of :data:`REASONS`.
    limited_by
        What limits its speed, one of :data:`migkit.models.advice.limits.LIMITS`.
    remedies
        What would make it converge, each as a scenario file writes it; none where it does.
    sentences
        All of that in words.
    """

    reason: str
    limited_by: str
    remedies: tuple[str, ...]
    sentences: tuple[str, ...]


def why(case: Scenario, verdict: str, facts: Facts, result: Result, most: int | None = None) -> Why:
    """Return why a migration ends as it does, and what would make it converge.

    Parameters
    ----------
    case
        The scenario.
    verdict
        Of the prediction.
    facts
        Of the path, of the guest, and of the rule's last look.
    result
        Of the engine (:class:`migkit.engine.records.Result`).
    most
        How many remedies to search for; each takes a few predictions. None: all.
    """
    reason = REASONS[int(reason_of(case, result, facts.bandwidth_bytes_per_s))]
    limit = LIMITS[int(limited_by(case, facts.packed))]
    what_if = tuple(f"what-if: {one.key}: {one.sentence}." for one in missing(case))
    if verdict == "converges":
        return Why(reason, limit, (), (_converges(case, facts.last, result), *_needless_cap(case, facts), *what_if))
    found = list(itertools.islice(_advice(case, verdict, facts), most))
    tried = _would_do(found, idle(case)) if most is None else ()
    sentences = (_fails(case, verdict, facts, result), _limit(case, limit, facts), *tried, *what_if)
    return Why(reason, limit, tuple(one.text for one in found), sentences)


def reason_of(case: Scenario, result: Any, bandwidth_bytes_per_s: Any) -> Any:
    """Return the places in :data:`REASONS` of why migrations of one policy and one strategy end as they do.

    Parameters
    ----------
    case
        The scenario; fields that are numbers may be arrays.
    result
        Of the engine, of one migration or of many.
    bandwidth_bytes_per_s
        What each can send, cap included [B/s].
    """
    policy = case.policy
    ends = "by_passes" if policy.preset.counts_passes else "within_limit"
    words = _BY_ACTION | {decision.SWITCHOVER: "stopcopy" if case.strategy.name == "stopcopy" else ends}
    places = np.zeros(int(max(words)) + 1, dtype=np.int64)
    for action, word in words.items():
        places[int(action)] = REASONS.index(word)
    found = places[np.asarray(result.action).astype(np.int64)]
    if any(one.name in PERMITS and policy.setting(one.name) > 0 for one in policy.preset.settings):
        left_bytes = result.switchover_pages * PAGE_BYTES
        too_much = left_bytes > _ABOVE * bandwidth_bytes_per_s * policy.downtime_limit_s
        forced = too_much & (found == REASONS.index("within_limit"))
        found = np.where(forced, REASONS.index("forced"), found)
    return np.where(np.asarray(result.undecided) > 0, REASONS.index("undecided"), found)


def _fails(case: Scenario, verdict: str, facts: Facts, result: Result) -> str:
    """Say how it ends otherwise than by converging."""
    settles = _undecided(result) if result.undecided > 0.0 else _settles(facts)
    if verdict == "timed_out":
        return f"timed out at the limit of {format_duration(case.policy.time_limit_s)}: {settles}"
    if verdict == "aborted":
        at = format_duration(result.total_s)
        return f"aborted by the policy {case.policy.name} at {at}{_in_force(facts.last)}: {settles}"
    return f"does not converge: {settles}"


def _limit(case: Scenario, limit: str, facts: Facts) -> str:
    """Say what limits the speed, and what would next."""
    speeds = bounds(case, facts.packed)
    first = f"Its speed is limited by {words(case, limit, float(speeds[limit]))}"
    after, speed = beyond(speeds)
    if limit == "guest" or math.isinf(speed):
        return f"{first}."
    return f"{first}; next by {words(case, after, speed)}."


def _needless_cap(case: Scenario, facts: Facts) -> tuple[str, ...]:
    """Say that a policy's own default cap holds a migration back that the link would carry faster."""
    policy = case.policy
    cap, link = policy.max_bandwidth_bytes_per_s, float(bounds(case, facts.packed)["link"])
    own = cap == policy.preset.max_bandwidth_bytes_per_s
    if not own or case.strategy.name == "stopcopy" or not _WORTH_SAYING * cap <= link < math.inf:
        return ()
    return (f"Its speed is limited by {words(case, 'cap', cap)}; the link gives {format_rate(link)}.",)


def _would_do(found: Sequence[Remedy], idle: Sequence[str]) -> Iterator[str]:
    """Name what would make it converge, and what changes nothing."""
    yield from (f"This would do: {one.words}." for one in found)
    if not found:
        yield "Nothing that was tried would do."
    if idle:
        yield f"No effect alone: {', '.join(idle)}."


def _advice(case: Scenario, verdict: str, facts: Facts) -> Iterator[Remedy]:
    """Yield what would do, searched from where a stationary guest would just converge.

    A round lasts ``t = wire U(t) / B``, with the page as it is sent. A rule compares what is left in whole pages with
    ``B limit``. So the speed that just does is ``B = page U(t) / limit`` at ``t = limit wire / page``, and the limit
    that just does is the natural downtime times ``page / wire``.
    """
    limit_s = _limit_s(case, facts.last)
    page_bytes = PAGE_BYTES + case.host.page_header_bytes
    smaller = float(facts.packed.scenario.page_wire_bytes) / page_bytes
    needed = 0.0
    if limit_s > 0.0:
        needed = unique_dirty_pages(case.guest, limit_s * smaller) * page_bytes / limit_s * _MARGIN
    needed = max(needed, facts.bandwidth_bytes_per_s * _MARGIN)
    return advise(case, verdict, limit_s, needed, facts.natural_s / smaller * _MARGIN)


def _converges(case: Scenario, last: LastLook, result: Result) -> str:
    left = format_size(result.final_pages * PAGE_BYTES)
    stop = format_duration(result.stop_s)
    name = case.strategy.name
    if name == "stopcopy":
        return f"stop-copy: the guest stops at {stop} and {left} are sent while it is down."
    if result.exposure_s > 0.0 or name == "postcopy":
        return f"post-copy from {stop} on: {left} follow while the guest runs at the destination."
    head = f"converges: after {counted(int(result.iterations), 'bitmap sync')} {left} are left at {stop}"
    if math.isinf(last.downtime_limit_s):
        rule = "stops the guest by the number and the size of its passes, whatever the downtime"
        return f"{head}; {case.policy.name} {rule}."
    limit = format_duration(last.downtime_limit_s)
    left_bytes = result.switchover_pages * PAGE_BYTES
    if left_bytes > _ABOVE * last.bandwidth_bytes_per_s * last.downtime_limit_s and last.bandwidth_bytes_per_s > 0.0:
        return f"{head}, more than the downtime limit of {limit} allows; {case.policy.name} forces the end."
    return f"{head} under a downtime limit of {limit}{_beyond_pages(last, result)}."


def _beyond_pages(last: LastLook, result: Result) -> str:
    """Say that the guest is down for longer than the limit that its pages were within."""
    if result.downtime_s <= _FAR_ABOVE * last.downtime_limit_s:
        return ""
    return (
        f", which counts the pages alone: with all else that is sent and done meanwhile the guest is down for "
        f"{format_duration(result.downtime_s)}"
    )


def _in_force(last: LastLook) -> str:
    if math.isinf(last.downtime_limit_s) or last.downtime_limit_s <= 0.0:
        return ""
    return f" under a downtime limit of {format_duration(last.downtime_limit_s)}"


def _settles(facts: Facts) -> str:
    bandwidth, natural_s = facts.bandwidth_bytes_per_s, facts.natural_s
    if natural_s <= 0.0:
        return f"{format_rate(bandwidth)} would drain it, given more time."
    return (
        f"the guest settles at {format_size(natural_s * bandwidth)} = {format_duration(natural_s)} "
        f"at {format_rate(bandwidth)}."
    )


def _undecided(result: Result) -> str:
    after = format_duration(result.total_s)
    if result.total_s > LAST_S:
        years = f"{LAST_S / _YEAR_S:,.0f} years"
        return f"it is still under way after {after}, and a migration is followed for no more than {years}."
    syncs = counted(int(result.iterations), "bitmap sync")
    return f"not decided: {syncs} in {after} neither came to an end nor became alike."


def _limit_s(case: Scenario, last: LastLook) -> float:
    """Return the limit that counts [s]: the one in force, or where the rule has not said one, the configured."""
    if math.isinf(last.downtime_limit_s) or last.downtime_limit_s <= 0.0:
        return case.policy.downtime_limit_s
    return last.downtime_limit_s
