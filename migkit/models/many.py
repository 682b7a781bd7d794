"""A frame of scenarios in, a frame of predictions out: millions at once, through the kernels that predict one."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeVar

import numpy as np

from migkit.errors import UsageError
from migkit.kernels import _jit, layout, migrate, policy
from migkit.models import admission, frames
from migkit.models import goodput as paths
from migkit.models.frames import Frame
from migkit.models.predict import VERDICTS
from migkit.models.rows import RowsError, present_places, scenario_of, suspects
from migkit.scenario import Scenario
from migkit.units import PAGE_BYTES

__all__ = ["RESULTS", "predict_many", "wrong_rows"]

RESULTS: Final = (
    "verdict",
    "total_time_s",
    "downtime_s",
    "transferred_bytes",
    "iterations",
    "remaining_at_switchover_bytes",
    "guest_slowdown",
    "postcopy_faults",
    "blocktime_s",
    "degraded_s",
    "exposure_s",
    "risk",
)
R = TypeVar("R")
_CHUNK: Final = 2048  # rows whose records stay in the cache
_WORTH_COMPILING: Final = 500  # rows that take longer in plain Python than loading compiled kernels
_REFUSED: Final = np.eye(layout.RESULT_SLOTS)[layout.ACTION] * policy.ABORT  # nothing happened
_NAMES: Final = tuple(dict.fromkeys(VERDICTS.values()))


def predict_many(
    frame: Any, base: Scenario | None = None, *, on_error: str = "raise", keep: tuple[str, ...] | list[str] = ()
) -> Any:
    """Return a frame with a prediction for each row.

    Parameters
    ----------
    frame
        pandas, or anything with ``__arrow_c_stream__`` (Polars, Arrow, DuckDB). Columns are named
        as the fields with their units, e.g. ``memory_bytes``, ``bandwidth_bytes_per_s``,
        ``downtime_limit_s``; ``policy`` and ``strategy`` are names; page classes are numbered from 1:
        ``dirty_1_region_bytes``, ``dirty_1_writes_per_s``, ``dirty_1_kind``, ``dirty_2_region_bytes``.
        A class whose region is missing or 0 in a row is absent there.
    base
        What has no column comes from this scenario, phases and link steps too; else from the defaults.
    on_error
        ``raise``: refuse a frame with wrong rows, naming all of them; ``skip``: leave them out and tell
        their reasons in ``result.attrs["skipped"]`` (pandas) or the schema's metadata (Arrow).
    keep
        Columns to hand through, such as the names of the machines.

    Returns
    -------
    frame
        pandas with the same index if pandas came in, else an Arrow table: the columns kept, then
        ``verdict``, ``total_time_s`` [s], ``downtime_s`` [s], ``transferred_bytes`` [B], ``iterations`` and the
        others of :class:`migkit.models.result.Prediction` that are one number.

    Raises
    ------
    UsageError
        It is no frame, is empty, lacks a column or has one that is not known; or rows are wrong
        (:class:`migkit.models.rows.RowsError`, whose ``reasons`` hold every one).

    Examples
    --------
    >>> import pandas as pd
    >>> vms = pd.DataFrame({"memory_bytes": [2**28, 2**30], "dirty_1_region_bytes": [2**24, 0],
    ...                     "dirty_1_writes_per_s": [100.0, 0.0]})
    >>> predict_many(vms)["total_time_s"].round(1).tolist()
    [1.8, 7.7]
    """
    if on_error not in ("raise", "skip"):
        raise UsageError(f"on_error: {on_error!r} is not known; use one of raise, skip")
    table = frames.read(frame, tuple(keep))
    if base is None and "memory_bytes" not in table.columns:
        raise UsageError("predict_many: the column memory_bytes is missing; it is required unless a base is given")
    reasons = wrong_rows(table, base)
    if reasons and on_error == "raise":
        raise RowsError({_label(frame, row): reason for row, reason in reasons.items()}, table.rows)
    good = np.ones(table.rows, dtype=bool)
    good[list(reasons)] = False
    if table.rows >= _WORTH_COMPILING:
        _jit.compile_kernels()
    out = {name: np.zeros(table.rows) for name in RESULTS}
    for rows in _groups(table, good):
        _predict_group(table, base, rows, out)
    return _result(frame, good, out, {_label(frame, row): reason for row, reason in reasons.items()}, keep)


def _label(frame: Any, row: int) -> Any:
    return frame.index[row] if hasattr(frame, "iloc") and hasattr(frame, "index") else row


def wrong_rows(table: Frame, base: Scenario | None) -> dict[int, str]:
    """Return what is wrong with each row that is."""
    reasons = {}
    for row in np.flatnonzero(suspects(table, base)).tolist():
        reason = _reason(table, base, row)
        if reason:
            reasons[row] = reason
    right = np.ones(table.rows, dtype=bool)
    right[list(reasons)] = False
    for rows in _groups(table, right):  # what contradicts itself does so in the whole group
        if _reason(table, base, int(rows[0])):
            reasons |= {row: reason for row in rows.tolist() if (reason := _reason(table, base, row))}
    return dict(sorted(reasons.items()))


def _reason(table: Frame, base: Scenario | None, row: int) -> str:
    try:
        scenario_of(table, base, row)
    except UsageError as error:
        return str(error)
    return ""


def _groups(table: Frame, good: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the good rows in groups of one policy, one strategy, the same classes: they differ in numbers only."""
    code = np.zeros(table.rows, dtype=np.int64)
    for name, column in table.columns.items():
        for feature in _features(column, table.values[name]):
            if feature.min() < feature.max():
                code = np.unique(code * (int(feature.max()) + 1) + feature, return_inverse=True)[1]
    code[~good] = -1
    if code.min() == code.max():
        if good.any():
            yield np.arange(table.rows)
        return
    order = np.argsort(code, kind="stable")
    yield from (rows for rows in np.split(order, np.flatnonzero(np.diff(code[order])) + 1) if good[rows[0]])


