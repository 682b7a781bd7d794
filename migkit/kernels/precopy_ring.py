"""The ring of pieces at a sync: arcs that sweeps wrote, and neighbours that have become alike.

Where a sweep stands when the migration begins is given, so what it writes between two syncs is
known to the page: the arc from where it stood to where it stands, in whole blocks of tracking.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from migkit.kernels import layout
from migkit.kernels._jit import lean
from migkit.kernels.layout import CLASS_BASE, CLASS_SLOTS, GRAIN_PAGES
from migkit.kernels.precopy_state import (
    COUNT,
    HEAD,
    LAST_PIECE,
    PIECE_SLOTS,
    PIECES,
    POSITIONS,
)

__all__ = ["make_room", "mark_sweep"]

SLIVER_PAGES: Final = 1e-6  # pieces shorter than this are rounding
LEAST_APART: Final = 1e-6  # pending shares that differ less are joined first


@lean
def mark_sweep(record: np.ndarray, run: np.ndarray, work: np.ndarray, c: int, writes: float) -> None:
    """Make the arc that sweep ``c`` wrote since the last sync pending, and move the sweep to its end."""
    pages = record[CLASS_BASE + c * CLASS_SLOTS + layout.PAGES]
    begin = math.floor(work[POSITIONS + c])
    position = work[POSITIONS + c] + writes
    end = math.floor(position)
    work[POSITIONS + c] = position % pages
    if end <= begin:
        return
    grain = record[GRAIN_PAGES]
    begin = math.floor(begin / grain) * grain
    if end - begin >= pages:
        _mark_arc(run, work, c, 0.0, pages)
    elif end <= pages:
        _mark_arc(run, work, c, begin, math.ceil(end / grain) * grain)
    else:
        _mark_arc(run, work, c, begin, pages)
        _mark_arc(run, work, c, 0.0, math.ceil((end - pages) / grain) * grain)
    _merge(run, work, 0.0)


@lean
def _mark_arc(run: np.ndarray, work: np.ndarray, c: int, begin: float, end: float) -> None:
    """Make the pages of class ``c`` from ``begin`` up to ``end`` pending; cut the pieces at its ends.

    Without room to cut, a piece takes the mean.
    """
    i = 0
    while i < int(run[COUNT]):
        at = ((int(run[HEAD]) + i) & LAST_PIECE) * PIECE_SLOTS
        first = max(begin, work[at + 3])
        behind = min(end, work[at + 3] + work[at + 1])
        i += 1
        if work[at] != c or work[at + 2] == 1.0 or behind - first < SLIVER_PAGES:
            continue
        if run[COUNT] > PIECES - 4:
            work[at + 2] += (1.0 - work[at + 2]) * (behind - first) / work[at + 1]
            continue
        if first - work[at + 3] > SLIVER_PAGES:
            at = _cut(run, work, i - 1, first)
            i += 1
        if work[at + 3] + work[at + 1] - behind > SLIVER_PAGES:
            _cut(run, work, i - 1, behind)
            i += 1
        work[at + 2] = 1.0


@lean
def _cut(run: np.ndarray, work: np.ndarray, i: int, where: float) -> int:
    """Cut the i-th piece at page ``where`` of its region; return where the part behind lies."""
    head = int(run[HEAD])
    for k in range(int(run[COUNT]), i, -1):
        to = ((head + k) & LAST_PIECE) * PIECE_SLOTS
        source = ((head + k - 1) & LAST_PIECE) * PIECE_SLOTS
        for slot in range(PIECE_SLOTS):
            work[to + slot] = work[source + slot]
    run[COUNT] += 1.0
    before = ((head + i) & LAST_PIECE) * PIECE_SLOTS
    behind = ((head + i + 1) & LAST_PIECE) * PIECE_SLOTS
    work[before + 1] = where - work[before + 3]
    work[behind + 1] -= work[before + 1]
    work[behind + 3] = where
    return behind


@lean
def make_room(run: np.ndarray, work: np.ndarray) -> None:
    """Join neighbours, the most alike first, until a few more pieces fit."""
    apart = 0.0
    while run[COUNT] > PIECES - 4 and apart <= 1.0:
        _merge(run, work, apart)
        apart = max(LEAST_APART, 4.0 * apart)


@lean
def _merge(run: np.ndarray, work: np.ndarray, apart: float) -> None:
    """Join neighbours of a segment whose pending shares differ by ``apart`` at most; keep their pending pages."""
    head = int(run[HEAD])
    kept = -1
    for i in range(int(run[COUNT])):
        at = ((head + i) & LAST_PIECE) * PIECE_SLOTS
        last = ((head + kept) & LAST_PIECE) * PIECE_SLOTS
        alike = kept >= 0 and work[last] == work[at] and abs(work[last + 2] - work[at + 2]) <= apart
        if alike and work[last + 3] < work[at + 3]:
            pages = work[last + 1] + work[at + 1]
            work[last + 2] = (work[last + 2] * work[last + 1] + work[at + 2] * work[at + 1]) / pages
            work[last + 1] = pages
            continue
        kept += 1
        to = ((head + kept) & LAST_PIECE) * PIECE_SLOTS
        for slot in range(PIECE_SLOTS):
            work[to + slot] = work[at + slot]
    run[COUNT] = kept + 1.0
