"""A forecast in words, as a terminal and a notebook say it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from migkit.units import format_duration, format_rate, format_size

if TYPE_CHECKING:
    from migkit.calibrate.forecast.changes import Change
    from migkit.calibrate.forecast.outlook import Outlook

__all__ = ["effect", "expected", "standing"]

_TOO_EARLY: Final = "not known before the first pass has ended"


def standing(outlook: Outlook) -> str:
    """Return where a migration stands: its phase and round, what is left, how fast it is sent.

    Examples
    --------
    >>> from migkit.calibrate.forecast.outlook import Outlook
    >>> now = Outlook(t_s=3.0, phase="precopy", verdict="not_known", end_s=9.0, low_s=3.0, high_s=9.0, share=0.3,
    ...               iteration=1, remaining_bytes=2**30, bandwidth_bytes_per_s=1.25e8)
    >>> standing(now)
    'precopy, round 1, 1 GiB left at 1 Gbit/s'
    """
    left = "" if math.isnan(outlook.remaining_bytes) else f", {format_size(outlook.remaining_bytes)} left"
    speed = outlook.bandwidth_bytes_per_s
    sent = f" at {format_rate(speed)}" if speed > 0 and not outlook.waits_for else ""
    slow = f", throttled to {1.0 - outlook.throttle:.0%}" if outlook.throttle > 0 else ""
    count = f", round {outlook.iteration}" if outlook.iteration else ""
    return f"{outlook.phase}{count}{left}{sent}{slow}"


def expected(outlook: Outlook, is_measured: bool = False) -> tuple[str, ...]:
    """Return verdict, end, share and downtime in words, as far as they are known.

    ``is_measured`` says that the guest is being measured, so that a forecast that is not known yet will be.

    Examples
    --------
    >>> from migkit.calibrate.forecast.outlook import Outlook
    >>> expected(Outlook(t_s=3.0, phase="precopy", verdict="does_not_converge", end_s=math.inf, low_s=math.inf,
    ...                  high_s=math.inf, share=math.nan, converges=0.02))
    ('does not converge (probability 98%)',)
    >>> expected(Outlook(t_s=3.0, phase="postcopy", verdict="converges", end_s=math.inf, low_s=3.0, high_s=math.inf,
    ...                  share=math.nan, waits_for="migrate-recover"))
    ('waits for somebody to give migrate-recover', 'its end is not known before that')
    """
    if outlook.phase == "done":
        after = f"after {format_duration(outlook.end_s)}" if outlook.end_s > 0 else ""
        stood = "" if math.isnan(outlook.downtime_s) else f"downtime {format_duration(outlook.downtime_s)}"
        return outlook.outcome or "failed or cancelled", after, "", stood
    if outlook.verdict == "not_known" and outlook.phase == "precopy" and not outlook.iteration:
        return ("not known: its source does not count bitmap syncs",)
    if outlook.verdict == "not_known":
        least = f"ends at {format_duration(outlook.end_s)} if the guest writes nothing"
        said = "not known yet, the guest is being measured" if is_measured else _TOO_EARLY
        return said, least if math.isfinite(outlook.end_s) else ""
    if outlook.waits_for:
        return f"waits for somebody to give {outlook.waits_for}", "its end is not known before that"
    likely = outlook.converges if outlook.verdict == "converges" else 1.0 - outlook.converges
    verdict = f"{outlook.verdict.replace('_', ' ')} (probability {likely:.0%})"
    if math.isinf(outlook.end_s):
        return (verdict,)
    bounds = f"{format_duration(outlook.low_s)} to {_or_never(outlook.high_s)}"
    end = f"ends at {format_duration(outlook.end_s)} ({bounds})"
    if math.isnan(outlook.downtime_s):
        return verdict, end, f"{outlook.share:.0%} over"
    stands = f"{format_duration(outlook.downtime_low_s)} to {format_duration(outlook.downtime_high_s)}"
    return verdict, end, f"{outlook.share:.0%} over", f"downtime {format_duration(outlook.downtime_s)} ({stands})"


def effect(one: Change) -> str:
    """Return what a change would do, in words.

    Examples
    --------
    >>> from migkit import Guest, Scenario
    >>> from migkit.calibrate.forecast.changes import Change
    >>> case = Scenario(guest=Guest(memory_bytes=2**30))
    >>> effect(Change("downtime-limit", "a downtime limit of 1 s", 80.5, 0.5, 0.0, 0.98, case))
    'ends at 80.5 s (probability 98%), downtime 500 ms'
    """
    text = f"ends at {format_duration(one.end_s)} (probability {one.converges:.0%})"
    text += f", downtime {format_duration(one.downtime_s)}"
    if one.slowdown > 0.0:
        text += f", the guest loses {one.slowdown:.0%} until then"
    if one.needs_a_new_start:
        text += "; QEMU takes it only before a migration starts"
    return text


def _or_never(value_s: float) -> str:
    return "never" if math.isinf(value_s) else format_duration(value_s)
