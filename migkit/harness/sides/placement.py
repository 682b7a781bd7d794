"""What the destination of a post-copy does for each frame of pages."""

from __future__ import annotations

import numpy as np

from migkit.harness.protocol.pages import INDEX_MASK, KIND_SHIFT
from migkit.jit import jit

__all__ = ["RUN_SLOTS", "arrive"]

RUN_SLOTS = 3  # kind, first page, pages


@jit
def arrive(headers: np.ndarray, absent: np.ndarray, runs: np.ndarray) -> int:
    """Note that pages have come; return how many of them were absent.

    Parameters
    ----------
    headers
        Header words of a frame that was checked, see :mod:`migkit.harness.protocol.pages`.
    absent
        One byte a page, 1: still to come; those of the frame are cleared.
    runs
        Out: ``RUN_SLOTS`` for each run of neighbouring pages of one kind, in the order of the headers; then -1.
    """
    fresh = 0
    at = -RUN_SLOTS
    for header in headers:
        kind = header >> KIND_SHIFT
        page = header & INDEX_MASK
        fresh += absent[page]
        absent[page] = 0
        if at < 0 or runs[at] != kind or runs[at + 1] + runs[at + 2] != page:
            at += RUN_SLOTS
            runs[at] = kind
            runs[at + 1] = page
            runs[at + 2] = 0
        runs[at + 2] += 1
    runs[at + RUN_SLOTS] = -1
    return int(fresh)
