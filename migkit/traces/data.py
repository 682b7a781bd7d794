"""The data that ships with migkit, found in a source tree and in an installed wheel alike."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from migkit.errors import TraceError

if TYPE_CHECKING:
    from migkit.traces.schema import Trace

__all__ = [
    "data_path",
    "field_reports",
    "gigabit_runs",
    "harness_grid",
    "kvm_database_runs",
    "published_measurements",
    "qemu_grid",
    "reference_runs",
    "reference_timelines",
    "shipped_runs",
    "shipped_traces",
    "verify",
]

Row = dict[str, Any]

_PACKAGE: Final = Path(__file__).resolve().parents[1]
_HOMES: Final = (_PACKAGE / "_share" / "data", _PACKAGE.parent / "data")
_TEXT: Final = {
    *("run", "case", "qemu_version", "accelerator", "fill", "capabilities", "status"),
    "series",
    *("id", "group", "ref", "hypervisor", "strategy", "workload", "dirty_rate_unit", "notes"),
    *("scenario", "source", "system", "reported_verdict", "guessed_inputs"),
}


def data_path(name: str = ".") -> Path:
    """Return where a shipped data file or folder is.

    Parameters
    ----------
    name
        Its path below ``data/``.

    Raises
    ------
    TraceError
        It is neither in the installed package nor in the source tree around it.

    Examples
    --------
    >>> data_path("qemu/reference_runs.csv").name
    'reference_runs.csv'
    """
    for home in _HOMES:
        if (home / name).exists():
            return home / name
    raise TraceError(f"data {name}: not shipped with this installation; install migkit anew or use a source tree")


def reference_runs(folder: Path | None = None) -> tuple[Row, ...]:
    """Return the real QEMU migrations of ``data/qemu/README.md``, one typed row a run.

    Another ``folder`` may hold a table of the same columns. Names carry units; ``classes`` is a list of page
    classes; a field that a run does not have is None.

    Examples
    --------
    >>> runs = reference_runs()
    >>> len(runs), runs[0]["total_time_s"], runs[0]["classes"][0]["region_bytes"]
    (63, 5.513, 33554432)
    """
    return tuple(_typed(row) for row in _read((folder or data_path("qemu")) / "reference_runs.csv"))


def reference_timelines() -> dict[str, tuple[Row, ...]]:
    """Return the ``query-migrate`` readings of the reference runs, by run, in order of time.

    Examples
    --------
    >>> [reading["dirty_sync_count"] for reading in reference_timelines()["a1-q7-0"][:2]]
    [1, 1]
    """
    lines: dict[str, list[Row]] = {}
    for row in _read(data_path("qemu/reference_timelines.csv.gz")):
        lines.setdefault(row.pop("run"), []).append(_typed(row))
    return {run: tuple(rows) for run, rows in lines.items()}


def qemu_grid(file: Path | None = None) -> tuple[Row, ...]:
    """Return the migrations of ``qemu/grid.parquet`` by three versions of QEMU, one row a run.

    Another ``file`` may hold a table of the same columns. ``scenario`` is the :class:`migkit.scenario.Scenario` that
    a prediction takes: what was asked, under the rule of that version, with the machine's speed under it.

    Examples
    --------
    >>> runs = qemu_grid()
    >>> len(runs), runs[0]["verdict"], runs[0]["scenario"].policy.name
    (383, 'converges', 'qemu-7')
    """
    import dataclasses

    from migkit.policies import systems
    from migkit.scenario import Host

    rows, meta = _grid(file or data_path("qemu/grid.parquet"))
    hosts = [Host(platform="qemu-tcg", **known) for known in json.loads(meta[b"hosts"])]
    for row in rows:
        asked = row["scenario"]
        policy = dataclasses.replace(asked.policy, name=systems.of_qemu(row["qemu_version"]))
        host = hosts[row["cell"] % len(hosts)]
        row["scenario"] = dataclasses.replace(asked, policy=policy, host=host)
    return rows


def harness_grid(file: Path | None = None) -> tuple[Row, ...]:
    """Return the migrations of ``harness/grid.parquet`` by the page-copy harness, one row a run.

    Another ``file`` may hold a table of the same columns. ``scenario`` is the :class:`migkit.scenario.Scenario` that
    a prediction takes: what was performed, with the constants of that machine.

    Examples
    --------
    >>> runs = harness_grid()
    >>> len(runs), runs[0]["verdict"], runs[0]["scenario"].host.platform
    (293, 'converges', 'harness')
    """
    import dataclasses

    from migkit.scenario import Host

    rows, meta = _grid(file or data_path("harness/grid.parquet"))
    plain = Host().sends_as_harness()
    hosts = {name: dataclasses.replace(plain, **known) for name, known in json.loads(meta[b"hosts"]).items()}
    for row in rows:
        row["scenario"] = dataclasses.replace(row["scenario"], host=hosts[row["host"]])
    return rows


def _grid(file: Path) -> tuple[tuple[Row, ...], dict[bytes, bytes]]:
    """Return the rows of a table of runs, each with the scenario that was asked, and what the table says besides."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from migkit.scenario.form import schema

    try:
        table = pq.read_table(file)
    except (OSError, pa.ArrowException) as error:
        raise TraceError(f"data {file}: cannot be read ({error}); name a table of runs") from error
    rows = table.to_pylist()
    for row in rows:
        row["scenario"] = schema.from_record(json.loads(row["scenario"]))
    return tuple(rows), table.schema.metadata or {}


