"""Lesson 1: what a guest dirties is a curve over the length of the window, not one rate."""

from __future__ import annotations

import math
from typing import Final

from migkit.course.exercises import Choice, Function, Mistake, Number
from migkit.course.lesson_checks import Lesson
from migkit.course.quantities import PAGES, RATE, RATIO
from migkit.models.dirty import unique_dirty_pages
from migkit.scenario import DirtyClass, Guest
from migkit.units import GIB, MIB, PAGE_BYTES

__all__ = ["lesson"]

_REGION: Final = 512 * MIB
_WRITES: Final = 25_000.0
_SHOP: Final = Guest(
    memory_bytes=4 * GIB,
    zero_bytes=GIB,
    dirty=(DirtyClass(region_bytes=_REGION, writes_per_s=_WRITES),),
    layout="blocks",
)


def lesson() -> Lesson:
    """Return lesson 1.

    Examples
    --------
    >>> [one.name for one in lesson().exercises]
    ['region_pages', 'unique_pages', 'reading_bytes_per_s', 'too_large', 'more_after_10_s']
    """
    return Lesson(
        number=1,
        title="one number is not enough",
        exercises=(_region_pages(), _unique_pages(), _reading(), _too_large(), _more_after_10_s()),
        predictions=(_tenfold(),),
        case={"shop": _SHOP, "log_keeper": _log_keeper()},
    )


def _log_keeper() -> Guest:
    """Return a guest that writes through its memory in order, with the same reading in one second."""
    pages_per_s = unique_dirty_pages(_SHOP, 1.0)
    region = _SHOP.memory_bytes - _SHOP.zero_bytes
    sweep = DirtyClass(region_bytes=region, writes_per_s=pages_per_s, kind="sweep")
    return Guest(memory_bytes=_SHOP.memory_bytes, zero_bytes=_SHOP.zero_bytes, dirty=(sweep,), layout="blocks")


def _growth(window_s: float) -> float:
    """Return by how much the distinct pages grow when a window becomes ten times as long."""
    return unique_dirty_pages(_SHOP, 10.0 * window_s) / unique_dirty_pages(_SHOP, window_s)


def _tenfold() -> Choice:
    factors = {"a": 10.0, "b": 5.0, "c": 2.0, "d": 1.0}
    return Choice(
        name="tenfold_window",
        asks="how the distinct pages grow from a window of 1 s to one of 10 s",
        options={
            "a": "about tenfold",
            "b": "about fivefold",
            "c": "about twofold",
            "d": "they hardly grow",
        },
        expected=lambda: min(factors, key=lambda letter: abs(math.log(_growth(1.0) / factors[letter]))),
        meaning=lambda: (
            "The guest writes ten times as often in ten times the time, but many of these writes hit a page that "
            f"was written before: the distinct pages grow {_growth(1.0):.1f}-fold."
        ),
    )


def _region_pages() -> Number:
    return Number(
        name="region_pages",
        asks="how many pages the region of 512 MiB has",
        quantity=PAGES,
        expected=lambda: float(_SHOP.dirty[0].region_pages),
        meaning=lambda: f"512 MiB are {_REGION:,} bytes, and each page holds {PAGE_BYTES:,} of them.",
        hint="How many bytes are 512 MiB, and how many of them does a page of 4 KiB hold?",
        mistakes=(
            Mistake(
                lambda: float(_SHOP.memory_pages), "These are the pages of all memory. Only the region is asked for."
            ),
        ),
        tolerance=1e-9,
        off_by=2.0,
    )


