"""One scenario through the kernels, and what they wrote down on the way: rounds and the time line."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from migkit.kernels import layout, policy, postcopy, precopy, precopy_state
from migkit.models.result import Point, Round
from migkit.scenario.pack import Packed
from migkit.units import PAGE_BYTES

__all__ = ["History", "run"]

_ROUNDS: Final = 6000
_POINTS: Final = 40_000


class History:
    """What happened when; empty where nothing was to be kept.

    Parameters
    ----------
    rounds, points
        For how many there is room.
    """

    def __init__(self, rounds: int = _ROUNDS, points: int = _POINTS) -> None:
        self._table = np.zeros(rounds * layout.ROUND_SLOTS)
        self._line = np.zeros(points * layout.POINT_SLOTS)

    @property
    def tables(self) -> tuple[np.ndarray, np.ndarray]:
        """Where the kernels write rounds and points."""
        return self._table, self._line

    def rounds(self, result: np.ndarray) -> tuple[Round, ...]:
        """Turn running totals at each sync into what each round did."""
        count = int(result[layout.ROUNDS])
        rows = self._table[: count * layout.ROUND_SLOTS].reshape(-1, layout.ROUND_SLOTS).tolist()
        last = [0.0] * layout.ROUND_SLOTS
        last[0], last[4] = result[layout.TOTAL_S], result[layout.SENT]
        last[5], last[6] = result[layout.SENT_NORMAL], result[layout.SENT_ZERO]
        return tuple(
            Round(
                iteration=at + 1,
                start_s=row[0],
                duration_s=float(end[0] - row[0]),
                sync_s=row[1],
                marked_pages=row[2],
                remaining_bytes=row[3] * PAGE_BYTES,
                normal_pages=float(end[5] - row[5]),
                zero_pages=float(end[6] - row[6]),
                sent_bytes=float(end[4] - row[4]),
                throttle=row[7],
            )
            for at, (row, end) in enumerate(zip(rows, [*rows[1:], last], strict=False))
        )

    def timeline(self, packed: Packed, result: np.ndarray, rounds: tuple[Round, ...]) -> tuple[Point, ...]:
        """Return the points of the time line, that at which the zero pages of the first pass begin among them."""
        if not self._line.size:
            left_bytes = float(result[layout.LEFT_PAGES]) * PAGE_BYTES
            return (Point(float(result[layout.TOTAL_S]), left_bytes, float(result[layout.SENT])),)
        count = int(result[layout.POINTS])
        rows = self._line[: count * layout.POINT_SLOTS].reshape(-1, layout.POINT_SLOTS).tolist()
        points = [Point(*row) for row in rows]
        first = next((row for row in rounds if row.sent_bytes > 0.0), None)
        pushed = result[layout.ACTION] == policy.POSTCOPY and first is not None and first is rounds[-1]
        if first is not None and first.zero_pages > 0.0 and not pushed:
            _bend(points, first.normal_pages, packed.record)
        return tuple(points)


def _bend(points: list[Point], normal_pages: float, record: np.ndarray) -> None:
    """Add the point at which the first pass, in address order, comes to the zero pages that lie behind the others."""
    bend_bytes = points[0].remaining_bytes - normal_pages * PAGE_BYTES
    at = next((i for i, point in enumerate(points) if point.remaining_bytes < bend_bytes), 0)
    if at == 0 or points[at - 1].remaining_bytes <= bend_bytes:
        return
    before, after = points[at - 1], points[at]
    speed = min(record[layout.GOODPUT], record[layout.CAP])
    normal, zero = before.remaining_bytes - bend_bytes, bend_bytes - after.remaining_bytes
    normal_s = normal * max(record[layout.PAGE_WIRE_BYTES] / speed, record[layout.PAGE_CPU_S])
    zero_s = zero * max(record[layout.ZERO_WIRE_BYTES] / speed, record[layout.ZERO_CPU_S])
    t_s = before.t_s + (after.t_s - before.t_s) * float(normal_s / (normal_s + zero_s))
    sent_bytes = before.sent_bytes + normal / PAGE_BYTES * float(record[layout.PAGE_WIRE_BYTES])
    points.insert(at, Point(t_s, bend_bytes, sent_bytes))


def run(packed: Packed, rule: Any, history: History) -> np.ndarray:
    """Run one scenario and return its ``layout.RESULT_SLOTS`` numbers.

    Pre-copy and post-copy are called one by one: a kernel that calls both would be compiled besides them.

    Parameters
    ----------
    packed
        The scenario.
    rule
        A policy of one's own as :func:`migkit.kernels._jit.callback` returns it, or None.
    history
        Receives rounds and points while there is room.
    """
    result = np.zeros(layout.RESULT_SLOTS)
    state, own, work = policy.new_state(), np.zeros(precopy_state.RUN_SLOTS), np.zeros(precopy_state.WORK_SLOTS)
    rounds, line = history.tables
    precopy.precopy_one(*packed, state, own, work, result, rounds, line, rule)
    if result[layout.ACTION] == policy.POSTCOPY:
        postcopy.postcopy_one(packed.record, own, work, result, line)
    return result
