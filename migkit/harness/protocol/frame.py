"""One frame as it was received, and what must hold of the pages in it."""

from __future__ import annotations

import dataclasses
import json
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from migkit.errors import RunError
from migkit.harness.protocol import pages as page_loops
from migkit.harness.protocol.kinds import KINDS
from migkit.units import PAGE_BYTES

__all__ = [
    "CHUNK_PAGES",
    "FRAME_BYTES",
    "FRAME_PAGES",
    "HEADER_WORDS",
    "MAX_PAYLOAD_BYTES",
    "SUM_BYTES",
    "VERSION",
    "Frame",
    "WireError",
    "check_pages",
    "long_runs",
    "magic",
    "page_ranges",
    "tally",
]

VERSION: Final = 3
FRAME_PAGES: Final = 512
CHUNK_PAGES: Final = 64  # sent or received at a time, so that they are in a near cache when they are summed up
_RUN_PAGES: Final = 8  # neighbours from which on a call of the kernel costs less than a copy
HEADER_WORDS: Final = page_loops.HEADER_WORDS
SUM_BYTES: Final = 8
FRAME_BYTES: Final = 8 * HEADER_WORDS + SUM_BYTES
MAX_PAYLOAD_BYTES: Final = FRAME_PAGES * page_loops.FULL_BYTES

Words = npt.NDArray[np.int64]


def magic(version: int = VERSION) -> int:
    """Return the low half of the first word of every frame."""
    return int.from_bytes(b"MGK", "little") | version << 24


class WireError(RunError):
    """The other side sent what the protocol does not allow."""


@dataclasses.dataclass(frozen=True, slots=True)
class Frame:
    """One frame as it was received; its payload is valid until the next one.

    Of a ``PAGES`` frame whose full pages were put in place as they came, it holds all but those.
    """

    kind: int
    count: int
    payload: memoryview
    words: Words
    checksum: int
    placed: bool = False

    @property
    def headers(self) -> Words:
        """The header words of its pages."""
        return self.words[: self.count]

    @property
    def message(self) -> dict[str, Any]:
        """The JSON of a control frame."""
        try:
            message = json.loads(bytes(self.payload) or b"{}")
        except (ValueError, RecursionError) as error:
            raise WireError(f"wire: a {KINDS[self.kind]} frame holds no JSON ({error})") from error
        if not isinstance(message, dict):
            raise WireError(f"wire: a {KINDS[self.kind]} frame holds no JSON object")
        return message


_REASONS: Final = {
    page_loops.BAD_INDEX: "a page beyond the guest's memory",
    page_loops.BAD_KIND: "a page kind that is not known",
    page_loops.BAD_LENGTH: "a length that does not fit its pages",
}


def check_pages(frame: Frame, pages: int, *, differences: bool = False) -> int:
    """Return the full pages of a ``PAGES`` frame for a guest of ``pages`` pages.

    Raises
    ------
    WireError
        It does not hold what its header says, or differences where there may be none.
    """
    if frame.headers.size != frame.count:
        raise WireError("wire: a PAGES frame holds fewer pages than it says")
    full, zero, words = tally(frame.headers, len(frame.payload), pages, frame.placed)
    if words and not differences:
        raise WireError("wire: a PAGES frame holds differences where only whole pages may come")
    if zero and any(frame.payload[-zero:]):
        raise WireError("wire: a PAGES frame holds a zero page that is not zero")
    return full


def page_ranges(frame: Frame, pages: int) -> Words:
    """Return the half-open ranges of an ABSENT frame, each within a guest of ``pages`` pages.

    Raises
    ------
    WireError
        One of them is not.
    """
    ranges = frame.words[: len(frame.payload) // 16 * 2].reshape(-1, 2).copy()
    if len(frame.payload) % 16 or (ranges[:, 0] < 0).any() or (ranges[:, 1] > pages).any():
        raise WireError("wire: an ABSENT frame names pages beyond the guest's memory")
    if (ranges[:, 0] >= ranges[:, 1]).any():
        raise WireError("wire: an ABSENT frame holds an empty range")
    return ranges


def long_runs(headers: Words, full: int) -> Words:
    """Return the runs of neighbouring full pages of a frame: first page, pages; none when they are too scattered."""
    found = np.zeros(2 * headers.size, np.int64)
    runs = int(page_loops.runs(headers, found))
    return found[: 2 * runs if runs <= full // _RUN_PAGES else 0]


def tally(headers: Words, length_bytes: int, pages: int, placed: bool = False) -> tuple[int, int, int]:
    """Return the full and zero pages and the words of differences that a frame holds; refuse what cannot be."""
    counts = np.zeros(3, np.int64)
    reason = int(page_loops.tally(headers, pages, counts))
    full, zero, words = counts.tolist()
    bodies_bytes = 0 if placed else full * PAGE_BYTES
    if not reason and length_bytes != 8 * headers.size + bodies_bytes + 8 * words + zero:
        reason = page_loops.BAD_LENGTH
    if reason:
        raise WireError(f"wire: a PAGES frame holds {_REASONS[reason]}")
    return full, zero, words