def _features(column: frames.Column, values: np.ndarray) -> list[np.ndarray]:
    """Return what about a column must be the same within a group, as small whole numbers."""
    if column.is_text:
        return [values + 1]
    if column.field.type == "bool":
        return [values == 1]
    if column.field.metadata["choices"]:
        return [np.searchsorted(column.field.metadata["choices"], values)]
    if column.field.name == "region_bytes":
        return [np.isnan(values) | (values == 0)]
    if column.table == "strategy":
        return [np.isnan(values), values == 0, np.isinf(values)]
    return [np.isnan(values)]


def _predict_group(table: Frame, base: Scenario | None, rows: np.ndarray, out: dict[str, np.ndarray]) -> None:
    """Predict rows that differ in nothing but numbers."""
    template = scenario_of(table, base, int(rows[0]))
    places = present_places(table, base, int(rows[0]))
    rule = _jit.callback(template.policy.rule)
    for start in range(0, rows.size, _CHUNK):
        some = rows[start : start + _CHUNK]
        case = _of_arrays(table, template, places, some)
        packed, _ = paths.packed(case, some.size)
        results = np.zeros(some.size * layout.RESULT_SLOTS)
        stride = packed.record.size // some.size
        steps = migrate.without_steps(packed.record, stride, packed.steps, packed.parameters, rule)
        migrate.migrate_many(packed.record, stride, steps, packed.parameters, results, rule)
        table_of_results = results.reshape(some.size, -1)
        refused = admission.refused(case)
        if np.any(refused):
            table_of_results[np.broadcast_to(refused, some.size)] = _REFUSED
        _store(table_of_results, case, some, out)


