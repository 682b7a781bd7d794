"""A forecast as a line, a screen, a JSON object, and gauges."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from migkit.cli import _output
from migkit.units import format_duration, format_rate, format_size

if TYPE_CHECKING:
    from migkit.calibrate.forecast.changes import Change
    from migkit.calibrate.forecast.outlook import Outlook

__all__ = ["GAUGES", "as_line", "as_record", "as_screen"]

GAUGES: Final = {
    "t_s": "time since the migration was asked for [s]",
    "end_s": "when it is expected to end, since then [s]; infinite: never",
    "low_s": "lower bound of that at 90 % [s]",
    "high_s": "upper bound of that at 90 % [s]",
    "share": "share of the expected time that is over",
    "converges": "probability that it converges as things stand",
    "downtime_s": "for how long the guest will stand [s]",
    "remaining_bytes": "memory still to send [B]",
    "bandwidth_bytes_per_s": "what is sent a second [B/s]",
}


def as_line(outlook: Outlook) -> str:
    """Return a forecast as one line."""
    parts = [format_duration(outlook.t_s), _where(outlook), *_expected(outlook)]
    return "  ".join(part for part in parts if part)


def as_screen(outlook: Outlook, offered: Sequence[Change]) -> str:
    """Return a forecast as the lines of a screen."""
    rows = [
        ("time", format_duration(outlook.t_s)),
        ("now", _where(outlook)),
        *zip(("verdict", "ends", "over", "downtime"), _expected(outlook), strict=False),
    ]
    rows += [("would change" if at == 0 else "", _change(one)) for at, one in enumerate(offered)]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows if value)


def as_record(outlook: Outlook, offered: Sequence[Change]) -> str:
    """Return a forecast as one JSON object on one line; what is infinite or not known is null."""
    record = {name: _output.finite(value) for name, value in dataclasses.asdict(outlook).items()}
    record["changes"] = [
        {
            "name": one.name,
            "change": one.words,
            "end_s": _output.finite(one.end_s),
            "downtime_s": one.downtime_s,
            "slowdown": one.slowdown,
            "converges": one.converges,
            "needs_a_new_start": one.needs_a_new_start,
        }
        for one in offered
    ]
    return json.dumps(record, allow_nan=False)


def _where(outlook: Outlook) -> str:
    left = "" if math.isnan(outlook.remaining_bytes) else f", {format_size(outlook.remaining_bytes)} left"
    speed = outlook.bandwidth_bytes_per_s
    sent = f" at {format_rate(speed)}" if speed > 0 else ""
    slow = f", throttled to {1.0 - outlook.throttle:.0%}" if outlook.throttle > 0 else ""
    return f"{outlook.phase}, round {outlook.iteration}{left}{sent}{slow}"


def _expected(outlook: Outlook) -> tuple[str, ...]:
    """Return verdict, end, share and downtime in words."""
    if outlook.phase == "done":
        ended = "completed" if outlook.verdict == "converges" else "failed or cancelled"
        stood = "" if math.isnan(outlook.downtime_s) else f"downtime {format_duration(outlook.downtime_s)}"
        return ended, f"after {format_duration(outlook.end_s)}", "", stood
    if outlook.verdict == "not_known":
        least = f"ends at {format_duration(outlook.end_s)} if the guest writes nothing"
        return "not known before the first pass has ended", least if math.isfinite(outlook.end_s) else ""
    verdict = f"{outlook.verdict.replace('_', ' ')} (probability {outlook.converges:.0%})"
    if math.isinf(outlook.end_s):
        return (verdict,)
    bounds = f"{format_duration(outlook.low_s)} to {_or_never(outlook.high_s)}"
    end = f"ends at {format_duration(outlook.end_s)} ({bounds})"
    if math.isnan(outlook.downtime_s):
        return verdict, end, f"{outlook.share:.0%} over"
    stands = f"{format_duration(outlook.downtime_low_s)} to {format_duration(outlook.downtime_high_s)}"
    return verdict, end, f"{outlook.share:.0%} over", f"downtime {format_duration(outlook.downtime_s)} ({stands})"


def _or_never(value_s: float) -> str:
    return "never" if math.isinf(value_s) else format_duration(value_s)


def _change(one: Change) -> str:
    effect = f"ends at {format_duration(one.end_s)} (probability {one.converges:.0%})"
    effect += f", downtime {format_duration(one.downtime_s)}"
    if one.slowdown > 0.0:
        effect += f", the guest loses {one.slowdown:.0%} until then"
    if one.needs_a_new_start:
        effect += "; QEMU takes it only before a migration starts"
    return f"{one.words}: {effect}"
