"""One scenario through the kernels, and what they wrote down on the way: rounds and the time line."""

from __future__ import annotations

import itertools
import math
from typing import Any, Final, NamedTuple

import numpy as np

from migkit import jit
from migkit.engine import postcopy, precopy, run_state
from migkit.engine.packing import Packed
from migkit.engine.records import PackedScenario, Result, RoundRow, Run, TimePoint, Work
from migkit.models.result import Point, Round
from migkit.policies import decision
from migkit.scenario import Scenario
from migkit.scenario.installation import downtime
from migkit.units import PAGE_BYTES

__all__ = ["History", "downtime_parts", "run", "trial"]

_ROUNDS: Final = 6000
_POINTS: Final = 40_000
_PLAIN_TURNS: Final = 50_000.0  # of the engine in plain Python, about a second
_TRIAL_TURNS: Final = 10_000.0  # of a trial


class LastLook(NamedTuple):
    """What the rule had before it when it was asked for the last time.

    Attributes
    ----------
    downtime_limit_s
        The limit in force [s]; infinite: the rule has none.
    bandwidth_bytes_per_s
        As measured [B/s].
    """

    downtime_limit_s: float
    bandwidth_bytes_per_s: float


class History:
    """What happened when; empty where nothing was to be kept.

    Attributes
    ----------
    last
        What the rule had before it at the end.

    Parameters
    ----------
    rounds, points
        For how many there is room.
    """

    def __init__(self, rounds: int = _ROUNDS, points: int = _POINTS) -> None:
        self._table = np.zeros(rounds * RoundRow.SIZE)
        self._line = np.zeros(points * TimePoint.SIZE)
        self.last = LastLook(0.0, 0.0)

    @property
    def tables(self) -> tuple[Any, Any]:
        """Where the kernels write rounds and points."""
        return jit.rows(RoundRow, self._table), jit.rows(TimePoint, self._line)

    def rounds(self, packed: Packed, result: Result) -> tuple[Round, ...]:
        """Turn running totals at each sync into what each round did; the last one ends as the guest runs on."""
        count = int(result.rounds)
        last = RoundRow.new()
        last.start_s, last.sent_bytes = result.total_s, result.sent_bytes
        if result.action == decision.SWITCHOVER:
            last.start_s -= packed.scenario.release_s
        last.normal_pages, last.zero_pages = result.normal_pages, result.zero_pages
        rows = self._table.reshape(-1, RoundRow.SIZE).view(RoundRow)[:count]
        totals = [*rows, last]
        return tuple(
            Round(
                iteration=at + 1,
                start_s=float(row.start_s),
                duration_s=float(end.start_s - row.start_s),
                sync_s=float(row.sync_s),
                marked_pages=float(row.marked_pages),
                remaining_bytes=float(row.left_pages * PAGE_BYTES),
                normal_pages=float(end.normal_pages - row.normal_pages),
                zero_pages=float(end.zero_pages - row.zero_pages),
                sent_bytes=float(end.sent_bytes - row.sent_bytes),
                throttle=float(row.throttle),
            )
            for at, (row, end) in enumerate(itertools.pairwise(totals))
        )

    def timeline(self, packed: Packed, result: Result, rounds: tuple[Round, ...]) -> tuple[Point, ...]:
        """Return the points of the time line, that at which the zero pages of the first pass begin among them."""
        if not self._line.size:
            left_bytes = float(result.left_pages) * PAGE_BYTES
            return (Point(float(result.total_s), left_bytes, float(result.sent_bytes)),)
        count = int(result.points)
        rows = self._line.reshape(-1, TimePoint.SIZE)[:count].tolist()
        points = [Point(*row) for row in rows]
        first = next((row for row in rounds if row.sent_bytes > 0.0), None)
        pushed = result.action == decision.POSTCOPY and first is not None and first is rounds[-1]
        if first is not None and first.zero_pages > 0.0 and not pushed:
            _bend(points, first.normal_pages, first.zero_pages, packed.scenario)
        return tuple(points)


def _bend(points: list[Point], normal_pages: float, zero_pages: float, scenario: PackedScenario) -> None:
    """Add the points at which the first pass comes to zero pages that lie in a row, or leaves them."""
    start = min(zero_pages, float(scenario.zero_first_pages))
    between = max(0.0, min(zero_pages, float(scenario.zero_pages - scenario.zero_last_pages)) - start)
    lead = min(float(scenario.lead_pages), between + normal_pages)
    top_bytes = points[0].remaining_bytes
    behind_pages = (lead, lead + start, start + between + normal_pages)
    ends = [top_bytes - pages * PAGE_BYTES for pages in behind_pages] + [-math.inf]
    zero = between / (between + normal_pages) if between > 0.0 else 0.0
    costs = list(zip(ends, (zero, 1.0, zero, 1.0), strict=True))
    for bend_bytes in ends[:3]:
        at = next((i for i, point in enumerate(points) if point.remaining_bytes < bend_bytes), 0)
        if at == 0 or points[at - 1].remaining_bytes <= bend_bytes:
            continue
        before, after = points[at - 1], points[at]
        first_s, sent_bytes = _pass(before.remaining_bytes, bend_bytes, costs, scenario)
        second_s, _ = _pass(bend_bytes, after.remaining_bytes, costs, scenario)
        t_s = before.t_s + (after.t_s - before.t_s) * float(first_s / (first_s + second_s))
        points.insert(at, Point(t_s, bend_bytes, before.sent_bytes + sent_bytes))


