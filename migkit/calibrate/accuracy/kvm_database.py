"""Real KVM migrations of a database: a guest fitted to one of them, and every other one predicted from it.

Guest and hosts are fitted to one log and, where the others went post-copy, to one of these besides. Nothing of the
run that is predicted goes into its prediction. QEMU's defaults were in force, which are those of the policy. In the
pre-copies of 16 threads the load ended before the migration did, so the right verdict on the stationary guest is
that it does not converge.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from migkit.calibrate.accuracy.scored import Origin, Scored, predicted, scored
from migkit.calibrate.fit import fit
from migkit.calibrate.guest import rounds
from migkit.calibrate.guest.fitting import fit_guest
from migkit.errors import UsageError
from migkit.importers import Log, read
from migkit.models.result import Prediction
from migkit.scenario import Policy, Scenario, Strategy
from migkit.traces import data

__all__ = ["SPLITS", "Split", "logs", "score"]


class Split(NamedTuple):
    """Which series a guest is fitted to, and which one is predicted from it with which strategy."""

    title: str
    fitted: str
    tested: str
    strategy: Strategy
    ends: bool = True


SPLITS: Final = (
    Split("pre-copy, 4 threads", "precopy-4t", "precopy-4t", Strategy()),
    Split("pre-copy, 16 threads", "precopy-16t", "precopy-16t", Strategy(), ends=False),
    Split("auto-converge, from itself", "autoconverge-16t", "autoconverge-16t", Strategy(auto_converge=True)),
    Split("auto-converge, from pre-copy", "precopy-16t", "autoconverge-16t", Strategy(auto_converge=True)),
    Split("pre-copy, from auto-converge", "autoconverge-16t", "precopy-16t", Strategy(), ends=False),
    Split("post-copy at once", "precopy-4t", "postcopy-4t", Strategy(name="hybrid", postcopy_after_s=0.201)),
)
_HOST: Final = "one host, Unix socket"


def logs(folder: Path | None = None) -> dict[str, dict[str, Log]]:
    """Return the logs ``SERIES-RUN.json.gz`` of a folder by series and name; None: those that ship.

    Examples
    --------
    >>> {series: len(runs) for series, runs in logs().items()}["precopy-4t"]
    5
    """
    found: dict[str, dict[str, Log]] = {}
    for path in sorted((folder or data.data_path("kvm_database")).glob("*-*.json.gz")):
        series = re.sub(r"-\d+\.json\.gz$", "", path.name)
        found.setdefault(series, {})[path.name.removesuffix(".json.gz")] = read(path)[0]
    return found


def score(folder: Path | None = None) -> Iterator[Scored]:
    """Yield each run beside each of its predictions, split by split.

    Examples
    --------
    >>> next(score()).origin.run
    'precopy-4t-2 from precopy-4t-1'
    """
    known = logs(folder)
    posts = list(known.get("postcopy-4t", {}).items())
    for split in SPLITS:
        if split.fitted in known and split.tested in known:
            beside = posts if split.tested.startswith("post") else [("", None)]
            for name, log in known[split.fitted].items():
                yield from _crossed(split, name, log, beside, known[split.tested])


def _crossed(
    split: Split, name: str, log: Log, beside: Sequence[tuple[str, Log | None]], tested: dict[str, Log]
) -> Iterator[Scored]:
    """Yield each tested run beside what one fitted run, with one of the logs beside, says of it."""
    observed = rounds.of_log(log)
    if observed is None:
        raise UsageError(
            f"accuracy: {name}: says nothing of what its guest writes; it needs readings with remaining and "
            "dirty-sync-count"
        )
    for other, more in beside:
        looks = [observed] if more is None else [observed, rounds.of_log(more)]
        guest = fit_guest([one for one in looks if one is not None]).guest
        host = fit([], logs=[log] if more is None else [log, more]).host
        case = Scenario(
            guest=guest,
            host=dataclasses.replace(host, firmware_bytes=0),
            policy=Policy(),
            strategy=split.strategy,
        )
        told = predicted(case)
        for run, measured in tested.items():
            if run not in (name, other):
                yield _scored(split, f"{run} from {' and '.join(filter(None, (name, other)))}", measured, case, told)


def _scored(split: Split, run: str, log: Log, case: Scenario, told: Prediction) -> Scored:
    """Return a run beside a prediction; of one whose load ended before it did, the verdict alone counts."""
    totals: dict[str, Any] = log.meta["totals"] if split.ends else {}
    return scored(
        Origin(run, split.tested, _HOST, split.title),
        case,
        verdict="converges" if split.ends else "does_not_converge",
        total_time_s=totals.get("total_time_s"),
        downtime_s=totals.get("downtime_s"),
        transferred_bytes=totals.get("sent_bytes"),
        prediction=told,
    )
