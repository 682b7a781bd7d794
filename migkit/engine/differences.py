"""What a page costs that is sent as the difference from what was sent of it before (XBZRLE), in expectation.

A write changes ``L`` bytes at a random word of the page. After ``n`` writes a byte is as it was with
``a^n``, ``a = 1 - L / page``; a run of changed bytes begins at one of ``N`` words and the word before it
is as it was with ``N (a^n - b^n)``, ``b = a - 1 / N``. The page then costs ``header + changed bytes + runs x
bytes of a run``, and no more than a full page; a page that is as it was costs what is said for that alone.
With a random number of writes the powers become generating functions: ``E[a^n] = exp(-m (1 - a))`` for ``m``
writes in expectation (Poisson).
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from migkit.engine import layout
from migkit.engine.layout import (
    PAGE_WIRE_BYTES,
    REWRITE_BYTES,
    XBZRLE_HEADER_BYTES,
    XBZRLE_RUN_BYTES,
    XBZRLE_SAME_BYTES,
)
from migkit.jit import lean

__all__ = ["changed_bytes", "hit_bytes", "rewritten"]

PAGE: Final = 4096.0
WORD: Final = 8.0
LEAST: Final = 1e-300


@lean
def rewritten(record: np.ndarray, base: int) -> tuple[float, float]:
    """Return the odds that one write changes a given byte, and that it changes it or a run begins behind it."""
    length = record[base + REWRITE_BYTES]
    places = (PAGE - length) / WORD + 1.0
    return length / PAGE, min(1.0, length / PAGE + 1.0 / places)


@lean
def changed_bytes(record: np.ndarray, base: int, changed: float, kept: float, apart: float) -> float:
    """Return what pages cost of which ``changed`` are not as they were [B].

    Parameters
    ----------
    record
        The packed scenario (:mod:`migkit.engine.layout`).
    base
        Where the pages' class begins in it.
    changed
        How many pages were written since they were sent.
    kept, apart
        Of all pages the sums of ``a^n`` and ``b^n``, less those of pages that were not written.
    """
    places = (PAGE - record[base + REWRITE_BYTES]) / WORD + 1.0
    runs = places * (kept - apart)
    words = changed * record[XBZRLE_HEADER_BYTES] + PAGE * (changed - kept) + runs * record[XBZRLE_RUN_BYTES]
    return float(min(words, changed * record[PAGE_WIRE_BYTES]))


@lean
def hit_bytes(record: np.ndarray, c: int, writes: float) -> float:
    """Return what a page of class ``c`` costs that was written so often since it was sent [B]."""
    if writes == 0.0:
        return float(record[XBZRLE_SAME_BYTES])
    base = layout.CLASS_BASE + c * layout.CLASS_SLOTS
    one, behind = rewritten(record, base)
    kept = math.exp(writes * math.log(max(LEAST, 1.0 - one)))
    apart = math.exp(writes * math.log(max(LEAST, 1.0 - behind)))
    return changed_bytes(record, base, 1.0, kept, apart)
