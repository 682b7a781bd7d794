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

from migkit.engine.records import PackedClass, PackedScenario
from migkit.jit import lean

__all__ = ["changed_bytes", "hit_bytes", "rewritten"]

PAGE: Final = 4096.0
WORD: Final = 8.0
LEAST: Final = 1e-300


@lean
def rewritten(one: PackedClass) -> tuple[float, float]:
    """Return the odds that one write changes a given byte, and that it changes it or a run begins behind it."""
    length = one.rewrite_bytes
    places = (PAGE - length) / WORD + 1.0
    return length / PAGE, min(1.0, length / PAGE + 1.0 / places)


@lean
def changed_bytes(scenario: PackedScenario, one: PackedClass, changed: float, kept: float, apart: float) -> float:
    """Return what pages cost of which ``changed`` are not as they were [B].

    Parameters
    ----------
    scenario
        The packed scenario.
    one
        The pages' class.
    changed
        How many pages were written since they were sent.
    kept, apart
        Of all pages the sums of ``a^n`` and ``b^n``, less those of pages that were not written.
    """
    places = (PAGE - one.rewrite_bytes) / WORD + 1.0
    runs = places * (kept - apart)
    words = changed * scenario.xbzrle_header_bytes + PAGE * (changed - kept) + runs * scenario.xbzrle_run_bytes
    return float(min(words, changed * scenario.page_wire_bytes))


@lean
def hit_bytes(scenario: PackedScenario, one: PackedClass, writes: float) -> float:
    """Return what a page of a class costs that was written so often since it was sent [B]."""
    if writes == 0.0:
        return float(scenario.xbzrle_same_bytes)
    byte, behind = rewritten(one)
    kept = math.exp(writes * math.log(max(LEAST, 1.0 - byte)))
    apart = math.exp(writes * math.log(max(LEAST, 1.0 - behind)))
    return changed_bytes(scenario, one, 1.0, kept, apart)
