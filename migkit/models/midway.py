"""The rest of a migration that is under way: the engine goes on from where counters say that it stands.

Since its last bitmap sync a migration has sent a part of what that sync found. Behind the scan pointer lies what was
sent, ahead of it what is still pending; what the guest has written since that sync is marked by the next one. The
engine's ring of memory is set up so, and its clock, its counters and the policy's readings as the source shows them.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any, NamedTuple

from migkit import jit
from migkit.engine import cache, mixed, postcopy, precopy, ring, run_state
from migkit.engine.packing import Packed
from migkit.engine.records import PackedScenario, Result, Run, Work
from migkit.errors import UsageError
from migkit.models import goodput as paths
from migkit.models.history import History
from migkit.models.result import Point
from migkit.policies import decision
from migkit.scenario import DirtyClass, Scenario

__all__ = ["Judged", "Pass", "Standing", "course", "rest"]


class Judged(NamedTuple):
    """What the rule that throttles remembers: see :mod:`migkit.policies.throttling`.

    Attributes
    ----------
    at_s, sent_bytes
        When it last compared what was marked with what was sent, and what was sent by then, since the request.
    marked_pages
        By the syncs since then.
    high_periods
        Periods that count against the guest since the last step.

    Examples
    --------
    >>> Judged(at_s=2.0, sent_bytes=1e8, marked_pages=0.0, high_periods=1.0).high_periods
    1.0
    """

    at_s: float = 0.0
    sent_bytes: float = 0.0
    marked_pages: float = 0.0
    high_periods: float = 0.0


class Pass(NamedTuple):
    """One pass over memory that has ended.

    Attributes
    ----------
    began_s, ended_s
        Since the request.
    shares
        Share of each page class that it sent, in the guest's order.

    Examples
    --------
    >>> Pass(began_s=0.0, ended_s=2.0, shares=(1.0,)).ended_s
    2.0
    """

    began_s: float
    ended_s: float
    shares: tuple[float, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a migration stands.

    Attributes
    ----------
    now_s, synced_s
        Now, and when the last bitmap sync was, since the request [s].
    iteration
        Bitmap syncs so far.
    ahead
        Share of what that sync found that is still to be sent, 0 to 1.
    shares
        Share of each page class that the sync found dirty, in the guest's order; of a growth, in the first pass, 0:
        what it has written is among ``once_pages``, and the rest among ``zero_pages``.
    once_pages, zero_pages
        Pages still to be sent beside those of the classes: such that nothing writes to again, and zero pages.
    bandwidth_bytes_per_s
        As the source measured it last [B/s].
    sent_bytes
        So far [B].
    throttle
        Share of its time that the guest must sleep now.
    judged
        What the rule that throttles remembers.
    spent_since_s
        Since when the present window of the cap lasts, if all that it may send is sent [s]; NaN: nothing of it is.
    passes
        The passes so far, the first one included. They tell what the cache of differences (XBZRLE) holds, and are not
        needed without it.

    Examples
    --------
    >>> Standing(now_s=2.0, synced_s=1.5, iteration=3, ahead=0.5, shares=(0.2,)).iteration
    3
    """

    now_s: float
    synced_s: float
    iteration: int
    ahead: float
    shares: tuple[float, ...]
    once_pages: float = 0.0
    zero_pages: float = 0.0
    bandwidth_bytes_per_s: float = 0.0
    sent_bytes: float = 0.0
    throttle: float = 0.0
    judged: Judged = Judged()
    spent_since_s: float = math.nan
    passes: tuple[Pass, ...] = ()


