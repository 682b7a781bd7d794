"""Public reports of migrations: each scenario is what the report states, and nothing is known of its hosts.

A report counts only where it gives the number. Bytes are not compared: most reports state memory by their counters.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from migkit.calibrate.accuracy.scored import Origin, Scored, scored
from migkit.scenario.form import schema
from migkit.traces import data

__all__ = ["NO_TOTAL", "score"]

NO_TOTAL: Final = ("postcopy-arm64",)  # when it switched is not stated


def score(folder: Path | None = None) -> Iterator[Scored]:
    """Yield each report beside its prediction.

    Examples
    --------
    >>> next(score()).origin.run
    'proxmox-12g'
    """
    for row in data.field_reports(folder):
        name, down_ms = row["id"], row["reported_downtime_ms"]
        verdict = row["reported_verdict"] or ""
        yield scored(
            Origin(name, name, row["source"], "scenario alone"),
            schema.load(row["path"]),
            verdict=verdict if verdict == "converges" else "",
            total_time_s=None if name in NO_TOTAL else row["reported_total_s"],
            downtime_s=None if down_ms is None else down_ms / 1e3,
        )
