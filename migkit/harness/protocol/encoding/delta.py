"""Differences between what a page holds now and what it held when it was last sent.

A difference is a run of words: 16-bit numbers, four a word from the low bits up, then the words that
changed. The numbers are how many runs of changed words there are, and for each run its first word and
its length; so a page of which one word changed costs two words, and one that did not change at all
costs one. As XBZRLE of QEMU (docs/devel/migration/features.rst there) it is taken against a cache of
what was sent, which is the destination's own memory.

The cache is mapped directly: a page has one slot, ``page % slots``. It takes the slot of another page
only when that one was not sent for :data:`LIFETIME_ROUNDS` rounds.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from migkit.harness.protocol.pages import (
    DELTA,
    FULL,
    INDEX_MASK,
    KIND_SHIFT,
    LENGTH_MASK,
    LENGTH_SHIFT,
    PAGE_WORDS,
    ZERO,
)
from migkit.jit import jit

__all__ = ["apply", "decode", "encode", "pack"]

LIFETIME_ROUNDS: Final = 2
_FIELD_MASK: Final = (1 << 16) - 1


@jit
def encode(old: np.ndarray, new: np.ndarray, out: np.ndarray) -> int:
    """Write the difference of two pages; return its words, or -1 when it is not shorter than the page."""
    runs = 0
    changed = 0
    before = False
    for i in range(PAGE_WORDS):
        differs = old[i] != new[i]
        changed += differs
        runs += differs and not before
        before = differs
    at = runs // 2 + 1
    if at + changed >= PAGE_WORDS:
        return -1
    out[:at] = 0
    out[0] = runs
    field = 1
    i = 0
    while i < PAGE_WORDS:
        if old[i] == new[i]:
            i += 1
            continue
        first = i
        while i < PAGE_WORDS and old[i] != new[i]:
            out[at] = new[i]
            at += 1
            i += 1
        out[field // 4] |= first << (16 * (field % 4))
        field += 1
        out[field // 4] |= (i - first) << (16 * (field % 4))
        field += 1
    return at


@jit
def decode(difference: np.ndarray, page: np.ndarray) -> bool:
    """Apply a difference to a page; False: it is none of a page, and the page may have been altered."""
    runs = difference[0] & _FIELD_MASK
    at = runs // 2 + 1
    if at > difference.size:
        return False
    for k in range(runs):
        field = 1 + 2 * k
        first = (difference[field // 4] >> (16 * (field % 4))) & _FIELD_MASK
        field += 1
        length = (difference[field // 4] >> (16 * (field % 4))) & _FIELD_MASK
        if first + length > PAGE_WORDS or at + length > difference.size:
            return False
        page[first : first + length] = difference[at : at + length]
        at += length
    return at == difference.size


@jit
def apply(headers: np.ndarray, differences: np.ndarray, memory: np.ndarray) -> bool:
    """Apply the differences of a frame to the destination's memory; False: one is none of its page.

    Parameters
    ----------
    headers
        Of a frame that :func:`migkit.harness.protocol.pages.tally` found sound.
    differences
        At least the words that it counted.
    memory
        RAM of the destination's guest as int64 words.
    """
    at = 0
    for header in headers:
        if header >> KIND_SHIFT == DELTA:
            length = (header >> LENGTH_SHIFT) & LENGTH_MASK
            start = (header & INDEX_MASK) * PAGE_WORDS
            if not decode(differences[at : at + length], memory[start : start + PAGE_WORDS]):
                return False
            at += length
    return True


@jit
def pack(
    memory: np.ndarray,
    headers: np.ndarray,
    bodies: np.ndarray,
    scratch: np.ndarray,
    held: np.ndarray,
    used: np.ndarray,
    content: np.ndarray,
    turn: int,
) -> int:
    """Copy the pages that ``headers`` name into ``bodies``, as differences where those are shorter.

    A page may be written meanwhile: what is compared, sent and remembered is one copy of it.

    Parameters
    ----------
    memory
        The guest's RAM as int64 words.
    headers
        As :func:`migkit.harness.protocol.pages.select` made them; those of differences are replaced.
    bodies
        Out: full pages, then differences. Room for all as full pages.
    scratch
        Room for as much.
    held, used, content
        The cache: for each slot its page (-1: none), the round in which that was last sent, its words.
    turn
        The round.

    Returns
    -------
    int
        Words of ``bodies`` used.
    """
    at = 0
    end = 0
    for k in range(headers.size):
        header = headers[k]
        page = header & INDEX_MASK
        slot = page % held.size
        kept = content[slot * PAGE_WORDS : (slot + 1) * PAGE_WORDS]
        hit = held[slot] == page
        if header >> KIND_SHIFT == ZERO:
            if hit:
                kept[:] = 0
            continue
        body = bodies[at : at + PAGE_WORDS]
        body[:] = memory[page * PAGE_WORDS : (page + 1) * PAGE_WORDS]
        length = encode(kept, body, scratch[end:]) if hit else -1
        if hit or held[slot] < 0 or used[slot] + LIFETIME_ROUNDS <= turn:
            held[slot] = page
            used[slot] = turn
            kept[:] = body
        if length > 0:
            headers[k] = (DELTA << KIND_SHIFT) | (length << LENGTH_SHIFT) | page
            end += length
        else:
            headers[k] = (FULL << KIND_SHIFT) | page
            at += PAGE_WORDS
    bodies[at : at + end] = scratch[:end]
    return at + end
