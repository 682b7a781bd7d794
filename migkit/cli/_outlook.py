"""A forecast as a line, a screen, a JSON object, and gauges."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Final

from migkit.calibrate.forecast.wording import effect, expected, standing
from migkit.cli import _output
from migkit.units import format_duration

if TYPE_CHECKING:
    from migkit.calibrate.forecast.looks import Look
    from migkit.calibrate.forecast.outlook import Outlook

__all__ = ["GAUGES", "as_changes", "as_line", "as_record", "as_screen", "is_unsure"]

_SURE: Final = (
    0.1,
    0.9,
)  # probabilities that it converges beyond which a measurement would hardly change the verdict
_TELLING: Final = 3  # syncs, the one at the start included, after which the counters show two rounds

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


def as_line(look: Look) -> str:
    """Return a forecast as one line."""
    outlook = look.outlook
    parts = [_time(outlook), standing(outlook), *expected(outlook, look.is_measured)]
    return "  ".join(part for part in parts if part)


def is_unsure(outlook: Outlook) -> bool:
    """Return whether the counters alone leave open what will come of a migration in pre-copy.

    They do until the second sync, since one round shows the dirty curve at one window only, and later on as long as
    it is open whether it converges.

    Examples
    --------
    >>> from migkit.calibrate.forecast.outlook import Outlook
    >>> now = Outlook(t_s=3.0, phase="precopy", verdict="converges", end_s=9.0, low_s=3.0, high_s=9.0, share=0.3,
    ...               iteration=2, converges=0.98)
    >>> is_unsure(now), is_unsure(dataclasses.replace(now, iteration=3))
    (True, False)
    """
    is_open = not (outlook.converges <= _SURE[0] or outlook.converges >= _SURE[1])
    return outlook.phase == "precopy" and (outlook.iteration < _TELLING or is_open)


def as_changes(look: Look) -> list[str]:
    """Return what would change a forecast, a line each."""
    return [f"would change: {one.words}: {effect(one)}" for one in look.changes]


def as_screen(look: Look, hint: str = "") -> str:
    """Return a forecast as the lines of a screen; ``hint`` says what would make it surer."""
    outlook = look.outlook
    rows = [
        ("time", _time(outlook)),
        ("now", standing(outlook)),
        *zip(("verdict", "ends", "over", "downtime"), expected(outlook, look.is_measured), strict=False),
    ]
    rows = [(name, value.removeprefix(f"{name} ").removesuffix(f" {name}")) for name, value in rows]
    rows += [
        ("would change" if at == 0 else "", f"{one.words}: {effect(one)}") for at, one in enumerate(look.changes)
    ]
    rows += [("surer", hint)]
    first, *others = [row for row in rows if row[1]]
    return _output.columns(first, others, left=2)


def _time(outlook: Outlook) -> str:
    is_known = outlook.t_s > 0 or (outlook.t_s == 0 and outlook.phase != "done")
    return format_duration(outlook.t_s) if is_known else ""


def as_record(look: Look) -> str:
    """Return a forecast as one JSON object on one line; what is infinite or not known is null."""
    record = {name: _output.finite(value) for name, value in dataclasses.asdict(look.outlook).items()}
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
        for one in look.changes
    ]
    return json.dumps(record, allow_nan=False)