def rest(case: Scenario, standing: Standing) -> Result:
    """Return what will have become of a migration at its end, times since the request.

    Parameters
    ----------
    case
        The scenario, with the rule, the limit and the cap that are in force now.
    standing
        Where it stands.

    Raises
    ------
    UsageError
        The standing is of other page classes than the guest's.

    Examples
    --------
    >>> from migkit import DirtyClass, Guest
    >>> guest = Guest(memory_bytes=2**30, dirty=(DirtyClass(region_bytes=2**26, writes_per_s=1000),))
    >>> standing = Standing(now_s=8.0, synced_s=7.0, iteration=2, ahead=0.5, shares=(0.4,))
    >>> result = rest(Scenario(guest=guest), standing)
    >>> bool(8.0 < result.total_s < 8.5), int(result.iterations)
    (True, 3)
    """
    packed, _ = paths.packed(_checked(case, standing))
    return _go_on(packed, case, standing, History(0, 0))


def course(case: Scenario, standing: Standing) -> tuple[Point, ...]:
    """Return the time line of a migration from where it stands to its end, as :func:`rest` predicts it.

    Parameters and errors are those of :func:`rest`. Where it does not converge, the line ends once it has settled.

    Examples
    --------
    >>> from migkit import DirtyClass, Guest
    >>> guest = Guest(memory_bytes=2**30, dirty=(DirtyClass(region_bytes=2**26, writes_per_s=1000),))
    >>> line = course(Scenario(guest=guest), Standing(now_s=8.0, synced_s=7.0, iteration=2, ahead=0.5, shares=(0.4,)))
    >>> line[0].t_s >= 8.0, line[-1].remaining_bytes
    (True, 0.0)
    """
    packed, _ = paths.packed(_checked(case, standing))
    history = History()
    result = _go_on(packed, case, standing, history)
    return history.timeline(packed, result, ())


def _checked(case: Scenario, standing: Standing) -> Scenario:
    if len(standing.shares) != len(case.guest.dirty):
        raise UsageError(
            f"standing: {len(standing.shares)} shares of {len(case.guest.dirty)} page classes; give one for each"
        )
    return case


def _go_on(packed: Packed, case: Scenario, standing: Standing, history: History) -> Result:
    """Run the engine from where the migration stands."""
    result, state, run, work = Result.new(), decision.new_state(), Run.new(), Work.new()
    with jit.steady():
        rounds, line = history.tables
        _stand(packed, case, standing, state, run, work, result)
        rule = jit.callback(case.policy.decider)
        scenario, _, steps, parameters = packed.of_one()
        precopy.go_on(decision.WINDOW, scenario, steps, parameters, state, run, work, result, rounds, line, rule)
        if result.action == decision.POSTCOPY:
            postcopy.postcopy_one(scenario, run, work, result, line)
    return result


def _stand(
    packed: Packed,
    case: Scenario,
    standing: Standing,
    state: decision.State,
    run: Run,
    work: Work,
    result: Result,
) -> None:
    """Write where the migration stands into the engine's records."""
    scenario, classes, steps, _ = packed.of_one()
    if case.guest.fill != "zero":
        # a growth then writes its pages once, in order; what of it is zero is said apart
        scenario.fills_zero = float(any(one.zero_share > 0.0 for one in case.guest.dirty))
        for c in range(int(scenario.class_count) if scenario.fills_zero > 0.0 else 0):
            classes[c].blank = 0.0
    scenario.zero_pages = standing.zero_pages
    scenario.zero_first_pages = scenario.zero_last_pages = scenario.lead_pages = 0.0
    scenario.normal_pages = standing.once_pages
    scenario.setup_s, scenario.lead_s = standing.now_s, 0.0
    precopy.begin(scenario, classes, steps, state, run, work, result)
    state.guest_bytes = case.guest.memory_bytes
    _lay_out(scenario, case, standing, run, work)
    run.counted_s = run.synced_s = standing.synced_s
    run.window_start_s, run.check_s = standing.now_s, standing.now_s + scenario.poll_s
    run.sent_bytes = standing.sent_bytes
    run.throttle = state.throttle = standing.throttle
    run.slices.began_s, run.slices.throttle = _sleeps_since_s(scenario, standing), standing.throttle
    state.iteration, state.round_start_s = standing.iteration, standing.synced_s
    state.bandwidth_bytes_per_s = standing.bandwidth_bytes_per_s
    if math.isfinite(standing.spent_since_s) and math.isfinite(run.normal_quota_pages):
        run.window_start_s = standing.spent_since_s
        run.window_bytes, run.room_pages = run.normal_quota_pages * scenario.page_wire_bytes, 0.0
    memory, judged = state.throttling, standing.judged
    memory.evaluated_s, memory.sent_bytes = judged.at_s, judged.sent_bytes
    memory.dirtied_pages, memory.high_periods = judged.marked_pages, judged.high_periods
    run.marked_pages = run.left_pages
    if run.mixed > 0.0:
        _remember(scenario, case, standing, run, work)
        mixed.restart(run)
    elif run.zero_pages < scenario.zero_pages - run_state.NOTHING:
        ring.first_run(scenario, run, work)
    else:
        run.ahead_pages = run.left_pages


