"""Lesson 2: the geometric series of the textbooks, the rounds that really follow, and where they settle."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Final

from migkit.calibrate import baselines
from migkit.course.exercises import Choice, Function, Mistake, Number
from migkit.course.lesson_checks import Lesson
from migkit.course.quantities import RATIO, SIZE, TIME
from migkit.models.dirty import unique_dirty_pages
from migkit.models.predict import predict
from migkit.models.result import Prediction
from migkit.scenario import DirtyClass, Guest, Link, Policy, Scenario
from migkit.units import GIB, MIB, PAGE_BYTES

__all__ = ["busier", "lesson", "shop"]

Dirtied = Callable[[float], float]

_BANDWIDTH: Final = 125e6  # 1 Gbit/s
_LIMIT_S: Final = 0.3
_REGION: Final = 512 * MIB


def shop(writes_per_s: float = 25_000.0) -> Scenario:
    """Return the shop's database on a link of 1 Gbit/s, under QEMU's rule without a cap.

    Examples
    --------
    >>> shop().link.bandwidth_bytes_per_s
    125000000.0
    """
    dirty = DirtyClass(region_bytes=_REGION, writes_per_s=writes_per_s)
    return Scenario(
        guest=Guest(memory_bytes=4 * GIB, zero_bytes=GIB, dirty=(dirty,), layout="blocks"),
        link=Link(bandwidth_bytes_per_s=_BANDWIDTH, rtt_s=2e-4),
        policy=Policy(name="qemu", max_bandwidth_bytes_per_s=math.inf, downtime_limit_s=_LIMIT_S),
    )


def busier() -> Scenario:
    """Return the same with 40,000 writes a second, which does not converge.

    Examples
    --------
    >>> busier().guest.writes_per_s
    40000.0
    """
    return shop(40_000.0)


def lesson() -> Lesson:
    """Return lesson 2.

    Examples
    --------
    >>> [one.name for one in lesson().exercises]
    ['first_round_s', 'shrink', 'geometric_total_s', 'total_of_rounds', 'overestimate', 'why_wrong', 'settles_bytes']
    """
    return Lesson(
        number=2,
        title="the geometric series, and why it is wrong",
        exercises=(
            _first_round(),
            _shrink(),
            _geometric_total(),
            _total_of_rounds(),
            _overestimate(),
            _why_wrong(),
            _settles(),
        ),
        predictions=(_how_long(),),
        case={"shop": shop(), "busier": busier()},
    )


@functools.cache
def _told() -> Prediction:
    return predict(shop(), level=None)


def _volume() -> float:
    """Return the memory that is not zero [B]."""
    return float(shop().guest.memory_bytes - shop().guest.zero_bytes)


def _dirty_rate() -> float:
    return shop().guest.writes_per_s * PAGE_BYTES


def _how_long() -> Choice:
    ends_s = {"a": 30.0, "b": 60.0, "c": 120.0, "d": math.inf}
    return Choice(
        name="how_long",
        asks="how long the migration takes",
        options={"a": "less than 30 s", "b": "30 s to 1 min", "c": "1 to 2 min", "d": "more than 2 min"},
        expected=lambda: next(letter for letter, end_s in ends_s.items() if _told().total_time_s < end_s),
        meaning=lambda: f"The engine says {_told().total_time_s:.1f} s in {_told().iterations} rounds.",
    )


def _first_round() -> Number:
    return Number(
        name="first_round_s",
        asks="the time of the first round [s]",
        quantity=TIME,
        expected=lambda: baselines.bulk(shop()).total_time_s,
        meaning=lambda: (
            f"The engine says {_told().rounds[0].duration_s:.2f} s. It counts 8 bytes more for the header of each "
            "page, 9 bytes for each zero page, and the time to look through the memory."
        ),
        hint="Which pages are sent in full in the first round, and how many bytes does 1 Gbit/s move in a second?",
        mistakes=(
            Mistake(
                lambda: shop().guest.memory_bytes / _BANDWIDTH,
                "You sent all of the memory. A zero page travels as 9 bytes: leave the 1 GiB of zero pages out.",
            ),
            Mistake(
                lambda: _REGION / _BANDWIDTH,
                "That is the time of the region that the guest writes to. The first round sends all pages that are "
                "not zero, written or not.",
            ),
            Mistake(lambda: _told().total_time_s, "That is the whole migration. How long is its first round?"),
        ),
        tolerance=0.02,
    )


def _shrink() -> Number:
    return Number(
        name="shrink",
        asks="by which factor the series shrinks each round",
        quantity=RATIO,
        expected=lambda: _dirty_rate() / _BANDWIDTH,
        meaning=lambda: (
            f"The guest is said to dirty {_dirty_rate() / 1e6:.1f} MB while the link sends 125 MB. So each round is "
            f"said to be {_dirty_rate() / _BANDWIDTH:.3f} times as long as the one before."
        ),
        hint="Divide what is dirtied in a second by what is sent in a second, both in bytes.",
        mistakes=(
            Mistake(
                lambda: unique_dirty_pages(shop().guest, 1.0) * PAGE_BYTES / _BANDWIDTH,
                "You took the reading of a window of 1 s. The series of the textbook takes every write for a new "
                "page: r times 4,096 bytes.",
            ),
        ),
        tolerance=0.001,
    )


@dataclasses.dataclass(frozen=True, slots=True)
class _Rounds:
    """Times of rounds, each of which sends what was dirtied in the one before; the last is the final pass [s]."""

    times_s: tuple[float, ...]
    ends: bool

    @property
    def total_s(self) -> float:
        return sum(self.times_s) if self.ends else math.inf


def _rounds(volume: float, bandwidth: float, limit_s: float, dirtied: Dirtied) -> _Rounds:
    times_s: list[float] = []
    for _ in range(1000):
        times_s.append(volume / bandwidth)
        if times_s[1:] and volume <= bandwidth * limit_s:
            return _Rounds(tuple(times_s), True)
        volume, before = dirtied(times_s[-1]), volume
        if volume >= before:
            break
    return _Rounds(tuple(times_s), False)


def _series() -> _Rounds:
    return _rounds(_volume(), _BANDWIDTH, _LIMIT_S, lambda t_s: _dirty_rate() * t_s)


def _geometric_total() -> Number:
    first_s, factor = _volume() / _BANDWIDTH, _dirty_rate() / _BANDWIDTH
    return Number(
        name="geometric_total_s",
        asks="the total time that the series says [s]",
        quantity=TIME,
        expected=lambda: baselines.geometric(shop()).total_time_s,
        meaning=lambda: (
            f"The series says {baselines.geometric(shop()).total_time_s:.1f} s in {len(_series().times_s)} rounds, "
            "the final pass included. Keep it for the comparison below."
        ),
        hint="Sum the rounds one by one, from the first to the final pass: the first that fits into the limit.",
        mistakes=(
            Mistake(
                lambda: _series().total_s - _series().times_s[-1],
                "You forgot the final pass. What is left when the guest stops has to be sent as well.",
            ),
            Mistake(
                lambda: _series().total_s - first_s,
                "You forgot the first round, the longest of all.",
            ),
            Mistake(
                lambda: _series().total_s + _series().times_s[-1] * factor,
                "You went one round too far: the first round whose data fits into the limit is the final pass.",
            ),
            Mistake(
                lambda: first_s / (1.0 - factor),
                "That is the sum for ever. The rounds end as soon as what is left can be sent within the downtime "
                "limit.",
            ),
            Mistake(
                lambda: first_s * (1.0 + factor),
                "These are the first two rounds. Go on until what is left can be sent within the downtime limit.",
            ),
        ),
        tolerance=0.0005,
    )


def _curve(writes_per_s: float) -> Dirtied:
    guest = shop(writes_per_s).guest

    def dirtied(t_s: float) -> float:
        return unique_dirty_pages(guest, t_s) * PAGE_BYTES

    return dirtied


def _straight(t_s: float) -> float:
    return 5e7 * t_s


def _total_of_rounds() -> Function:
    volume = _volume()
    cases = (
        (1.25e9, _BANDWIDTH, _LIMIT_S, _straight),
        (volume, _BANDWIDTH, _LIMIT_S, _curve(25_000.0)),
        (volume, 2 * _BANDWIDTH, 0.05, _curve(25_000.0)),
        (volume, _BANDWIDTH, _LIMIT_S, _curve(40_000.0)),
    )
    words = {
        _straight: "a guest that dirties 50 MB/s",
        cases[1][3]: "the shop",
        cases[2][3]: "the shop on 2 Gbit/s with a limit of 50 ms",
        cases[3][3]: "the busier shop",
    }
    return Function(
        name="total_of_rounds",
        asks="the total time of all rounds [s]",
        cases=cases,
        expected=lambda *case: _rounds(*case).total_s,
        meaning=lambda: (
            f"With the curve the rounds of the shop take {_rounds(*cases[1]).total_s:.1f} s, with the straight line "
            f"{_series().total_s:.1f} s. The engine says {_told().total_time_s:.1f} s: QEMU looks at what is left "
            "while a round is under way, too."
        ),
        hint="Each round takes volume / bandwidth; the next one sends what was dirtied in that time.",
        mistakes=(
            Mistake(
                lambda *case: _without(_rounds(*case), -1),
                "You forgot the final pass. Add its time before you return.",
            ),
            Mistake(lambda *case: _without(_rounds(*case), 0), "You forgot the first round."),
        ),
        endless="A round that is no shorter than the one before is a sign: return math.inf.",
        call=lambda *case: f"for {words[case[3]]}",
        tolerance=0.001,
        quantity=TIME,
    )


def _without(rounds: _Rounds, at: int) -> float:
    return rounds.total_s - rounds.times_s[at]


def _overestimate() -> Number:
    def factor() -> float:
        return baselines.geometric(shop()).total_time_s / _told().total_time_s

    return Number(
        name="overestimate",
        asks="how many times as long as the engine's total time that of the series is",
        quantity=RATIO,
        expected=factor,
        meaning=lambda: (
            f"The series is {factor():.1f} times too long. Whoever plans with it buys a link that nobody needs, or "
            "gives up a migration that ends."
        ),
        hint="Divide geometric_total_s by the total time of predict.",
        mistakes=(
            Mistake(lambda: factor() - 1.0, "That is the relative error. How many times as long is one more."),
            Mistake(
                lambda: baselines.geometric(shop()).total_time_s / baselines.piecewise(shop()).total_time_s,
                "You compared with the rounds on the curve. Compare with the engine.",
            ),
        ),
    )


def _why_wrong() -> Choice:
    """Ask for the cause; the true one is that whose repair brings the series nearest to the engine."""

    def repaired() -> dict[str, float]:
        curve = _rounds(_volume(), _BANDWIDTH, _LIMIT_S, _curve(25_000.0))
        series_s = _series().total_s
        header = (PAGE_BYTES + 8.0) / PAGE_BYTES
        return {
            "a": _rounds(_volume() * header, _BANDWIDTH, _LIMIT_S, lambda t: _dirty_rate() * header * t).total_s,
            "b": curve.total_s,
            "c": series_s - _series().times_s[-1] + _told().downtime_s,
        }

    return Choice(
        name="why_wrong",
        asks="why the series is wrong",
        options={
            "a": "it forgets the headers of pages",
            "b": "it counts a page as often as it is written",
            "c": "it forgets what it costs to stop and to resume the guest",
        },
        expected=lambda: min(repaired(), key=lambda letter: abs(repaired()[letter] - _told().total_time_s)),
        meaning=lambda: (
            f"With distinct pages in place of writes the rounds take {repaired()['b']:.1f} s, near the engine's "
            f"{_told().total_time_s:.1f} s."
        ),
        wrong={
            "a": "True, but 8 bytes for 4,096 are 0.2 %. Look for a factor.",
            "c": "True, but this is some 20 ms. Look for a factor.",
        },
    )


@functools.cache
def _settled_bytes() -> float:
    told = predict(busier(), level=None)
    return told.natural_downtime_s * _BANDWIDTH


def _settles() -> Number:
    return Number(
        name="settles_bytes",
        asks="what each round of the busier shop leaves in the end [B]",
        quantity=SIZE,
        expected=_settled_bytes,
        meaning=lambda: (
            f"Every round leaves {_settled_bytes() / 1e6:.0f} MB, that is {_settled_bytes() / _BANDWIDTH:.2f} s of "
            "the link. The limit allows 0.3 s, so QEMU never stops the guest: it does not converge."
        ),
        hint="Repeat v = 4096 U(v / B) from the first round on until v changes no more.",
        mistakes=(
            Mistake(
                lambda: float(_REGION),
                "That is the whole region. While a round is sent, the guest does not get round to all of it.",
            ),
            Mistake(
                lambda: _BANDWIDTH * _LIMIT_S,
                "That is what the limit allows. The question is what the rounds leave.",
            ),
            Mistake(
                lambda: _settled_bytes() / _BANDWIDTH,
                "That is the time of such a round, its natural downtime. How many bytes are that on this link?",
            ),
            Mistake(
                lambda: _curve(25_000.0)(1.0),
                "You took the shop with 25,000 writes a second. The busier one makes 40,000.",
            ),
        ),
        tolerance=0.02,
    )