def _unique_pages() -> Function:
    pages = _REGION / PAGE_BYTES
    return Function(
        name="unique_pages",
        asks="the distinct pages written within t_s seconds [pages]",
        cases=((0.1,), (1.0,), (10.0,), (100.0,)),
        expected=lambda t_s: unique_dirty_pages(_SHOP, t_s),
        meaning=lambda: (
            f"In 1 s it is {unique_dirty_pages(_SHOP, 1.0):,.0f} distinct pages of {_WRITES:,.0f} writes; in 100 s "
            f"nearly all {pages:,.0f} pages of the region, and never more."
        ),
        hint="Each write misses a given page with the probability 1 - 1/W. What is left after r t writes?",
        mistakes=(
            Mistake(
                lambda t_s: _WRITES * t_s,
                "You counted writes. A page that is written twice is one distinct page, and U(t) cannot exceed W.",
            ),
            Mistake(
                lambda t_s: min(pages, _WRITES * t_s),
                "That is a guest which never writes a page twice until it has written all: a sweep. This one picks "
                "its pages at random, so it hits some twice long before it has hit all.",
            ),
            Mistake(
                lambda t_s: pages * math.exp(-_WRITES * t_s / pages),
                "These are the pages that were not written. Take them from W.",
            ),
            Mistake(
                lambda t_s: -pages * math.expm1(-_WRITES * t_s),
                "The exponent lacks W: one page is written r/W times a second, not r times.",
            ),
            Mistake(
                lambda t_s: -_REGION * math.expm1(-_WRITES * t_s / _REGION),
                "You put the region in bytes where W is in pages, so no two writes ever meet on a page.",
            ),
        ),
        quantity=PAGES,
    )


def _reading_at(window_s: float) -> float:
    return unique_dirty_pages(_SHOP, window_s) * PAGE_BYTES / window_s


def _reading() -> Number:
    return Number(
        name="reading_bytes_per_s",
        asks="the dirty rate that a tool reads in a window of 1 s [B/s]",
        quantity=RATE,
        expected=lambda: _reading_at(1.0),
        meaning=lambda: (
            f"The tool reads {_reading_at(1.0) / 1e6:.1f} MB/s in 1 s. In 10 s it would read "
            f"{_reading_at(10.0) / 1e6:.1f} MB/s of the same guest."
        ),
        hint="The tool counts distinct pages in its window, and divides their bytes by the window.",
        mistakes=(
            Mistake(
                lambda: _WRITES * PAGE_BYTES,
                "That is 4 KiB for every write. The tool sees a page that was written twice only once.",
            ),
            Mistake(lambda: _reading_at(10.0), "That is the reading of a window of 10 s."),
            Mistake(lambda: float(_REGION), "That is the whole region. How much of it is written within 1 s?"),
        ),
    )


def _too_large() -> Number:
    def factor(window_s: float) -> float:
        return _reading_at(window_s) / _reading_at(30.0)

    return Number(
        name="too_large",
        asks="by which factor the reading of a window of 0.1 s, taken for 30 s, is too large",
        quantity=RATIO,
        expected=lambda: factor(0.1),
        meaning=lambda: (
            f"A reading of 0.1 s taken for a round of 30 s is {factor(0.1):.1f} times too large. No rate is right: "
            "a reading means nothing without its window."
        ),
        hint="Compare 300 times the pages of 0.1 s with the pages of 30 s.",
        mistakes=(
            Mistake(
                lambda: 1.0 / factor(0.1), "It is upside down: the short reading promises more pages than there are."
            ),
            Mistake(lambda: factor(1.0), "That is the reading of 1 s taken for 30 s. The window was 0.1 s."),
            Mistake(
                lambda: unique_dirty_pages(_SHOP, 30.0) / unique_dirty_pages(_SHOP, 0.1),
                "That is how much the pages grow. How much would they grow if the reading were a rate, and how "
                "much too much is that?",
            ),
            Mistake(lambda: factor(0.1) - 1.0, "That is by how much it is too large. The factor is one more."),
        ),
    )


def _more_after_10_s() -> Choice:
    def more() -> str:
        shop, keeper = (unique_dirty_pages(guest, 10.0) for guest in (_SHOP, _log_keeper()))
        return "c" if math.isclose(shop, keeper, rel_tol=0.05) else "a" if shop > keeper else "b"

    return Choice(
        name="more_after_10_s",
        asks="which of the two guests has dirtied more after 10 s",
        options={"a": "the shop", "b": "the log keeper", "c": "both the same, within 5 %"},
        expected=more,
        meaning=lambda: (
            f"After 10 s the log keeper has dirtied {unique_dirty_pages(_log_keeper(), 10.0):,.0f} pages, the shop "
            f"{unique_dirty_pages(_SHOP, 10.0):,.0f}. One reading fits both; two readings at different windows do "
            "not."
        ),
        wrong={
            "a": "The shop writes to a small region, and more and more of its writes hit a page that is dirty "
            "already.",
            "c": "They agree at 1 s only. Which of the two writes to pages that are dirty already?",
        },
    )
