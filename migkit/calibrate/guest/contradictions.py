"""Which guests of a family the logs contradict: by their own prediction the migration would have gone otherwise."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from migkit.calibrate.conditions import Conditions, scenario
from migkit.models.predict import predict
from migkit.scenario import Guest
from migkit.units import format_duration

if TYPE_CHECKING:
    from migkit.calibrate.guest.fitting import Fit
    from migkit.importers import Log

__all__ = ["without_contradicted"]

_OFF: Final = 0.05  # of a total time that is predicted from one reading


def without_contradicted(fit: Fit, logs: Sequence[tuple[Log, Conditions]]) -> Fit:
    """Return ``fit`` without the guests of its family that the logs contradict.

    A guest is contradicted when its migration, predicted under the conditions of the log, would have ended before
    the last reading of a migration that was still going on; or when it would never have ended, and the logged
    migration did. Logs with a throttle or of post-copy contradict nobody. If all guests are contradicted, all of
    them stay, and what they cannot tell says so.

    Parameters
    ----------
    fit
        A fit as :func:`migkit.calibrate.guest.fitting.fit_guest` gives it.
    logs
        The logs that it was fitted to, each with its conditions.

    Examples
    --------
    >>> from migkit.calibrate.guest.fitting import fit_guest
    >>> from migkit.calibrate.guest.readings import Reading
    >>> fit = fit_guest([], memory_bytes=2**33, readings=[Reading(1.0, 51200.0)])
    >>> without_contradicted(fit, []) is fit
    True
    """
    kept = tuple(m for m in fit.family if not any(_contradicted(m.guest, held, log) for log, held in logs))
    out = len(fit.family) - len(kept)
    if not out:
        return fit
    if not kept:
        line = (
            "why the migration went as logged: by their own prediction all these guests would have made it go "
            "otherwise, so that the guest changed meanwhile, or the speed did"
        )
        return dataclasses.replace(fit, cannot_tell=(*fit.cannot_tell, line))
    ends = ", ".join(dict.fromkeys(_end(log) for log, _ in logs if not math.isnan(_elapsed_s(log))))
    said = f"{out} of them are left out: by their own prediction they contradict the log, which {ends}"
    return dataclasses.replace(fit, family=kept, guest=kept[-1].guest, said=(*fit.said, said))


def _contradicted(guest: Guest, held: Conditions, log: Log) -> bool:
    if held.throttled or math.isfinite(held.postcopy_s):
        return False
    told = predict(scenario(guest, held), level=None, detail=False)
    if log.meta["outcome"] == "completed":
        return told.verdict != "converges"
    return told.verdict == "converges" and told.total_time_s < (1.0 - _OFF) * _elapsed_s(log)


def _elapsed_s(log: Log) -> float:
    totals = log.meta["totals"]
    return float(totals.get("total_time_s") or totals.get("t_s") or math.nan)


def _end(log: Log) -> str:
    took = format_duration(_elapsed_s(log))
    return f"ended after {took}" if log.meta["outcome"] == "completed" else f"had not ended after {took}"
