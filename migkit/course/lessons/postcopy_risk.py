"""Lesson 4: post-copy always ends; what it costs is waiting for pages, and the risk of losing the guest."""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Final

from migkit.course.exercises import Choice, Mistake, Number
from migkit.course.lesson_checks import Lesson
from migkit.course.lessons import geometric_series
from migkit.course.quantities import COUNT, SHARE, TIME
from migkit.models.predict import predict
from migkit.models.result import Prediction
from migkit.planning.size import size
from migkit.scenario import Host, Scenario, Strategy
from migkit.units import PAGE_BYTES, format_duration

__all__ = ["lesson"]

_BANDWIDTH: Final = 125e6
_FLEET: Final = 1000
_FAILURES_PER_H: Final = 0.01
_MOST_DOWN_S, _MOST_RISK = 0.1, 2e-5
_MANNERS: Final = {"a": "precopy", "b": "stopcopy", "c": "postcopy", "d": "hybrid"}
_WORDS: Final = {"a": "pre-copy", "b": "stop-copy", "c": "post-copy", "d": "hybrid"}


def lesson() -> Lesson:
    """Return lesson 4.

    Examples
    --------
    >>> [one.name for one in lesson().exercises][:3]
    ['exposure_s', 'fault_s', 'queued_fault_s']
    """
    return Lesson(
        number=4,
        title="post-copy, and what it risks",
        exercises=(_exposure(), _fault(), _queued_fault(), _risk(), _fleet_risk(), _crossover(), _which()),
        predictions=(_shortest(),),
        case={"busier": _case(), "fleet": _FLEET, "most_down_s": _MOST_DOWN_S, "most_risk": _MOST_RISK},
    )


def _case(strategy: str = "precopy", preempt: bool = True) -> Scenario:
    return dataclasses.replace(
        geometric_series.busier(),
        host=Host(failures_per_h=_FAILURES_PER_H),
        strategy=Strategy(name=strategy, preempt=preempt),
    )


@functools.cache
def _told(strategy: str, preempt: bool = True) -> Prediction:
    return predict(_case(strategy, preempt), level=None)


def _volume() -> float:
    return float(_case().guest.memory_bytes - _case().guest.zero_bytes)


def _down_s(strategy: str) -> float:
    return _told(strategy).downtime_s if _told(strategy).verdict == "converges" else math.inf


def _shortest() -> Choice:
    three = {letter: _MANNERS[letter] for letter in "abc"}
    return Choice(
        name="shortest_downtime",
        asks="which strategy has the shortest downtime for the busier shop",
        options={letter: _WORDS[letter] for letter in three},
        expected=lambda: min(three, key=lambda letter: _down_s(three[letter])),
        meaning=lambda: (
            f"Post-copy is down for {format_duration(_down_s('postcopy'))}, stop-copy for "
            f"{format_duration(_down_s('stopcopy'))}, and pre-copy never comes to its end."
        ),
    )


def _exposure() -> Number:
    return Number(
        name="exposure_s",
        asks="how long the guest runs at the destination before all of its pages are there [s]",
        quantity=TIME,
        expected=lambda: _told("postcopy").exposure_s,
        meaning=lambda: (
            f"For {_told('postcopy').exposure_s:.1f} s a failure of either host loses the guest. That does not "
            "depend on what it writes: each page is sent once."
        ),
        hint="Every page that is not zero is pushed once. How long does the link take for that?",
        mistakes=(
            Mistake(
                lambda: _case().guest.memory_bytes / _BANDWIDTH,
                "You pushed all of the memory. Zero pages travel as 9 bytes: leave the 1 GiB of zero pages out.",
            ),
            Mistake(
                lambda: _case().guest.dirty[0].region_bytes / _BANDWIDTH,
                "That is the region that the guest writes to. At the destination it may touch any page, so all of "
                "them must come.",
            ),
            Mistake(lambda: _told("postcopy").downtime_s, "That is the downtime. Pages still come after it."),
        ),
        tolerance=0.02,
    )


def _per_fault(preempt: bool) -> float:
    told = _told("postcopy", preempt)
    return told.blocktime_s / told.postcopy_faults


def _page_s() -> float:
    return (PAGE_BYTES + 8.0) / _BANDWIDTH


def _fault() -> Number:
    host, link = _case().host, _case().link
    return Number(
        name="fault_s",
        asks="how long the guest waits for one page that it demands [s]",
        quantity=TIME,
        expected=lambda: _per_fault(True),
        meaning=lambda: (
            f"{_per_fault(True) * 1e6:.0f} us a demand fault. A page in memory costs a tenth of a microsecond: the "
            "guest is thousands of times slower on a page that is not there yet."
        ),
        hint="Add the round trip, the time of the page on the wire, and what the fault costs at both hosts.",
        mistakes=(
            Mistake(
                lambda: host.fault_service_s + link.rtt_s / 2 + _page_s(),
                "You took half the round trip. The demand goes one way and the page comes the other.",
            ),
            Mistake(
                lambda: host.fault_service_s + _page_s(),
                "You forgot the round trip: the demand has to reach the source, and the page to come back.",
            ),
            Mistake(
                lambda: link.rtt_s + _page_s(),
                "You forgot what the fault itself costs: the kernel notices it, the source finds the page, the "
                "destination places it.",
            ),
            Mistake(
                lambda: host.fault_service_s + link.rtt_s,
                "You forgot the page itself: 4,096 bytes take their time on the wire.",
            ),
            Mistake(
                lambda: host.fault_service_s + link.rtt_s + _page_s() * 8,
                "You divided bytes by bits a second. 1 Gbit/s is 125 MB/s.",
            ),
        ),
        tolerance=0.01,
    )


