"""The data sets that predictions are compared with, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

from migkit.calibrate.accuracy import (
    field_reports,
    gigabit,
    harness_traces,
    kvm_database,
    published,
    reference_runs,
)
from migkit.calibrate.accuracy.scored import Scored
from migkit.errors import UsageError, shown

__all__ = ["DATASETS", "Dataset", "chosen"]


class Dataset(NamedTuple):
    """One set of measured migrations.

    Attributes
    ----------
    title
        What it is, in a line.
    score
        Yields its runs beside their predictions; takes a folder of the same form, or None for the data that ship.
    files
        Which files such a folder holds.
    form
        The same in words.
    """

    title: str
    score: Callable[[Path | None], Iterator[Scored]]
    files: str
    form: str


_TABLE: Final = "the table of that name, with the columns that data/README.md lists"
_TRACES: Final = "two or more traces of migkit capture or migkit qemu capture, on one machine"
_LOGS: Final = (
    "answers of query-migrate, SERIES-RUN.json.gz, two or more of the series precopy-4t, precopy-16t or "
    "autoconverge-16t"
)
DATASETS: Final[Mapping[str, Dataset]] = MappingProxyType(
    {
        "reference-runs": Dataset(
            "real migrations by QEMU 7.2 and 10.0 (TCG)", reference_runs.score, "reference_runs.csv", _TABLE
        ),
        "harness": Dataset("real migrations by the page-copy harness", harness_traces.score, "*.parquet", _TRACES),
        "kvm-database": Dataset("real KVM migrations of a database", kvm_database.score, "*-*.json.gz", _LOGS),
        "gigabit": Dataset("real KVM migrations over 1 Gbit/s", gigabit.score, "sysbench_kvm_1gbit.csv", _TABLE),
        "published": Dataset(
            "published migrations of idle guests", published.score, "published_measurements.csv", _TABLE
        ),
        "field-reports": Dataset("public reports with numbers", field_reports.score, "reports.csv", _TABLE),
    }
)


def chosen(names: tuple[str, ...]) -> dict[str, tuple[Dataset, Path | None]]:
    """Return data sets by ``NAME`` or ``NAME=FOLDER``, each with the folder of its runs; no names: all that ship.

    Raises
    ------
    UsageError
        There is no such data set, or no such folder.

    Examples
    --------
    >>> list(chosen(("harness",)))
    ['harness']
    >>> chosen(("harnes",))
    Traceback (most recent call last):
    migkit.errors.UsageError: accuracy: 'harnes' is no data set; use one of reference-runs, harness, ...
    """
    found: dict[str, tuple[Dataset, Path | None]] = {}
    for given in names or tuple(DATASETS):
        name, _, folder = given.partition("=")
        if name not in DATASETS:
            own = "; runs of your own are given as NAME=FOLDER" if Path(given).exists() else ""
            raise UsageError(f"accuracy: {shown(name)} is no data set; use one of {', '.join(DATASETS)}{own}")
        if folder and not Path(folder).is_dir():
            wanted = f"{DATASETS[name].files}: {DATASETS[name].form}"
            raise UsageError(f"accuracy: {folder}: is no folder; name one that holds {wanted}")
        found[name] = DATASETS[name], Path(folder) if folder else None
    return found
