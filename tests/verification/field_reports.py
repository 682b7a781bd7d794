"""Public reports of migrations against the intervals of their predictions.

    python -m tests.verification.field_reports

A report counts only where it gives the number; the medians of widths are those of scenarios that state their link.
"""

from __future__ import annotations

import csv
import math
from statistics import median
from typing import NamedTuple

from migkit.models.predict import predict
from migkit.models.result import Interval
from migkit.scenario.form import schema
from migkit.traces import data

NO_TOTAL = ("postcopy-arm64",)  # when it switched is not stated


class Scored(NamedTuple):
    """One report beside its prediction: what was measured (None: not reported), and the bounds."""

    name: str
    total_time_s: float | None
    downtime_s: float | None
    interval: Interval
    states_link: bool

    def holds(self, quantity: str) -> bool | None:
        """Return whether the interval holds what was reported; None: nothing was."""
        value = getattr(self, quantity)
        low, high = getattr(self.interval, quantity)
        return None if value is None else low <= value <= high

    @property
    def width(self) -> float:
        """Upper over lower bound of total time."""
        low, high = self.interval.total_time_s
        return high / low if low > 0.0 and math.isfinite(high) else math.nan


def score() -> list[Scored]:
    """Return every report with its prediction."""
    folder = data.data_path("field_reports")
    scored = []
    with (folder / "reports.csv").open(newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            case = schema.load(folder / "scenarios" / row["scenario"])
            bounds = predict(case, detail=False).interval
            assert bounds is not None
            total, down = row["reported_total_s"], row["reported_downtime_ms"]
            total_s = float(total) if total and row["id"] not in NO_TOTAL else None
            states_link = math.isfinite(case.link.bandwidth_bytes_per_s)
            scored.append(Scored(row["id"], total_s, float(down) / 1e3 if down else None, bounds, states_link))
    return scored


def held(scored: list[Scored], quantity: str) -> tuple[int, int]:
    """Return how many intervals hold their report, and how many reports give the number."""
    told = [one.holds(quantity) for one in scored]
    return sum(value is True for value in told), sum(value is not None for value in told)


def main() -> None:
    """Print one line a report, then the counts."""
    scored = score()
    for one in scored:
        told = f"total {one.holds('total_time_s')!s:6} downtime {one.holds('downtime_s')!s:6}"
        print(f"{one.name:24} {told} {one.width:.2f}")
    widths = [one.width for one in scored if one.states_link and not math.isnan(one.width)]
    for quantity in ("total_time_s", "downtime_s"):
        print("{}: {} of {} that report it".format(quantity, *held(scored, quantity)))
    print(f"median width where the link is stated: {median(widths):.2f}")


if __name__ == "__main__":
    main()
