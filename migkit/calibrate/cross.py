"""Fitted to one migration of a guest, tested on others: what a log is worth for the next move.

The guest is fitted to one log, the hosts to the same log and, where the others went post-copy, to one of these.
Nothing of the run that is predicted goes into its prediction.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from migkit.calibrate.fit import fit
from migkit.calibrate.guest import rounds
from migkit.calibrate.guest.fitting import fit_guest
from migkit.models.predict import predict
from migkit.scenario import Policy, Scenario, Strategy

if TYPE_CHECKING:
    from migkit.importers import Log

__all__ = ["Crossed", "crossed", "summary"]


class Crossed(NamedTuple):
    """One prediction of one run from another.

    Attributes
    ----------
    fitted_to, tested_on
        Names of the runs.
    verdict
        As predicted.
    total_time_s, downtime_s
        Predicted [s].
    measured_total_time_s, measured_downtime_s
        Measured [s].
    """

    fitted_to: str
    tested_on: str
    verdict: str
    total_time_s: float
    downtime_s: float
    measured_total_time_s: float
    measured_downtime_s: float

    @property
    def total_time_error(self) -> float:
        """(predicted - measured) / measured."""
        return self.total_time_s / self.measured_total_time_s - 1.0

    @property
    def downtime_error_s(self) -> float:
        """Predicted - measured [s]."""
        return self.downtime_s - self.measured_downtime_s


def crossed(
    fitted: Mapping[str, Log],
    tested: Mapping[str, Log],
    policy: Policy,
    strategy: Strategy,
    hosts: Sequence[tuple[str, Log]] = (),
) -> Iterator[Crossed]:
    """Yield the prediction of each run of ``tested`` from each of ``fitted``, by name.

    Parameters
    ----------
    fitted, tested
        Logs by the name of the run; a run is never predicted from itself.
    policy, strategy
        Rule and strategy of the runs that are tested.
    hosts
        Further runs, each used for the hosts beside the one fitted; a run that it is is not predicted with it.
    """
    for name, log in fitted.items():
        observed = rounds.of_log(log)
        assert observed is not None, name
        guest = fit_guest([observed]).guest
        for other, beside in [(other, [beside]) for other, beside in hosts] or [("", [])]:
            host = fit([], logs=[log, *beside]).host
            case = Scenario(
                guest=guest, host=dataclasses.replace(host, firmware_bytes=0), policy=policy, strategy=strategy
            )
            told = predict(case, level=None, detail=False)
            for run, measured in tested.items():
                if run in (name, other):
                    continue
                totals = measured.meta["totals"]
                yield Crossed(
                    name,
                    run,
                    told.verdict,
                    told.total_time_s,
                    told.downtime_s,
                    totals["total_time_s"],
                    totals["downtime_s"],
                )


def summary(rows: Sequence[Crossed]) -> dict[str, Any]:
    """Return the median of the errors, that of their sizes, and the share that is said to converge.

    Examples
    --------
    >>> summary([Crossed("a", "b", "converges", 17.1, 0.013, 17.0, 0.011)])["total_time_error"]
    0.0058...
    """
    import statistics

    told = [row for row in rows if math.isfinite(row.total_time_s)]
    many = {
        "rows": len(rows),
        "converges": sum(row.verdict == "converges" for row in rows) / max(1, len(rows)),
    }
    if not told:
        return many
    return many | {
        "total_time_error": statistics.median(abs(row.total_time_error) for row in told),
        "total_time_bias": statistics.median(row.total_time_error for row in told),
        "downtime_error_s": statistics.median(abs(row.downtime_error_s) for row in told),
    }