def _sleeps_since_s(scenario: PackedScenario, standing: Standing) -> float:
    """Return when a sleep of a throttled guest began [s]: with software emulation one ends with each sync."""
    if scenario.sync_awaits > 0.0 and 0.0 < standing.throttle < 1.0:
        return standing.synced_s - scenario.throttle_slice_s * standing.throttle / (1.0 - standing.throttle)
    return standing.synced_s


def _remember(scenario: PackedScenario, case: Scenario, standing: Standing, run: Run, work: Work) -> None:
    """Write what the passes so far sent of each class, and when, into the books of :mod:`migkit.engine.mixed`."""
    order = [at for at, _ in _lying(case, tuple(range(len(standing.shares))))]
    syncs_s = [one.began_s for one in standing.passes[1:]] + [standing.synced_s]
    for one, until_s in zip(standing.passes, syncs_s, strict=False):  # without passes there is one sync more
        _visit(scenario, one, order, run, work, 1.0)
        cache.close_past(scenario, run, work, until_s)
    present = Pass(standing.synced_s, standing.now_s, standing.shares)
    _visit(scenario, present, order, run, work, 1.0 - standing.ahead)


def _visit(scenario: PackedScenario, one: Pass, order: list[int], run: Run, work: Work, part: float) -> None:
    for c in range(int(scenario.class_count)):
        cache.recall(run, work.segments[c], one.shares[order[c]], one.began_s, one.ended_s, part)


def _lying(case: Scenario, values: tuple[Any, ...]) -> list[tuple[Any, DirtyClass]]:
    """Return one value of each page class, beside the class, in the order in which the engine has them."""
    lying = list(zip(values, case.guest.dirty, strict=True))
    if case.guest.layout == "interleaved":
        lying.sort(key=_is_random)
    return lying


def _lay_out(scenario: PackedScenario, case: Scenario, standing: Standing, run: Run, work: Work) -> None:
    """Make the ring: what is ahead of the scan pointer, then what was sent of classes, which may be written again.

    Classes that write nothing any more have no place of their own in the records.
    """
    classes, ahead = int(scenario.class_count), standing.ahead
    lying = [(one, share) for share, one in _lying(case, standing.shares)]
    active, idle = lying[:classes], lying[classes:]
    once = standing.once_pages + sum(one.region_pages * ahead * share for one, share in idle)
    pieces = [
        (k, one.region_pages * ahead, share, one.region_pages * (1.0 - ahead))
        for k, (one, share) in enumerate(active)
    ]
    pieces += [(classes, once, 1.0, 0.0), (classes + 1, standing.zero_pages, 1.0, 0.0)]
    pieces += [(k, one.region_pages * (1.0 - ahead), 0.0, 0.0) for k, (one, _) in enumerate(active)]
    kept = [piece for piece in pieces if piece[1] > 0.0]
    for at, (segment, pages, share, first_page) in enumerate(kept):
        piece = work.pieces[at]
        piece.segment, piece.pages, piece.share, piece.first_page = segment, pages, share, first_page
    run.head, run.pieces = 0.0, len(kept)
    run.left_pages = sum(size * share for _, size, share, _ in kept)


def _is_random(pair: tuple[Any, DirtyClass]) -> bool:
    return pair[1].kind == "random"