def _of_arrays(table: Frame, template: Scenario, places: list[int], rows: np.ndarray) -> Scenario:
    """Return a scenario whose numbers are arrays, the rest of it the template's."""
    given: dict[tuple[str, int], dict[str, np.ndarray]] = {}
    for name, column in table.columns.items():
        if not column.is_text and column.field.type != "bool" and not column.field.metadata["choices"]:
            values = table.values[name][rows]
            if not math.isnan(values[0]):
                given.setdefault((column.table, column.place), {})[column.field.name] = values
    classes = tuple(
        _changed(one, given.get(("dirty", place), {}))
        for one, place in zip(template.guest.dirty, places, strict=True)
    )
    parts: dict[str, Any] = {
        name: _changed(getattr(template, name), given.get((name, 0), {}))
        for name in ("guest", "link", "host", "policy", "strategy")
    }
    return _changed(template, parts | {"guest": _changed(parts["guest"], {"dirty": classes})})


def _changed(record: R, changes: Mapping[str, Any]) -> R:
    """Return a record with other values, which were checked before."""
    other: R = object.__new__(type(record))
    for field in dataclasses.fields(record):  # type: ignore[arg-type]
        object.__setattr__(other, field.name, changes.get(field.name, getattr(record, field.name)))
    return other


def _store(results: np.ndarray, case: Scenario, rows: Any, out: dict[str, np.ndarray]) -> None:
    """Copy what the kernels wrote into the columns of the result."""
    endless = results[:, layout.ACTION] == layout.SETTLED
    total_s = results[:, layout.TOTAL_S]
    exposure_s = results[:, layout.EXPOSURE_S]
    codes = np.zeros(int(max(VERDICTS)) + 1)
    for action, verdict in VERDICTS.items():
        codes[action] = _NAMES.index(verdict)
    out["verdict"][rows] = codes[results[:, layout.ACTION].astype(np.int64)]
    out["total_time_s"][rows] = np.where(endless, math.inf, total_s)
    storage_bytes = np.where(total_s > 0, paths.storage_sent_bytes(case, total_s), 0.0)
    out["transferred_bytes"][rows] = np.where(endless, math.inf, results[:, layout.SENT] + storage_bytes)
    out["remaining_at_switchover_bytes"][rows] = results[:, layout.SWITCHOVER_PAGES] * PAGE_BYTES
    out["guest_slowdown"][rows] = np.where(
        total_s > 0, results[:, layout.LOST_S] / np.where(total_s > 0, total_s, 1), 0
    )
    out["risk"][rows] = -np.expm1(-exposure_s / 3600.0 * case.host.failures_per_h)
    for name, slot in _COPIED.items():
        out[name][rows] = results[:, slot]


_COPIED: Final = {
    "downtime_s": layout.DOWNTIME_S,
    "iterations": layout.ITERATIONS,
    "postcopy_faults": layout.FAULTS,
    "blocktime_s": layout.BLOCKTIME_S,
    "degraded_s": layout.DEGRADED_S,
    "exposure_s": layout.EXPOSURE_S,
}


def _result(
    frame: Any,
    good: np.ndarray,
    out: dict[str, np.ndarray],
    skipped: dict[Any, str],
    keep: tuple[str, ...] | list[str],
) -> Any:
    """Return the columns as the kind of frame that came in."""
    columns = {name: values if good.all() else values[good] for name, values in out.items()}
    columns["iterations"] = columns["iterations"].astype(np.int64)
    codes = columns["verdict"].astype(np.int8)
    if hasattr(frame, "iloc"):
        import pandas as pd

        columns["verdict"] = pd.Categorical.from_codes(codes, pd.Index(_NAMES))
        index = frame.index[good]
        result = pd.DataFrame({name: frame[name].array[good] for name in keep} | columns, index=index, copy=False)
        result.attrs["skipped"] = skipped
        return result
    import pyarrow as pa

    source = pa.table(frame)
    columns["verdict"] = pa.DictionaryArray.from_arrays(codes, list(_NAMES))
    kept = {name: source.column(name).filter(pa.array(good)) for name in keep}
    metadata = {"skipped": json.dumps(skipped)}
    return pa.table(kept | {name: pa.array(values) for name, values in columns.items()}, metadata=metadata)
