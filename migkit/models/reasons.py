"""Why a prediction is as it is, in words, and what would change it."""

from __future__ import annotations

import numpy as np

from migkit.kernels import layout
from migkit.models.dirty import unique_dirty_pages
from migkit.scenario import Scenario
from migkit.units import PAGE_BYTES, format_duration, format_rate, format_size

__all__ = ["reasons"]


def reasons(
    case: Scenario, verdict: str, bandwidth_bytes_per_s: float, natural_s: float, result: np.ndarray
) -> tuple[str, ...]:
    """Return sentences that say why, with numbers.

    Parameters
    ----------
    case
        The scenario.
    verdict
        Of the prediction.
    bandwidth_bytes_per_s
        What the migration can send, cap included [B/s].
    natural_s
        The guest's natural downtime at that bandwidth [s].
    result
        Of the engine (:mod:`migkit.kernels.layout`).
    """
    if verdict == "converges":
        return _converges(case, result)
    if verdict == "aborted":
        return (f"aborted by the policy {case.policy.name} at {format_duration(result[layout.TOTAL_S])}.",)
    first = _settles(natural_s, bandwidth_bytes_per_s)
    if verdict == "timed_out":
        first = f"timed out at the limit of {format_duration(case.policy.time_limit_s)}: {first}"
    else:
        first = f"does not converge: {first}"
    return (first, _remedy(case, natural_s))


def _converges(case: Scenario, result: np.ndarray) -> tuple[str, ...]:
    left = format_size(result[layout.FINAL_PAGES] * PAGE_BYTES)
    stop = format_duration(result[layout.STOP_S])
    name = case.strategy.name
    if name == "stopcopy":
        return (f"stop-copy: the guest stops at {stop} and {left} are sent while it is down.",)
    if result[layout.EXPOSURE_S] > 0.0 or name == "postcopy":
        return (f"post-copy from {stop} on: {left} follow while the guest runs at the destination.",)
    return (
        f"converges: after {int(result[layout.ITERATIONS])} bitmap syncs {left} are left at {stop} "
        f"under a downtime limit of {format_duration(case.policy.downtime_limit_s)}.",
    )


def _settles(natural_s: float, bandwidth_bytes_per_s: float) -> str:
    if natural_s <= 0.0:
        return f"{format_rate(bandwidth_bytes_per_s)} would drain it, given more time."
    return (
        f"the guest settles at {format_size(natural_s * bandwidth_bytes_per_s)} = {format_duration(natural_s)} "
        f"at {format_rate(bandwidth_bytes_per_s)}."
    )


def _remedy(case: Scenario, natural_s: float) -> str:
    """Say which cap or which downtime limit would do: ``B = page U(limit) / limit``, or the natural downtime."""
    limit_s = case.policy.downtime_limit_s
    if natural_s <= 0.0:
        return "A later time limit would do."
    wire_bytes = PAGE_BYTES + case.host.page_header_bytes
    longer = f"a downtime limit of {format_duration(natural_s * 1.05)}"
    if limit_s <= 0.0:
        return f"{longer[0].upper()}{longer[1:]} would do."
    needed = unique_dirty_pages(case.guest, limit_s) * wire_bytes / limit_s * 1.02
    return f"A cap of {format_rate(needed)} on a link that gives it, or {longer}, would do; so would post-copy."