def kvm_database_runs() -> tuple[Row, ...]:
    """Return the real KVM migrations of ``data/kvm_database/README.md``, one typed row a run; ``path`` is its log.

    Examples
    --------
    >>> runs = kvm_database_runs()
    >>> len(runs), runs[0]["series"], runs[0]["total_time_s"], runs[0]["path"].name
    (17, 'precopy-4t', 17.717, 'precopy-4t-1.json.gz')
    """
    rows = [_typed(row) for row in _read(data_path("kvm_database/runs.csv"))]
    return tuple(row | {"path": data_path(f"kvm_database/{row['series']}-{row['run']}.json.gz")} for row in rows)


def published_measurements(folder: Path | None = None) -> tuple[Row, ...]:
    """Return migrations that others measured and published, each with its source in ``ref``.

    Another ``folder`` may hold a table of the same columns.

    Examples
    --------
    >>> rows = published_measurements()
    >>> len(rows), all(row["ref"] for row in rows)
    (83, True)
    """
    return tuple(_typed(row) for row in _read((folder or data_path()) / "published_measurements.csv"))


def gigabit_runs(folder: Path | None = None) -> tuple[Row, ...]:
    """Return the totals of KVM migrations of an idle guest over 1 Gbit/s, one typed row a run.

    Another ``folder`` may hold a table of the same columns.

    Examples
    --------
    >>> runs = gigabit_runs()
    >>> len(runs), runs[0]["memory_MiB"], runs[0]["strategy"], runs[0]["total_ms"]
    (240, 1024, 'precopy', 5754)
    """
    return tuple(_typed(row) for row in _read((folder or data_path()) / "sysbench_kvm_1gbit.csv"))


def field_reports(folder: Path | None = None) -> tuple[Row, ...]:
    """Return public reports of migrations, one typed row a report; ``path`` is the scenario that it states.

    Another ``folder`` may hold ``reports.csv`` of the same columns, and ``scenarios/``.

    Examples
    --------
    >>> reports = field_reports()
    >>> len(reports), reports[0]["reported_total_s"], reports[0]["path"].name
    (12, 15.5, 'proxmox-12g.toml')
    """
    home = folder or data_path("field_reports")
    rows = [_typed(row) for row in _read(home / "reports.csv")]
    return tuple(row | {"path": home / "scenarios" / row["scenario"]} for row in rows)


def shipped_runs() -> dict[str, Trace]:
    """Return the traces that ship with migkit, by the names of their files.

    Raises
    ------
    TraceError
        They are not shipped with this installation, or were altered.

    Examples
    --------
    >>> shipped_runs()["left-out"].outcome.verdict
    'converges'
    """
    from migkit.traces import io as files

    return {path.stem: files.read(path) for path in shipped_traces()}


def shipped_traces() -> tuple[Path, ...]:
    """Return the traces that ship with migkit, by name.

    Examples
    --------
    >>> [path.stem for path in shipped_traces()][:3]
    ['fast', 'free', 'large']
    """
    return tuple(sorted(data_path("traces").glob("*.parquet")))


def verify() -> tuple[str, ...]:
    """Return the names of the shipped files whose SHA-256 is that of ``data/manifest.json``.

    Raises
    ------
    TraceError
        A file is missing or altered.

    Examples
    --------
    >>> "traces/left-out.parquet" in verify()
    True
    """
    wanted = json.loads(data_path("manifest.json").read_text(encoding="utf-8"))["sha256"]
    for name, digest in wanted.items():
        if hashlib.sha256(data_path(name).read_bytes()).hexdigest() != digest:
            raise TraceError(f"data {name}: its SHA-256 is not that of data/manifest.json; install migkit anew")
    return tuple(wanted)


def _read(path: Path) -> list[Row]:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise TraceError(f"data {path}: cannot be read ({error.strerror}); name the folder that holds it") from error
    text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8")
    return list(csv.DictReader(io.StringIO(text)))


def _typed(row: dict[str, str]) -> Row:
    return {key: _value(key, text) for key, text in row.items()}


def _value(key: str, text: str) -> Any:
    if not text:
        return None
    if key == "classes":
        return json.loads(text)
    if key in _TEXT:
        return text
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return text
