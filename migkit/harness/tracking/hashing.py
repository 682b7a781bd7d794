"""A 64-bit hash of each page: what a tracker compares that has no help of the kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migkit.jit import jit

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["hash_pages"]


@jit
def hash_pages(
    words: npt.NDArray[np.uint64],
    page_words: int,
    multiplier: np.uint64,
    shift: np.uint64,
    out: npt.NDArray[np.uint64],
) -> None:
    """Write the hash of each page of ``words`` to ``out``.

    Multilinear hashing in four lanes, ``h = (h + w) x odd; h ^= h >> 29``: every step is
    invertible in the word, so two pages that differ in one word never collide, and any
    two others do with a probability of about 2**-64.

    Parameters
    ----------
    words
        Memory as 64-bit words, a whole number of pages.
    page_words
        Words a page.
    multiplier, shift
        An odd number and 29; given, since numba takes a literal for a signed number.
    out
        One hash a page.
    """
    for page in range(out.size):
        first = page * page_words
        a = b = c = d = multiplier
        for i in range(first, first + page_words, 4):
            a = (a + words[i]) * multiplier
            b = (b + words[i + 1]) * multiplier
            c = (c + words[i + 2]) * multiplier
            d = (d + words[i + 3]) * multiplier
            a ^= a >> shift
            b ^= b >> shift
            c ^= c >> shift
            d ^= d >> shift
        a = (a + b) * multiplier
        a ^= a >> shift
        c = (c + d) * multiplier
        c ^= c >> shift
        out[page] = (a + (c ^ (c >> shift))) * multiplier
