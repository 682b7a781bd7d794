"""What every page was at moments of a run, for animation: a film of the bitmaps.

Recording changes nothing of the run. Frames are taken where the guest's writes are made up to the present: after
each sync, and between pages and windows when the next frame is due. While the sender waits for the end of its
window, no frame is taken.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from migkit.jit import lean
from migkit.simulator import guest as guest_pages
from migkit.simulator import weave
from migkit.simulator.guest import BLANK, DIRTY
from migkit.simulator.records import Film

__all__ = ["DEMANDED", "PENDING", "SENT", "STATES", "WRITTEN", "ZERO", "take"]

# What a page is in a frame
PENDING: Final = 0
SENT: Final = 1
WRITTEN: Final = 2
ZERO: Final = 3
DEMANDED: Final = 4
STATES: Final = ("pending", "sent", "written", "zero", "demanded")
"""Names of the states by number: to be sent; at the destination; written since it was sent; sent as a zero page;
fetched by a demand fault."""


@lean
def take(pages: np.ndarray, order: np.ndarray, film: Film, now_s: float, syncs: float) -> None:
    """Write a frame while there is room: each cell shows the page at the address where its part of memory begins."""
    shutter = film.shutter
    number = int(shutter.taken)
    if number >= film.times_s.size:
        shutter.due_s = np.inf
        return
    cells = film.cells.size // film.times_s.size
    first = number * cells
    for cell in range(cells):
        page = weave.page_at(order, cell * pages.size // cells)
        film.cells[first + cell] = _state(pages[page], film.demanded[page])
    film.times_s[number], film.rounds[number] = now_s, syncs
    shutter.taken += 1.0
    if now_s >= shutter.due_s:
        shutter.due_s += shutter.every_s * np.ceil((now_s - shutter.due_s) / shutter.every_s + 1e-9)


@lean
def _state(flags: int, demanded: int) -> int:
    if flags & guest_pages.PENDING:
        return PENDING
    if demanded:
        return DEMANDED
    if flags & DIRTY:
        return WRITTEN
    return ZERO if flags & BLANK else SENT
