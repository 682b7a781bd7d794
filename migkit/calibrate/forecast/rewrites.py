"""How many bytes of a page a write changes, by what the differences (XBZRLE) of a migration cost so far.

A page that was written ``n`` times since it was sent costs ``c = header + 4096 (1 - (1 - L / 4096)^n) + n r`` bytes.
There each write changes ``L`` bytes apart from the others, and a run of changed bytes takes ``r`` bytes more
(:mod:`migkit.engine.differences`). QEMU counts the pages and their bytes, so that ``L`` follows.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from migkit.scenario import Guest, Host
from migkit.units import PAGE_BYTES

if TYPE_CHECKING:
    from migkit.calibrate.guest.rounds import Round
    from migkit.importers import Log

__all__ = ["difference_bytes", "with_rewrites"]

_ENOUGH: Final = 100  # pages that tell what one costs
_LATEST: Final = 3  # rounds that say how often a page is written until it is sent again


def difference_bytes(log: Log) -> float:
    """Return what a page cost so far that went as a difference [B]; NaN: too few did, or the log does not count them.

    Examples
    --------
    >>> from migkit.importers import read
    >>> sent = '"xbzrle-cache": {"bytes": 30000, "pages": 1000}'
    >>> difference_bytes(read(f'{{"status": "active", "ram": {{"total": 4096, "remaining": 0}}, {sent}}}')[0])
    30.0
    """
    if "xbzrle_pages" not in log.frame or "xbzrle_bytes" not in log.frame:
        return math.nan
    told = log.frame[["xbzrle_bytes", "xbzrle_pages"]].dropna()
    pages = float(told["xbzrle_pages"].iloc[-1]) if len(told) else 0.0
    return float(told["xbzrle_bytes"].iloc[-1]) / pages if pages >= _ENOUGH else math.nan


def with_rewrites(guest: Guest, seen: Sequence[Round], each_bytes: float, host: Host) -> Guest:
    """Return a guest each of whose writes changes as much of its page as the differences so far tell.

    Parameters
    ----------
    guest
        The guest; its page classes say how often its pages are written from one pass to the next.
    seen
        The rounds.
    each_bytes
        What a difference cost in the mean [B]; NaN: not known, and the guest stays as it is.
    host
        What a difference costs beside the bytes that changed.

    Examples
    --------
    >>> from migkit.calibrate.guest.rounds import Round
    >>> from migkit.scenario import DirtyClass
    >>> guest = Guest(memory_bytes=2**28, dirty=(DirtyClass(region_bytes=2**26, writes_per_s=1.0),))
    >>> seen = [Round(start_s=0, window_s=1, window_error_s=0, marked_pages=1, to_send_pages=1, pending_pages=0)]
    >>> host = Host()
    >>> cost = host.xbzrle_header_bytes + host.xbzrle_run_bytes + 512
    >>> with_rewrites(guest, seen, cost, host).dirty[0].rewrite_bytes
    512
    """
    if not each_bytes > 0.0 or not seen or not guest.dirty:
        return guest
    number = _writes(guest, float(np.mean([one.window_s for one in seen[-_LATEST:]])))
    changed = each_bytes - host.xbzrle_header_bytes - number * host.xbzrle_run_bytes
    kept = min(1.0, max(0.0, 1.0 - changed / PAGE_BYTES)) ** (1.0 / number)
    length = min(PAGE_BYTES, max(1, round(PAGE_BYTES * (1.0 - kept))))
    return dataclasses.replace(
        guest, dirty=tuple(dataclasses.replace(one, rewrite_bytes=length) for one in guest.dirty)
    )


def _writes(guest: Guest, window_s: float) -> float:
    """Return how often a page was written that a window finds dirty, in the mean."""
    pages = np.array([one.region_pages for one in guest.dirty], float)
    writes = np.array([one.writes_per_s for one in guest.dirty]) * window_s
    dirty = pages * -np.expm1(-writes / np.maximum(pages, 1.0))
    return max(1.0, float(writes.sum() / max(dirty.sum(), 1e-12)))
