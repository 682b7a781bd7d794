"""What the page-copy harness does for each page: mark, select, gather, check, scatter.

Pages are 512 words of int64. A *frame* of pages is a run of words:

    header words (one a page: kind << 56 | length << 40 | page index)
    bodies of the full pages, 512 words each, in the order of their headers
    differences of the pages that are sent as such (see ``protocol/delta``), ``length`` words each, likewise
    one byte a zero page (0), padded to a whole word, in the order of their headers

so a full page costs 8 + 4096 bytes on the wire and a zero page 8 + 1. ``length`` is 0 for both.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from migkit.jit import jit

__all__ = ["checksum", "frame_sum", "gather", "mark", "runs", "scatter", "select", "settle", "tally"]

PAGE_WORDS: Final = 512
HEADER_WORDS: Final = 4
FULL: Final = 0
ZERO: Final = 1
DELTA: Final = 2
KIND_SHIFT: Final = 56
LENGTH_SHIFT: Final = 40
LENGTH_MASK: Final = (1 << 16) - 1
INDEX_MASK: Final = (1 << 40) - 1
FULL_BYTES: Final = 4096 + 8
ZERO_BYTES: Final = 8 + 1

# What tally returns when it refuses a frame.
BAD_INDEX: Final = -1
BAD_KIND: Final = -2
BAD_LENGTH: Final = -3

_LOW: Final = 0xFFFFFFFF
CHECKSUM_MASK: Final = (1 << 61) - 1


@jit
def mark(bitmap: np.ndarray, holes: np.ndarray, ranges: np.ndarray) -> int:
    """Mark half-open page ranges (first, end, first, end, ...) as dirty; return how many pages were not yet."""
    fresh = 0
    for k in range(0, ranges.size, 2):
        for page in range(ranges[k], ranges[k + 1]):
            if not bitmap[page]:
                fresh += 1
            bitmap[page] = 1
            holes[page] = 0
    return fresh


@jit
def is_zero(memory: np.ndarray, page: int) -> bool:
    """Say whether a page holds zeros only."""
    start = page * PAGE_WORDS
    for i in range(start, start + PAGE_WORDS, 8):
        seen = (
            memory[i]
            | memory[i + 1]
            | memory[i + 2]
            | memory[i + 3]
            | memory[i + 4]
            | memory[i + 5]
            | memory[i + 6]
            | memory[i + 7]
        )
        if seen != 0:
            return False
    return True


@jit
def select(
    memory: np.ndarray,
    bitmap: np.ndarray,
    holes: np.ndarray,
    position: int,
    budget_bytes: float,
    headers: np.ndarray,
    tally: np.ndarray,
) -> int:
    """Take marked pages in address order, wrapping, until the budget is used or the headers are full.

    Parameters
    ----------
    memory
        The guest's RAM as int64 words.
    bitmap
        One byte a page, 1: to send; the pages taken are unmarked.
    holes
        One byte a page, 1: known to be zero without looking.
    position
        Where to begin [page].
    budget_bytes
        Taking ends with the page that reaches it [B on the wire].
    headers
        Filled with one header word a page taken.
    tally
        Out: full pages, zero pages.

    Returns
    -------
    int
        Where to begin next time [page].
    """
    pages = bitmap.size
    used = 0.0
    full = 0
    zero = 0
    page = position
    for _ in range(pages):
        if full + zero == headers.size or used >= budget_bytes:
            break
        if bitmap[page]:
            bitmap[page] = 0
            if holes[page] or is_zero(memory, page):
                headers[full + zero] = (ZERO << KIND_SHIFT) | page
                zero += 1
                used += ZERO_BYTES
            else:
                headers[full + zero] = (FULL << KIND_SHIFT) | page
                full += 1
                used += FULL_BYTES
        page += 1
        if page == pages:
            page = 0
    tally[0] = full
    tally[1] = zero
    return page


@jit
def checksum(words: np.ndarray, start: int) -> int:
    """Return a 61-bit positional sum of ``words``, continued from ``start``.

    Within blocks of 512 words the sums of the 32-bit halves, plain and weighted by position, are
    exact, so that a changed bit, byte or word and two words swapped change them; the sums of the
    blocks are chained by multiplications. It finds errors, it is no protection against intent.
    """
    total = start
    for first in range(0, words.size, PAGE_WORDS):
        block = words[first : first + PAGE_WORDS]
        low = 0
        high = 0
        weighted_low = 0
        weighted_high = 0
        for i in range(block.size):
            a = block[i] & _LOW
            b = (block[i] >> 32) & _LOW
            weight = (i + 1) & _LOW  # masked, so that the compiler sees two factors of 32 bits: half of the time
            low += a
            high += b
            weighted_low += weight * a
            weighted_high += weight * b
        total = _chain_block(total, low, high, weighted_low, weighted_high)
    return total


@jit
def _copy_page(page: np.ndarray, copy: np.ndarray, start: int) -> int:
    """Copy the words of a page, read once; return the :func:`checksum` of the copy, in the time of either."""
    low = 0
    high = 0
    weighted_low = 0
    weighted_high = 0
    for i in range(PAGE_WORDS):
        word = page[i]
        copy[i] = word
        a = word & _LOW
        b = (word >> 32) & _LOW
        weight = (i + 1) & _LOW
        low += a
        high += b
        weighted_low += weight * a
        weighted_high += weight * b
    return _chain_block(start, low, high, weighted_low, weighted_high)


@jit
def _chain_block(total: int, low: int, high: int, weighted_low: int, weighted_high: int) -> int:
    return _chain(_chain(_chain(total, low), high), weighted_low + (weighted_high << 1))


@jit
def _chain(total: int, value: int) -> int:
    folded = (total ^ value) & CHECKSUM_MASK
    low = (folded & _LOW) * 0x45D9F3B
    high = (folded >> 32) * 0x2C1B3C6D
    return (low ^ (high << 3) ^ (folded >> 17) ^ (folded << 7)) & CHECKSUM_MASK


@jit
def frame_sum(frame: np.ndarray, head: int, length_bytes: int) -> int:
    """Return the checksum of a frame that lies in one piece.

    Parameters
    ----------
    frame
        Its words: ``HEADER_WORDS``, then the payload, the last word of which is filled up with zeros.
    head
        Header words of pages.
    length_bytes
        Of the payload [B].
    """
    body = HEADER_WORDS + head
    total = checksum(frame[HEADER_WORDS:body], checksum(frame[:HEADER_WORDS], 0))
    return checksum(frame[body : HEADER_WORDS + (length_bytes + 7) // 8], total)


@jit
def gather(memory: np.ndarray, headers: np.ndarray, bodies: np.ndarray, start: int) -> tuple[int, int]:
    """Copy the full pages that ``headers`` name into ``bodies``; return the words used and their :func:`checksum`.

    A page may be written meanwhile: the checksum is that of the copy.
    """
    total = start
    at = 0
    for header in headers:
        if header >> KIND_SHIFT != FULL:
            continue
        first = (header & INDEX_MASK) * PAGE_WORDS
        total = _copy_page(memory[first : first + PAGE_WORDS], bodies[at : at + PAGE_WORDS], total)
        at += PAGE_WORDS
    return at, total


@jit
def tally(headers: np.ndarray, pages: int, counts: np.ndarray) -> int:
    """Count what a frame holds; return 0, or why it must be refused: one of the negative reasons.

    Parameters
    ----------
    headers
        Its header words.
    pages
        Pages of the guest.
    counts
        Out: full pages, zero pages, words of differences.
    """
    counts[:] = 0
    for header in headers:
        kind = header >> KIND_SHIFT
        index = header & ((1 << KIND_SHIFT) - 1)
        if kind == FULL:
            counts[0] += 1
        elif kind == ZERO:
            counts[1] += 1
        elif kind == DELTA:
            length = (header >> LENGTH_SHIFT) & LENGTH_MASK
            if not 0 < length < PAGE_WORDS:
                return BAD_LENGTH
            counts[2] += length
            index = header & INDEX_MASK
        else:
            return BAD_KIND
        if index >= pages:
            return BAD_INDEX
    return 0


@jit
def runs(headers: np.ndarray, out: np.ndarray) -> int:
    """Find the runs of neighbouring full pages of a frame; return how many there are.

    Parameters
    ----------
    headers
        Of any frame.
    out
        Out, for each run: first page, pages.
    """
    count = 0
    end = -1
    for header in headers:
        if header >> KIND_SHIFT != FULL:
            continue
        page = header & INDEX_MASK
        if page != end:
            out[2 * count] = page
            out[2 * count + 1] = 0
            count += 1
        out[2 * count - 1] += 1
        end = page + 1
    return count


@jit
def scatter(headers: np.ndarray, bodies: np.ndarray, memory: np.ndarray) -> None:
    """Write the full pages of a frame that was checked into the memory of the destination."""
    at = 0
    for header in headers:
        if header >> KIND_SHIFT == FULL:
            start = (header & INDEX_MASK) * PAGE_WORDS
            memory[start : start + PAGE_WORDS] = bodies[at : at + PAGE_WORDS]
            at += PAGE_WORDS


@jit
def settle(headers: np.ndarray, memory: np.ndarray, present: np.ndarray) -> None:
    """Write the zero pages of a frame, and note which pages hold something now.

    Parameters
    ----------
    headers
        Of a frame that was checked.
    memory
        RAM of the destination's guest as int64 words.
    present
        One byte a page, 1: written here before; a zero page that is not present needs no write.
    """
    for header in headers:
        page = header & INDEX_MASK
        if header >> KIND_SHIFT != ZERO:
            present[page] = 1
        elif present[page]:
            memory[page * PAGE_WORDS : (page + 1) * PAGE_WORDS] = 0