def _queued_fault() -> Number:
    return Number(
        name="queued_fault_s",
        asks="how long it waits when demanded pages share the one connection with the push [s]",
        quantity=TIME,
        expected=lambda: _per_fault(False),
        meaning=lambda: (
            f"{_per_fault(False) * 1e3:.1f} ms in place of {_per_fault(True) * 1e3:.2f} ms: the page queues behind "
            "what was pushed before. So QEMU answers demands over a connection of their own (postcopy-preempt)."
        ),
        hint="What is queued on the connection has to be sent first. How long does the link take for it?",
        mistakes=(
            Mistake(
                lambda: _case().link.queue_bytes / _BANDWIDTH,
                "That is the queue alone. The fault itself comes on top: round trip, page, service.",
            ),
            Mistake(
                lambda: _per_fault(True),
                "That is a fault with a connection of its own. Here 2 MiB of pushed pages are ahead of it.",
            ),
        ),
        tolerance=0.01,
    )


def _risk() -> Number:
    def lost(exposure: float) -> float:
        return -math.expm1(-exposure * _FAILURES_PER_H)

    return Number(
        name="risk",
        asks="the probability of losing the guest in this migration, as a share",
        quantity=SHARE,
        expected=lambda: _told("postcopy").risk,
        meaning=lambda: (
            f"{1e5 * _told('postcopy').risk:.0f} in 100,000: small for one guest. The engine calls it risk, and it "
            "stands beside the downtime for a reason."
        ),
        hint="The hosts fail 0.01 times an hour. How many hours is the guest exposed?",
        mistakes=(
            Mistake(
                lambda: lost(_told("postcopy").exposure_s),
                "You multiplied seconds by failures an hour. Turn the exposure into hours: divide it by 3,600.",
            ),
            Mistake(
                lambda: _told("postcopy").exposure_s * _FAILURES_PER_H,
                "You multiplied seconds by failures an hour. Turn the exposure into hours: divide it by 3,600.",
            ),
            Mistake(
                lambda: lost(_told("postcopy").exposure_s / 60.0),
                "You divided by 60: those are minutes. The failures are given for an hour.",
            ),
            Mistake(lambda: 1.0 - _told("postcopy").risk, "That is the probability that all goes well."),
        ),
        tolerance=0.02,
    )


def _fleet_risk() -> Number:
    def at_least_one() -> float:
        return -math.expm1(_FLEET * math.log1p(-_told("postcopy").risk))

    return Number(
        name="fleet_risk",
        asks="the probability that at least one of 1,000 such migrations loses its guest, as a share",
        quantity=SHARE,
        expected=at_least_one,
        meaning=lambda: (
            f"{100.0 * at_least_one():.1f} %: what is nothing for one guest is a matter for a data centre that "
            "empties its hosts each month."
        ),
        hint="All of them must go well, one after the other. What is the probability of that?",
        mistakes=(
            Mistake(
                lambda: _FLEET * _told("postcopy").risk,
                "You added the probabilities up. That counts the cases in which two are lost twice; take the "
                "probability that none is lost, and subtract it from 1.",
            ),
            Mistake(lambda: _told("postcopy").risk, "That is the risk of one migration."),
            Mistake(lambda: 1.0 - at_least_one(), "That is the probability that none is lost. Subtract it from 1."),
        ),
        tolerance=0.01,
    )


@functools.cache
def _most_writes() -> float:
    return size(_case(), find="writes").value


def _crossover() -> Number:
    return Number(
        name="crossover_writes_per_s",
        asks="up to how many writes a second pre-copy converges on this link",
        quantity=COUNT,
        expected=_most_writes,
        meaning=lambda: (
            f"Up to {_most_writes():,.0f} writes a second pre-copy comes to its end. Beyond that somebody has to "
            "choose: a faster link, a longer limit, a slower guest, or post-copy."
        ),
        hint='Ask size with find="writes", or halve an interval with predict.',
        mistakes=(
            Mistake(
                lambda: _BANDWIDTH / PAGE_BYTES,
                "That many pages fit through the link, which would be right if every write were to a new page. "
                "Some hit a page that is dirty already, so the guest may write more.",
            ),
            Mistake(
                lambda: _BANDWIDTH / (PAGE_BYTES + 8),
                "That many pages fit through the link, which would be right if every write were to a new page. "
                "Some hit a page that is dirty already, so the guest may write more.",
            ),
            Mistake(
                lambda: _BANDWIDTH * 8 / PAGE_BYTES,
                "You divided bits by bytes: 1 Gbit/s is 125 MB/s. And not every write is to a new page.",
            ),
        ),
        tolerance=0.01,
    )


def _which() -> Choice:
    def keeps(strategy: str) -> bool:
        return _down_s(strategy) <= _MOST_DOWN_S and _told(strategy).risk <= _MOST_RISK

    return Choice(
        name="which_strategy",
        asks="which strategy keeps the downtime below 100 ms and the risk below 0.00002",
        options=_WORDS,
        expected=lambda: next(letter for letter, name in _MANNERS.items() if keeps(name)),
        meaning=lambda: (
            "The hybrid sends all pages before it switches, so only those that were dirtied meanwhile come after: "
            f"{_told('hybrid').exposure_s:.1f} s of exposure, a risk of {_told('hybrid').risk:.6f} and "
            f"{format_duration(_down_s('hybrid'))} of downtime."
        ),
        wrong={
            "a": "Pre-copy has no risk, but does it come to its end with this guest on this link?",
            "b": "Stop-copy has no risk. How long is its downtime?",
            "c": "Post-copy keeps the downtime. Look at its risk.",
        },
    )
