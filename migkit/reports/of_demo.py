"""The demo's report: one HTML file that needs nothing else."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from migkit import __version__, viz
from migkit.calibrate.fit import Calibration
from migkit.reports import page as html_page
from migkit.units import MIB, format_cost, format_duration, format_rate, format_size

if TYPE_CHECKING:
    from migkit.calibrate.validate import Comparison

__all__ = ["accuracy_rows", "comparison_lines", "page"]


def page(left_out: Comparison, others: Sequence[tuple[str, Comparison]], calibration: Calibration) -> str:
    """Return the report as HTML.

    Parameters
    ----------
    left_out
        The run that was predicted without having been used.
    others
        Every run by name, each predicted from all the others.
    calibration
        The constants that the left-out run was predicted with.
    """
    trace, prediction = left_out.trace, left_out.prediction
    policy = trace.scenario.policy
    limit_bytes = policy.downtime_limit_s * policy.max_bandwidth_bytes_per_s
    figures = [
        ("What remained to be sent", viz.remaining(trace, prediction, limit_bytes=limit_bytes)),
        ("What each round sent", viz.rounds(trace, prediction)),
        ("Every run, predicted from the others", viz.predicted_against_measured(_accuracy_frame(others))),
    ]
    parts = [
        "<h1>migkit demo: a migration predicted, then compared</h1>",
        f"<p>{html.escape(_introduction(left_out, len(others)))}</p>",
        html_page.table(("quantity", "measured", "predicted", "error"), comparison_lines(left_out)),
        *html_page.figures(figures),
        "<h2>Constants of this machine</h2>",
        html_page.table(("constant", "value", "standard error", "told by"), _constants(calibration)),
        f"<p>migkit {__version__}; {html.escape(_machine(trace.machine))}</p>",
    ]
    return html_page.document("migkit demo", parts)


def comparison_lines(one: Comparison) -> list[tuple[str, str, str, str]]:
    """Return quantity, measured, predicted and error of a run, as a person reads them."""
    outcome, prediction = one.trace.outcome, one.prediction
    return [
        (
            "total migration time",
            format_duration(outcome.total_time_s),
            format_duration(prediction.total_time_s),
            f"{100 * one.total_time_error:+.1f} %",
        ),
        (
            "transferred",
            format_size(outcome.transferred_bytes),
            format_size(prediction.transferred_bytes),
            f"{100 * one.bytes_error:+.1f} %",
        ),
        (
            "downtime",
            format_duration(outcome.downtime_s),
            format_duration(prediction.downtime_s),
            f"{1000 * one.downtime_error_s:+.1f} ms",
        ),
        ("rounds", str(outcome.iterations), str(prediction.iterations), _difference(one)),
        ("verdict", outcome.verdict, prediction.verdict, "right" if one.verdict_right else "wrong"),
    ]


def accuracy_rows(runs: Sequence[tuple[str, Comparison]]) -> list[dict[str, Any]]:
    """Return one row a run and quantity: ``run``, ``quantity``, ``measured``, ``predicted``."""
    rows = []
    for name, one in runs:
        outcome, prediction = one.trace.outcome, one.prediction
        for quantity, field, scale in (
            ("total time [s]", "total_time_s", 1.0),
            ("sent [MiB]", "transferred_bytes", MIB),
            ("downtime [s]", "downtime_s", 1.0),
        ):
            measured, predicted = getattr(outcome, field) / scale, getattr(prediction, field) / scale
            if math.isfinite(predicted):
                rows.append({"run": name, "quantity": quantity, "measured": measured, "predicted": predicted})
    return rows


def _accuracy_frame(runs: Sequence[tuple[str, Comparison]]) -> pd.DataFrame:
    return pd.DataFrame(accuracy_rows(runs))


def _difference(one: Comparison) -> str:
    return f"{one.prediction.iterations - one.trace.outcome.iterations:+d}"


def _introduction(one: Comparison, runs: int) -> str:
    guest, policy = one.trace.scenario.guest, one.trace.scenario.policy
    return (
        f"{runs} real migrations of a running process were captured and each proven bit for bit. The constants of "
        "this machine were fitted to all but one of them. "
        f"That one, a guest of {format_size(guest.memory_bytes)} with {guest.writes_per_s:g} page writes a second "
        f"under a cap of {format_rate(policy.max_bandwidth_bytes_per_s)} and a downtime limit of "
        f"{format_duration(policy.downtime_limit_s)}, was predicted from its scenario alone:"
    )


def _constants(calibration: Calibration) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for name in calibration.constants:
        value, error = getattr(calibration.host, name), calibration.standard_errors[name]
        rows.append((name, _quantity(name, value), _quantity(name, error), calibration.identified_by[name]))
    return rows + [(name, "not fitted", "", why) for name, why in calibration.refused.items()]


def _quantity(name: str, value: float) -> str:
    if name.endswith("_bytes_per_s"):
        return format_rate(value)
    return f"{value:.2f} B" if name.endswith("_bytes") else format_cost(value)


def _machine(machine: Any) -> str:
    return ", ".join(f"{key} {machine[key]}" for key in ("processor", "kernel", "tracker", "path") if key in machine)
