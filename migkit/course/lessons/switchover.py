"""Lesson 3: when the hypervisor stops the guest, and what the downtime is the sum of."""

from __future__ import annotations

import dataclasses
import functools
from typing import Final

from migkit.course.exercises import Choice, Mistake, Number
from migkit.course.lesson_checks import Lesson
from migkit.course.lessons.geometric_series import shop
from migkit.course.quantities import RATE, SIZE, TIME
from migkit.models.alternatives import compare
from migkit.models.dirty import unique_dirty_pages
from migkit.models.predict import predict
from migkit.models.result import Prediction
from migkit.planning.size import size
from migkit.scenario import Link, Scenario
from migkit.units import PAGE_BYTES, format_duration

__all__ = ["lesson"]

_BANDWIDTH: Final = 125e6
_CAP: Final = 50e6  # 400 Mbit/s
_POLICIES: Final = {"a": "qemu", "b": "xen", "c": "criu-go-phaul", "d": "nova"}


def lesson() -> Lesson:
    """Return lesson 3.

    Examples
    --------
    >>> [one.name for one in lesson().exercises][:3]
    ['threshold_bytes', 'downtime_s', 'capped_final_pass_s']
    """
    return Lesson(
        number=3,
        title="when does the guest stop, and for how long?",
        exercises=(_threshold(), _downtime(), _capped_final_pass(), _least_cap(), _longest()),
        predictions=(_double_limit(),),
        case={"shop": shop(), "capped": _capped(), "policies": tuple(_POLICIES.values())},
    )


def _capped() -> Scenario:
    """Return a quieter shop on 10 Gbit/s, of which the migration may use 400 Mbit/s."""
    case = shop(10_000.0)
    policy = dataclasses.replace(case.policy, max_bandwidth_bytes_per_s=_CAP)
    return dataclasses.replace(case, link=Link(bandwidth_bytes_per_s=1.25e9, rtt_s=2e-4), policy=policy)


@functools.cache
def _told(limit_s: float = 0.3) -> Prediction:
    case = shop()
    policy = dataclasses.replace(case.policy, downtime_limit_s=limit_s)
    return predict(dataclasses.replace(case, policy=policy), level=None)


def _parts(result: Prediction, *without: str) -> float:
    return sum(part_s for name, part_s in result.downtime_parts if name not in without)


def _part(result: Prediction, name: str) -> float:
    return dict(result.downtime_parts)[name]


def _double_limit() -> Choice:
    def letter() -> str:
        ratio = _told(0.6).total_time_s / _told(0.3).total_time_s
        return "a" if ratio < 0.9 else "b" if ratio < 1.0 else "c"

    return Choice(
        name="double_limit",
        asks="what happens to the total time when the downtime limit doubles from 300 to 600 ms",
        options={"a": "it falls by a tenth or more", "b": "it falls by less than a tenth", "c": "it stays or grows"},
        expected=letter,
        meaning=lambda: (
            f"The total time goes from {_told(0.3).total_time_s:.1f} s to {_told(0.6).total_time_s:.1f} s, the "
            f"downtime from {_told(0.3).downtime_s * 1000:.0f} ms to {_told(0.6).downtime_s * 1000:.0f} ms. A guest "
            "that converges pays for a longer limit with downtime and gains little."
        ),
    )


def _threshold() -> Number:
    return Number(
        name="threshold_bytes",
        asks="how much may be left when QEMU stops the guest [B]",
        quantity=SIZE,
        expected=lambda: _BANDWIDTH * shop().policy.downtime_limit_s,
        meaning=lambda: (
            "In 0.3 s the link moves 37.5 MB. The engine stopped with "
            f"{_told().remaining_at_switchover_bytes / 1e6:.1f} MB left, just under that."
        ),
        hint="How many bytes does 1 Gbit/s move within 300 ms?",
        mistakes=(
            Mistake(lambda: _BANDWIDTH, "That is what the link moves in a whole second."),
            Mistake(
                lambda: _told().remaining_at_switchover_bytes,
                "That is what was left this time. The question is what may be left at most.",
            ),
        ),
        tolerance=0.001,
    )