def _pass(high: float, low: float, costs: list[tuple[float, float]], scenario: PackedScenario) -> tuple[float, float]:
    """Return how long the pages between two remainders take, to within a factor, and their bytes on the wire."""
    speed = min(scenario.goodput_bytes_per_s, scenario.cap_bytes_per_s)
    full_s = max(scenario.page_wire_bytes / speed, scenario.page_cpu_s)
    zero_s = max(scenario.zero_wire_bytes / speed, scenario.zero_cpu_s)
    took_s = sent_bytes = 0.0
    for end, zero in costs:
        part = max(0.0, high - max(low, end))
        took_s += part * ((1.0 - zero) * full_s + zero * zero_s)
        full = (1.0 - zero) * float(scenario.page_wire_bytes)
        sent_bytes += part / PAGE_BYTES * (full + zero * float(scenario.zero_wire_bytes))
        high = min(high, max(low, end))
    return took_s, sent_bytes


def downtime_parts(case: Scenario, packed: Packed, result: Result) -> tuple[tuple[str, float], ...]:
    """Return the parts of the downtime by name, those of no length left out [s]; their sum is the downtime.

    Parameters
    ----------
    case
        The scenario.
    packed
        Its records.
    result
        Of the engine.

    Examples
    --------
    >>> from migkit import Guest, predict
    >>> predict(Guest(memory_bytes=2**28)).downtime_parts[0]
    ('stop processors', 0.0021)
    """
    if result.action not in (decision.SWITCHOVER, decision.POSTCOPY):
        return ()
    scenario, is_postcopy = packed.scenario, result.action == decision.POSTCOPY
    speed = scenario.postcopy_goodput_bytes_per_s if is_postcopy else scenario.goodput_bytes_per_s
    fixed = downtime.fixed_parts(case)
    before = {name: fixed.pop(name) for name in ("stop processors", "flush disks")}
    on_their_way_s = 0.0 if is_postcopy else float(scenario.in_flight_s)
    known = before | {"final sync": scenario.sync_s, "bytes on their way": on_their_way_s}
    after = {"device state": scenario.device_bytes / speed} | fixed
    rest = float(result.downtime_s) - sum(map(float, (known | after).values()))
    pages = {"mark absent pages" if is_postcopy else "last pages": max(0.0, rest)}
    return tuple((name, float(value)) for name, value in (known | pages | after).items() if value > 0.0)


def run(packed: Packed, rule: Any, history: History) -> Result:
    """Run one scenario and return what came of it.

    In plain Python the engine gives up early; then the kernels are compiled, which is worth it from then on.

    Parameters
    ----------
    packed
        The scenario.
    rule
        A policy of one's own, as it is or as :func:`migkit.jit.callback` returns it, or None.
    history
        Receives rounds and points while there is room.
    """
    with jit.steady():
        if not jit.are_compiled():
            result = _run(packed, rule, history, run_state.MOST_TURNS - _PLAIN_TURNS)
            if not result.undecided:
                return result
            jit.compile_kernels()
    return _run(packed, jit.callback(rule) if isinstance(rule, jit.OwnRule) else rule, history, 0.0)


def trial(packed: Packed, rule: Any) -> Result:
    """Run the pre-copy of one scenario for a limited time; what is ``undecided`` by then stays so.

    Its last action is POSTCOPY where post-copy begins, which always comes to an end. The answer is the same in plain
    Python as compiled.
    """
    result = Result.new()
    state, own, work = decision.new_state(), Run.new(), Work.new()
    own.spent_turns = run_state.MOST_TURNS - _TRIAL_TURNS
    with jit.steady():
        rounds, line = History(0, 0).tables
        rule = jit.callback(rule) if isinstance(rule, jit.OwnRule) else rule
        precopy.precopy_one(*packed.of_one(), state, own, work, result, rounds, line, rule)
    return result


def _run(packed: Packed, rule: Any, history: History, spent_turns: float) -> Result:
    """Call pre-copy and post-copy one by one: a kernel that calls both would be compiled besides them."""
    result = Result.new()
    state, own, work = decision.new_state(), Run.new(), Work.new()
    own.spent_turns = spent_turns
    rounds, line = history.tables
    precopy.precopy_one(*packed.of_one(), state, own, work, result, rounds, line, rule)
    history.last = LastLook(float(state.downtime_limit_s), float(state.bandwidth_bytes_per_s))
    if result.action == decision.POSTCOPY:
        postcopy.postcopy_one(packed.scenario, own, work, result, line)
    return result
