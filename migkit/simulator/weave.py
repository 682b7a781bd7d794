"""Which page lies at which address when page classes lie interleaved.

Everything but the order of the scan works with the number of a page: regions one behind the other, pages written
once, zero pages. Interleaved, some of the zero pages come first and some last; blocks of tracking of all random
classes, of pages written once and of the other zero pages are mixed by chance.
"""

from __future__ import annotations

import numpy as np

from migkit.engine.records import PackedScenario
from migkit.jit import inlined, jit
from migkit.simulator.records import Guest

__all__ = ["addresses", "order", "page_at"]


@inlined
def page_at(order: np.ndarray, address: int) -> int:
    """Return which page lies at an address [pages]; without an order, that of the same number."""
    return address if order.size == 0 else int(order[address])


@jit
def order(scenario: PackedScenario, guest: Guest, pages: int, rng: np.random.Generator) -> np.ndarray:
    """Return the page at each address; nothing when pages lie in the order of their numbers."""
    if scenario.first_woven == np.inf:
        return np.zeros(0, np.int64)
    classes, woven = int(scenario.class_count), int(scenario.first_woven)
    ends = np.zeros(classes + 4, np.int64)  # of the classes, of pages written once, of zero pages in three parts
    for k in range(classes + 4):
        if k < classes:
            size = guest.writers[k].pages
        elif k == classes:
            size = scenario.normal_pages
        elif k == classes + 1:
            size = scenario.zero_pages - scenario.zero_first_pages - scenario.zero_last_pages
        else:
            size = scenario.zero_first_pages if k == classes + 2 else scenario.zero_last_pages
        ends[k] = int(size) + (ends[k - 1] if k > 0 else 0)
    placed = np.arange(pages)
    sweeps = ends[woven - 1] if woven > 0 else 0
    mixed = placed[sweeps : ends[classes + 1]].copy()
    _mix(
        mixed, np.append(sweeps, ends[woven : classes + 1]), ends[woven : classes + 2], int(scenario.grain_pages), rng
    )
    lead, first = int(min(scenario.lead_pages, mixed.size)), int(scenario.zero_first_pages)
    placed[:lead] = mixed[:lead]
    placed[lead : lead + first] = np.arange(ends[classes + 1], ends[classes + 2])
    placed[lead + first : lead + first + sweeps] = np.arange(sweeps)
    placed[lead + first + sweeps : first + ends[classes + 1]] = mixed[lead:]
    return placed


@jit
def _mix(placed: np.ndarray, firsts: np.ndarray, ends: np.ndarray, grain: int, rng: np.random.Generator) -> None:
    """Place block by block, each of a class drawn by how much of it is left."""
    page = firsts.copy()
    at = 0
    while at < placed.size:
        drawn = rng.random() * (placed.size - at)
        c = 0
        while c < page.size - 1 and (drawn >= ends[c] - page[c] or page[c] == ends[c]):
            drawn -= ends[c] - page[c]
            c += 1
        end = min(page[c] + grain, ends[c])
        for i in range(page[c], end):
            placed[at] = i
            at += 1
        page[c] = end


@jit
def addresses(order: np.ndarray) -> np.ndarray:
    """Return the address of each page; nothing when pages lie in the order of their numbers."""
    found = np.zeros(order.size, np.int64)
    found[order] = np.arange(order.size)
    return found