def _downtime() -> Number:
    return Number(
        name="downtime_s",
        asks="the downtime as the sum of its parts [s]",
        quantity=TIME,
        expected=lambda: _told().downtime_s,
        meaning=lambda: (
            f"{_told().downtime_s * 1000:.0f} ms is more than the limit of 300 ms: QEMU plans the last pages within "
            f"the limit, and {_parts(_told(), 'last pages') * 1000:.0f} ms of other work come on top."
        ),
        hint="Add up all the parts in the table, those before and behind the last pages as well.",
        mistakes=(
            Mistake(
                lambda: _part(_told(), "last pages"),
                "These are the last pages only. Stopping the guest, loading its devices and resuming it take time, "
                "too.",
            ),
            Mistake(
                lambda: shop().policy.downtime_limit_s,
                "That is the limit that was planned for. What really happens is the sum of the parts.",
            ),
            Mistake(
                lambda: _parts(_told(), "load", "resume"),
                "You forgot what happens at the destination: it loads the devices and resumes the guest.",
            ),
            Mistake(
                lambda: _parts(_told(), "stop processors", "flush disks", "final sync"),
                "You forgot what happens before the last pages: processors stop, disks are flushed, the bitmap is "
                "read.",
            ),
            Mistake(lambda: _parts(_told(), "last pages"), "You forgot the last pages, the longest part."),
        ),
        tolerance=0.002,
    )


@functools.cache
def _told_capped() -> Prediction:
    return predict(_capped(), level=None)


def _capped_final_pass() -> Number:
    return Number(
        name="capped_final_pass_s",
        asks="how long the last pages take on the link of 10 Gbit/s under a cap of 400 Mbit/s [s]",
        quantity=TIME,
        expected=lambda: _part(_told_capped(), "last pages"),
        meaning=lambda: (
            f"{format_duration(_part(_told_capped(), 'last pages'))}, not "
            f"{format_duration(_told_capped().remaining_at_switchover_bytes / _CAP)}: QEMU lifts the cap for the "
            "final pass. A model that forgets this overstates the downtime of every capped migration."
        ),
        hint="Divide what is left by the speed that QEMU really uses once the guest stands still.",
        mistakes=(
            Mistake(
                lambda: _told_capped().remaining_at_switchover_bytes / _CAP,
                "You sent the last pages under the cap. QEMU lifts it for the final pass, so the link decides.",
            ),
            Mistake(
                lambda: _told_capped().downtime_s,
                "That is the whole downtime. The question is its part of the last pages.",
            ),
            Mistake(
                lambda: shop().policy.downtime_limit_s,
                "That is the downtime limit. It was planned for with the speed under the cap.",
            ),
            Mistake(
                lambda: _CAP * 0.3 / 1.25e9,
                "You took all that the limit allows. The prediction says what was really left.",
            ),
        ),
        tolerance=0.02,
    )


@functools.cache
def _least(find: str = "max_bandwidth") -> float:
    return size(shop(), find=find).value


def _least_cap() -> Number:
    return Number(
        name="least_cap_bytes_per_s",
        asks="the least cap with which the shop converges on this link [B/s]",
        quantity=RATE,
        expected=_least,
        meaning=lambda: (
            f"{_least() * 8 / 1e6:.0f} Mbit/s do. That is less than the "
            f"{shop().guest.writes_per_s * PAGE_BYTES * 8 / 1e6:.0f} Mbit/s that its writes seem to need, since it "
            "writes many pages twice within a round."
        ),
        hint="Predict with a cap in the middle of an interval, and keep the half in which the verdict changes.",
        mistakes=(
            Mistake(
                lambda: shop().guest.writes_per_s * PAGE_BYTES,
                "You took every write for a new page. Pages that are written twice in a round are sent once.",
            ),
            Mistake(
                lambda: unique_dirty_pages(shop().guest, 1.0) * PAGE_BYTES,
                "You took the dirty rate of a window of 1 s. The rule looks at what a round of a fraction of a "
                "second leaves: predict with this cap and see.",
            ),
            Mistake(
                lambda: _least("bandwidth"),
                "That is the least link. Under a cap the final pass is faster than the rounds, so a smaller cap "
                "does.",
            ),
        ),
        tolerance=0.01,
    )


@functools.cache
def _downtimes() -> dict[str, float]:
    found = compare(shop(), policies=list(_POLICIES.values()), strategies=["precopy"], level=None)
    return {letter: found[name, "precopy"].downtime_s for letter, name in _POLICIES.items()}


def _longest() -> Choice:
    def longest() -> str:
        return max(_downtimes(), key=lambda letter: _downtimes()[letter])

    return Choice(
        name="longest_downtime",
        asks="under which rule the same guest on the same link is down longest",
        options=_POLICIES,
        expected=longest,
        meaning=lambda: (
            f"{_POLICIES[longest()]} counts rounds and then takes what is left: {_downtimes()[longest()]:.1f} s, "
            f"against {min(_downtimes().values()) * 1000:.0f} ms under the rule with the shortest. The rule "
            "decides, not the guest."
        ),
        wrong={
            letter: f"Look at the column of downtimes: {name} is not the longest."
            for letter, name in _POLICIES.items()
        },
    )
