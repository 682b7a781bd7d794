"""A page on demand in one call, from one descriptor to the other.

When the guest waits for a page, the processor's caches hold something else: Python costs several times
what it does in a loop. A frame is taken here only if all of it has come and it is just as it must be; any
other is left where it is, for who can say what is wrong with it.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from migkit.harness.linux.libc import MSG_DONTWAIT, MSG_NOSIGNAL, MSG_PEEK, MSG_TRUNC, ioctl, recv, send
from migkit.harness.protocol.pages import FULL, HEADER_WORDS, KIND_SHIFT, PAGE_WORDS, frame_sum, gather, select
from migkit.jit import jit

__all__ = ["answer", "ask", "take"]

_LOOK: Final = MSG_PEEK | MSG_DONTWAIT
_DROP: Final = MSG_TRUNC | MSG_DONTWAIT
_SEND: Final = MSG_NOSIGNAL | MSG_DONTWAIT
_PAGE_SHIFT: Final = 12


@jit
def ask(descriptor: int, frame: np.ndarray, first: int, sequence: int, page: int) -> int:
    """Demand a page; return the bytes sent.

    Parameters
    ----------
    descriptor, frame, first, sequence
        The socket; words for the frame, its first word and its number.
    page
        That the guest waits for.
    """
    frame[HEADER_WORDS] = page
    return int(_dispatch(descriptor, frame, first, sequence, 0, 1))


@jit
def take(
    descriptor: int,
    frame: np.ndarray,
    first: int,
    sequence: int,
    pages: int,
    uffd: int,
    request: int,
    place: np.ndarray,
    address: int,
) -> int:
    """Take a frame of one full page and place that; return the page, or -1 if no such frame has come.

    Parameters
    ----------
    descriptor, frame, first, sequence
        The socket; words for the frame that it must be, its first word and its number.
    pages
        Of the guest.
    uffd, request
        Which the page is placed through, and how.
    place
        Words of that request; the last one says how many bytes were placed, or why none.
    address
        Where the guest's memory begins there.
    """
    if not _has_come(descriptor, frame, first, sequence, 1, 1 + PAGE_WORDS):
        return -1
    header = frame[HEADER_WORDS]
    page = header & ((1 << KIND_SHIFT) - 1)
    if header >> KIND_SHIFT != FULL or page >= pages:
        return -1
    _drop(descriptor, frame, 1 + PAGE_WORDS)
    place[0] = address + (page << _PAGE_SHIFT)
    place[1] = frame[HEADER_WORDS + 1 :].ctypes.data
    place[2] = 8 * PAGE_WORDS
    place[3:] = 0
    ioctl(uffd, request, place.ctypes.data)
    return int(page)


@jit
def answer(
    demands: int,
    asked: np.ndarray,
    first: int,
    sequence: int,
    memory: np.ndarray,
    bitmap: np.ndarray,
    holes: np.ndarray,
    headers: np.ndarray,
    tally: np.ndarray,
    descriptor: int,
    frame: np.ndarray,
    frame_first: int,
    frame_sequence: int,
) -> tuple[bool, int]:
    """Take a demand for one page, and send that with its neighbours when all are full and the frame holds them.

    Parameters
    ----------
    demands, asked, first, sequence
        The socket of the demands; words for the frame that it must be, its first word and its number.
    memory, bitmap, holes, headers, tally
        As :func:`migkit.harness.protocol.pages.select` takes them; ``headers`` has room for the page and its
        neighbours.
    descriptor, frame, frame_first, frame_sequence
        The socket of the pages; words for the frame that is sent, its first word and its number.

    Returns
    -------
    tuple
        Whether there was such a demand, and the bytes sent; 0: what ``headers`` name is still to send.
    """
    tally[:] = 0
    if not _has_come(demands, asked, first, sequence, 0, 1):
        return False, 0
    page = asked[HEADER_WORDS]
    if not 0 <= page < bitmap.size:
        return False, 0
    _drop(demands, asked, 1)
    if not bitmap[page]:
        return True, 0
    end = min(page + headers.size, bitmap.size)
    select(memory[page * PAGE_WORDS :], bitmap[page:end], holes[page:end], 0, math.inf, headers, tally)
    count = tally[0] + tally[1]
    headers[:count] += page
    words = count + tally[0] * PAGE_WORDS
    if tally[1] or HEADER_WORDS + words >= frame.size:
        return True, 0
    frame[HEADER_WORDS : HEADER_WORDS + count] = headers[:count]
    gather(memory, headers[:count], frame[HEADER_WORDS + count :], 0)
    return True, _dispatch(descriptor, frame, frame_first, frame_sequence, count, words)


@jit
def _has_come(descriptor: int, frame: np.ndarray, first: int, sequence: int, count: int, words: int) -> bool:
    """Look whether a frame of so many words of payload waits, all of it, and is what it must be."""
    size = 8 * (HEADER_WORDS + words + 1)
    if recv(descriptor, frame.ctypes.data, size, _LOOK) != size:
        return False
    if frame[0] != first or frame[1] != sequence or frame[2] != count or frame[3] != 8 * words:
        return False
    return bool(frame_sum(frame, count, 8 * words) == frame[HEADER_WORDS + words])


@jit
def _drop(descriptor: int, frame: np.ndarray, words: int) -> None:
    """Take the frame that was looked at off the socket."""
    recv(descriptor, frame.ctypes.data, 8 * (HEADER_WORDS + words + 1), _DROP)


@jit
def _dispatch(descriptor: int, frame: np.ndarray, first: int, sequence: int, count: int, words: int) -> int:
    """Complete a frame with so many words of payload, and send what goes at once; return the bytes sent."""
    frame[0] = first
    frame[1] = sequence
    frame[2] = count
    frame[3] = 8 * words
    frame[HEADER_WORDS + words] = frame_sum(frame, count, 8 * words)
    return max(send(descriptor, frame.ctypes.data, 8 * (HEADER_WORDS + words + 1), _SEND), 0)
