"""The full pages of a frame onto a socket, or off it, without a return to Python between them.

Pages go in pieces that stay in a near cache from when they are copied, sent or received until they are summed
up. What the socket does not take, or has not, is left to the caller, who moves the rest of the piece, says so
in ``MOVED``, and calls again.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from migkit.harness.linux.libc import MSG_DONTWAIT, MSG_MORE, MSG_NOSIGNAL, recv, send
from migkit.harness.protocol.pages import PAGE_WORDS, checksum, gather
from migkit.jit import jit

__all__ = ["FIRST", "MOVED", "PROGRESS_WORDS", "SUM", "WORDS", "receive", "send_copies", "send_in_place"]

PROGRESS_WORDS: Final = 5
SUM: Final = 0  # the checksum of all before the piece, and of a copied piece as well
NEXT: Final = 1  # the header, or the page of all pages, that the next piece begins with
FIRST: Final = 2  # the piece: its first word,
WORDS: Final = 3  # its words,
MOVED: Final = 4  # and the bytes of it that were sent or received

_MORE: Final = MSG_MORE | MSG_NOSIGNAL | MSG_DONTWAIT


@jit
def send_copies(
    descriptor: int, memory: np.ndarray, headers: np.ndarray, chunk: np.ndarray, progress: np.ndarray
) -> bool:
    """Send copies of pages, which the guest may be writing; return whether all are sent.

    Parameters
    ----------
    descriptor
        The socket; -1: all is left to the caller.
    memory
        The guest's RAM as int64 words.
    headers
        Name the pages; those that are not full are passed over (:mod:`migkit.harness.protocol.pages`).
    chunk
        Room for the pages of a piece.
    progress
        In and out; zeros but for ``SUM`` when a frame begins.
    """
    while _push(descriptor, chunk, progress):
        first = progress[NEXT]
        if first >= headers.size:
            return True
        progress[NEXT] = first + chunk.size // PAGE_WORDS
        words, total = gather(memory, headers[first : progress[NEXT]], chunk, progress[SUM])
        progress[SUM] = total
        progress[WORDS] = words
        progress[MOVED] = 0
    return False


@jit
def send_in_place(descriptor: int, memory: np.ndarray, runs: np.ndarray, pages: int, progress: np.ndarray) -> bool:
    """Send pages that nobody writes from where they are; return whether all are sent.

    A piece is summed up when it was sent: the kernel's copy has brought it to a near cache, faster than the
    sum could.

    Parameters
    ----------
    descriptor, memory, progress
        As :func:`send_copies` takes them.
    runs
        First page and pages, for each run.
    pages
        Of a piece, at most.
    """
    while _push(descriptor, memory, progress):
        if not _next_piece(memory, runs, pages, progress):
            return True
    return False


@jit
def receive(
    descriptor: int, memory: np.ndarray, runs: np.ndarray, pages: int, tries: int, progress: np.ndarray
) -> bool:
    """Receive pages to where they belong; return whether all have come.

    Parameters
    ----------
    descriptor, memory, runs, pages, progress
        As :func:`send_in_place` takes them.
    tries
        Looks at a socket that is empty before the caller is to wait for it.
    """
    while _pull(descriptor, memory, tries, progress):
        if not _next_piece(memory, runs, pages, progress):
            return True
    return False


@jit
def _next_piece(memory: np.ndarray, runs: np.ndarray, pages: int, progress: np.ndarray) -> bool:
    """Sum up the piece that is over, and go on to the next one, if there is one."""
    first = progress[FIRST]
    progress[SUM] = checksum(memory[first : first + progress[WORDS]], progress[SUM])
    progress[WORDS] = 0
    progress[MOVED] = 0
    left = progress[NEXT]
    for k in range(0, runs.size, 2):
        if left < runs[k + 1]:
            count = min(pages, runs[k + 1] - left)
            progress[NEXT] += count
            progress[FIRST] = (runs[k] + left) * PAGE_WORDS
            progress[WORDS] = count * PAGE_WORDS
            return True
        left -= runs[k + 1]
    return False


@jit
def _push(descriptor: int, words: np.ndarray, progress: np.ndarray) -> bool:
    """Send what is left of a piece; return whether the socket took all of it."""
    end = 8 * progress[WORDS]
    while progress[MOVED] < end:
        address = words.ctypes.data + 8 * progress[FIRST] + progress[MOVED]
        count = send(descriptor, address, end - progress[MOVED], _MORE)
        if count <= 0:
            return False
        progress[MOVED] += count
    return True


@jit
def _pull(descriptor: int, words: np.ndarray, tries: int, progress: np.ndarray) -> bool:
    """Receive what is left of a piece; return whether all of it has come."""
    end = 8 * progress[WORDS]
    left = tries
    while progress[MOVED] < end:
        address = words.ctypes.data + 8 * progress[FIRST] + progress[MOVED]
        count = recv(descriptor, address, end - progress[MOVED], MSG_DONTWAIT)
        if count > 0:
            progress[MOVED] += count
            left = tries
        elif count == 0 or left == 0:
            return False
        else:
            left -= 1
    return True
