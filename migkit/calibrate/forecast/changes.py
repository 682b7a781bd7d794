"""What would change the course of a migration under way: each change is predicted from now on before it is named."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from migkit.calibrate.forecast.belief import Belief, is_ending
from migkit.calibrate.forecast.candidates import DRAWS
from migkit.models.advice.remedies import advise
from migkit.models.dirty import natural_downtime_s, unique_dirty_pages
from migkit.models.midway import rest
from migkit.scenario import Scenario
from migkit.units import PAGE_BYTES, format_rate

if TYPE_CHECKING:
    from migkit.importers import Log

__all__ = ["Change", "changes"]

_MARGIN: Final = 1.05
_SOONER_S: Final = 0.1  # less is no gain
_LATE: Final = ("auto-converge", "streams")  # once a migration runs
_FASTER: Final = 2.0  # times the cap: what is tried of a migration that converges anyway
_NAMES: Final = {
    "policy.max_bandwidth": "max-bandwidth",
    "policy.downtime_limit": "downtime-limit",
    "strategy.auto_converge": "auto-converge",
    "strategy.streams": "streams",
    "link.bandwidth": "link",
}


Tried = tuple[str, str, Scenario]


class Change(NamedTuple):
    """One change, and what it would do if it were made now.

    Attributes
    ----------
    name
        ``max-bandwidth``, ``downtime-limit``, ``post-copy``, ``auto-converge``, ``streams`` or ``link``.
    words
        What to change, and to what.
    end_s
        When the migration would end, since the request [s].
    downtime_s
        For how long the guest would stand [s].
    slowdown
        Share of its progress that the guest would lose until then.
    converges
        Probability that the migration then ends: the share of the guests that the counters allow.
    case
        The scenario with the change.
    needs_a_new_start
        Whether QEMU takes it only before a migration (``migrate-set-capabilities`` refuses while one runs).
    """

    name: str
    words: str
    end_s: float
    downtime_s: float
    slowdown: float
    converges: float
    case: Scenario
    needs_a_new_start: bool = False


def changes(found: Sequence[Belief], verdict: str, log: Log | None = None) -> tuple[Change, ...]:
    """Return what would let a migration converge, or end sooner, each with its effect.

    Parameters
    ----------
    found
        What the counters allow, the central belief first. A value is searched for with the guest that writes to most
        pages within the downtime limit, so that it does for the others as well.
    verdict
        What is expected as things stand.
    log
        What says whether post-copy was permitted; None: it was.

    Examples
    --------
    >>> from migkit.models.midway import Standing
    >>> from migkit.scenario import DirtyClass, Guest
    >>> guest = Guest(memory_bytes=2**30, dirty=(DirtyClass(region_bytes=2**28, writes_per_s=60_000),))
    >>> standing = Standing(now_s=30.0, synced_s=29.9, iteration=20, ahead=0.5, shares=(0.5,))
    >>> [one.name for one in changes([Belief(Scenario(guest=guest), standing, True)], "does_not_converge")]
    ['max-bandwidth', 'auto-converge', 'downtime-limit', 'post-copy']
    """
    if not found or not found[0].known:
        return ()
    tried = _remedies(_most_demanding(found)) if verdict == "does_not_converge" else _sooner(found[0].case)
    all_tried = (*tried, *_postcopy_now(found[0]))
    effects = (_effect(name, words, case, found) for name, words, case in all_tried)
    before_s = math.inf
    if verdict == "converges":
        before_s = float(rest(found[0].case, found[0].standing).total_s) - _SOONER_S
    late = _LATE if log is None or log.meta["capabilities"].get("postcopy-ram", True) else (*_LATE, "post-copy")
    return tuple(
        one._replace(needs_a_new_start=one.name in late)
        for one in effects
        if one is not None and one.end_s < before_s
    )


def _most_demanding(found: Sequence[Belief]) -> Belief:
    return max(found, key=lambda one: unique_dirty_pages(one.case.guest, one.case.policy.downtime_limit_s))


def _remedies(belief: Belief) -> Iterator[Tried]:
    """Yield what would let it converge; the searches begin where a stationary guest would just converge."""
    case, standing = belief.case, belief.standing
    limit_s = case.policy.downtime_limit_s
    page_bytes = PAGE_BYTES + case.host.page_header_bytes
    speed = min(case.policy.max_bandwidth_bytes_per_s, case.link.bandwidth_bytes_per_s)
    needed = unique_dirty_pages(case.guest, limit_s) * page_bytes / limit_s if limit_s > 0.0 else 0.0
    settled_s = natural_downtime_s(case.guest, speed) * _MARGIN
    for one in advise(
        case,
        "does_not_converge",
        limit_s,
        max(needed, speed) * _MARGIN,
        settled_s,
        lambda changed: rest(changed, standing),
    ):
        name = _NAMES.get(one.fields[0][0])
        if name is not None:
            yield name, one.words, one.case


def _sooner(case: Scenario) -> Iterator[Tried]:
    """Yield a higher cap, where the cap holds the migration back."""
    policy = case.policy
    if case.link.bandwidth_bytes_per_s > policy.max_bandwidth_bytes_per_s:
        cap = _FASTER * policy.max_bandwidth_bytes_per_s
        words = f"a cap of {format_rate(cap)} (parameter max-bandwidth) on a link that gives it"
        policy = dataclasses.replace(policy, max_bandwidth_bytes_per_s=cap)
        yield "max-bandwidth", words, dataclasses.replace(case, policy=policy)


def _postcopy_now(belief: Belief) -> Iterator[Tried]:
    strategy = belief.case.strategy
    if strategy.name in ("precopy", "hybrid"):
        hybrid = dataclasses.replace(strategy, name="hybrid", postcopy_after_s=max(belief.standing.now_s, 1e-9))
        case = dataclasses.replace(belief.case, strategy=hybrid)
        yield "post-copy", "post-copy now (migrate-start-postcopy)", case


def _effect(name: str, words: str, case: Scenario, found: Sequence[Belief]) -> Change | None:
    """Return a change with its effect on the central guest, and on how many of all; None where it helps no one.

    Many guests stand in the order of their probability, so that an even part of them tells as much.
    """
    some = found[:: max(1, len(found) // DRAWS)]
    results = [rest(dataclasses.replace(case, guest=one.case.guest), one.standing) for one in some]
    ending = [result for result in results if is_ending(result)]
    if not ending:
        return None
    result = next((one for one in results[:1] if is_ending(one)), ending[0])
    end_s = float(result.total_s)
    left_s = max(end_s - found[0].standing.now_s, 1e-9)
    slowdown = min(1.0, float(result.lost_s) / left_s)
    return Change(name, words, end_s, float(result.downtime_s), slowdown, len(ending) / len(results), case)
