"""A frame of scenarios in, a frame of predictions out: millions at once, through the kernels that predict one."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, overload

import numpy as np

from migkit import jit
from migkit.engine import batch
from migkit.engine.records import SETTLED, Result
from migkit.errors import UsageError
from migkit.models import admission
from migkit.models import goodput as paths
from migkit.models.advice.limits import LIMITS, limited_by
from migkit.models.advice.reasons import REASONS, reason_of
from migkit.models.bulk import frames, wishes
from migkit.models.bulk.frames import Frame
from migkit.models.bulk.rows import RowsError, present_places, scenario_of, suspects
from migkit.models.predict import VERDICTS, first_remedy, verdict_of
from migkit.models.spread.change import changed
from migkit.policies import decision
from migkit.scenario import Scenario
from migkit.units import PAGE_BYTES

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["RESULTS", "WORDS", "cases", "predict_many", "predict_some", "wrong_rows"]

RESULTS: Final = (
    "verdict",
    "reason",
    "limited_by",
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
_CHUNK: Final = 2048  # rows whose records stay in the cache
_WORTH_COMPILING: Final = 500  # rows that take longer in plain Python than loading compiled kernels
WORDS: Final = {"verdict": tuple(dict.fromkeys(VERDICTS.values())), "reason": REASONS, "limited_by": LIMITS}


@overload
def predict_many(
    frame: pd.DataFrame,
    base: Scenario | None = None,
    *,
    on_error: str = "raise",
    keep: Sequence[str] = (),
    remedies: bool = False,
    level: float | None = None,
    deadline_s: float | None = None,
    seed: int = 0,
) -> pd.DataFrame: ...


@overload
def predict_many(
    frame: Any,
    base: Scenario | None = None,
    *,
    on_error: str = "raise",
    keep: Sequence[str] = (),
    remedies: bool = False,
    level: float | None = None,
    deadline_s: float | None = None,
    seed: int = 0,
) -> Any: ...


def predict_many(
    frame: Any,
    base: Scenario | None = None,
    *,
    on_error: str = "raise",
    keep: Sequence[str] = (),
    remedies: bool = False,
    level: float | None = None,
    deadline_s: float | None = None,
    seed: int = 0,
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
    remedies
        Add the column ``remedy``: for each row that does not converge the first of
        :attr:`migkit.models.result.Prediction.remedies`, as a scenario file writes it, else empty. The search takes
        some milliseconds for each such row.
    level
        Probability that a run lies within the bounds that are added as columns; None: no bounds, which is faster.
    deadline_s
        Adds the probability of having ended well by this time since the request [s]; needs a level.
    seed
        From which the inputs of the bounds are drawn.

    Returns
    -------
    frame
        pandas with the same index if pandas came in, else an Arrow table: the columns kept, then
        ``verdict``, ``reason`` and ``limited_by`` (words),
        ``total_time_s`` [s], ``downtime_s`` [s], ``transferred_bytes`` [B], ``iterations`` and the
        others of :class:`migkit.models.result.Prediction` that are one number. With a level also
        ``total_time_low_s``, ``total_time_high_s``, ``downtime_low_s``, ``downtime_high_s`` [s],
        ``transferred_low_bytes``, ``transferred_high_bytes`` [B] and ``probability_of_convergence``; with a
        deadline ``probability_in_time``.

    Raises
    ------
    UsageError
        It is no frame, is empty, lacks a column or has one that is not known; or rows are wrong
        (:class:`migkit.models.bulk.rows.RowsError`, whose ``reasons`` hold every one).

    Examples
    --------
    >>> import pandas as pd
    >>> vms = pd.DataFrame({"memory_bytes": [2**28, 2**30], "dirty_1_region_bytes": [2**24, 0],
    ...                     "dirty_1_writes_per_s": [100.0, 0.0]})
    >>> predict_many(vms)["total_time_s"].round(1).tolist()
    [1.8, 7.8]
    """
    if on_error not in ("raise", "skip"):
        raise UsageError(f"on_error: {on_error!r} is not known; use one of raise, skip")
    wish = wishes.wish(level, deadline_s, seed)
    table = frames.read(frame, tuple(keep))
    if base is None and "memory_bytes" not in table.columns:
        raise UsageError("predict_many: the column memory_bytes is missing; it is required unless a base is given")
    reasons = wrong_rows(table, base)
    if reasons and on_error == "raise":
        raise RowsError({_label(frame, row): reason for row, reason in reasons.items()}, table.rows)
    good = np.ones(table.rows, dtype=bool)
    good[list(reasons)] = False
    if table.rows >= _WORTH_COMPILING:
        jit.compile_kernels()
    out = {name: np.zeros(table.rows) for name in (*RESULTS, *wish.columns)}
    for rows, case, rule in cases(table, base, good):
        predict_some(case, rule, rows, wish, out)
    texts = {"remedy": _remedies(table, base, good, out["verdict"])} if remedies else {}
    return _result(frame, good, out, texts, {_label(frame, row): reason for row, reason in reasons.items()}, keep)


def _remedies(table: Frame, base: Scenario | None, good: np.ndarray, verdicts: np.ndarray) -> np.ndarray:
    """Return the first remedy of each row that does not converge, else no text."""
    found = np.full(table.rows, "", dtype=object)
    for row in np.flatnonzero(good & (verdicts != WORDS["verdict"].index("converges"))).tolist():
        found[row] = first_remedy(scenario_of(table, base, row))
    return found


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
    if column.field.kind == "true or false":
        return [values == 1]
    if column.field.rule.choices:
        return [np.searchsorted(column.field.rule.choices, values)]
    if column.field.name == "region_bytes":
        return [np.isnan(values) | (values == 0)]
    if column.table == "strategy":
        return [np.isnan(values), values == 0, np.isinf(values)]
    return [np.isnan(values)]


def cases(
    table: Frame, base: Scenario | None, good: np.ndarray, most: int = _CHUNK
) -> Iterator[tuple[np.ndarray, Scenario, Any]]:
    """Yield at most so many good rows that differ in nothing but numbers, as one scenario of arrays, and its rule.

    Examples
    --------
    >>> import pandas as pd
    >>> table = frames.read(pd.DataFrame({"memory_bytes": [2**28, 2**30], "policy": ["qemu", "xen"]}))
    >>> [rows.tolist() for rows, case, rule in cases(table, None, np.ones(2, dtype=bool))]
    [[0], [1]]
    """
    for rows in _groups(table, good):
        template = scenario_of(table, base, int(rows[0]))
        places = present_places(table, base, int(rows[0]))
        rule = jit.callback(template.policy.decider)
        for start in range(0, rows.size, most):
            some = rows[start : start + most]
            yield some, _of_arrays(table, template, places, some), rule


def predict_some(case: Scenario, rule: Any, some: np.ndarray, wish: wishes.Wish, out: dict[str, np.ndarray]) -> None:
    """Predict rows that differ in nothing but numbers.

    Parameters
    ----------
    case
        A scenario whose fields that are numbers may be arrays, one value a row.
    rule
        Of its policy, as :func:`migkit.jit.callback` returns it.
    some
        Places of the rows within the columns.
    wish
        Which bounds are asked for.
    out
        Columns by the names of :data:`RESULTS`; words are numbers of :data:`WORDS`.

    Examples
    --------
    >>> from migkit import Guest, Link
    >>> links = changed(Link(), {"bandwidth_bytes_per_s": np.array([1e8, 2e8])})
    >>> case = changed(Scenario(guest=Guest(memory_bytes=2**28)), {"link": links})
    >>> out = {name: np.zeros(2) for name in RESULTS}
    >>> predict_some(case, None, np.arange(2), wishes.wish(None, None, 0), out)
    >>> out["total_time_s"].round(1).tolist()
    [2.7, 1.9]
    """
    packed, goodput = paths.packed(case, some.size)
    results = np.zeros(some.size * Result.SIZE)
    batch.migrate_many(batch.without_steps(packed, rule), results, rule)
    table_of_results = results.reshape(some.size, -1)
    columns: Any = table_of_results.T.view(Result)
    refused = admission.refused(case)
    if np.any(refused):
        refused = np.broadcast_to(refused, some.size)
        table_of_results[refused] = 0.0  # nothing happened
        columns.action[refused] = decision.ABORT
    _store(columns, case, some, out)
    bandwidth = np.minimum(goodput, case.policy.max_bandwidth_bytes_per_s)
    out["reason"][some] = np.where(refused, REASONS.index("not_admitted"), reason_of(case, columns, bandwidth))
    out["limited_by"][some] = limited_by(case, packed)
    wish.store(case, table_of_results, rule, some, out)


def _of_arrays(table: Frame, template: Scenario, places: list[int], rows: np.ndarray) -> Scenario:
    """Return a scenario whose numbers are arrays, the rest of it the template's."""
    given: dict[tuple[str, int], dict[str, np.ndarray]] = {}
    for name, column in table.columns.items():
        if column.field.is_number and not column.field.rule.choices:
            values = table.values[name][rows]
            if not math.isnan(values[0]):
                given.setdefault((column.table, column.place), {})[column.field.name] = values
    classes = tuple(
        changed(one, given.get(("dirty", place), {})) for one, place in zip(template.guest.dirty, places, strict=True)
    )
    parts: dict[str, Any] = {
        name: changed(getattr(template, name), given.get((name, 0), {}))
        for name in ("guest", "link", "host", "policy", "strategy")
    }
    return changed(template, parts | {"guest": changed(parts["guest"], {"dirty": classes})})


def _store(results: Any, case: Scenario, rows: Any, out: dict[str, np.ndarray]) -> None:
    """Copy what the kernels wrote into the columns of the result."""
    endless = results.action == SETTLED
    total_s = results.total_s
    exposure_s = results.exposure_s
    codes = np.zeros(int(max(VERDICTS)) + 1)
    for action in np.unique(results.action).astype(np.int64).tolist():
        codes[action] = WORDS["verdict"].index(verdict_of(case, action))
    out["verdict"][rows] = codes[results.action.astype(np.int64)]
    out["total_time_s"][rows] = np.where(endless, math.inf, total_s)
    storage_bytes = np.where(total_s > 0, paths.storage_sent_bytes(case, total_s), 0.0)
    out["transferred_bytes"][rows] = np.where(endless, math.inf, results.sent_bytes + storage_bytes)
    out["remaining_at_switchover_bytes"][rows] = results.switchover_pages * PAGE_BYTES
    out["guest_slowdown"][rows] = np.where(total_s > 0, results.lost_s / np.where(total_s > 0, total_s, 1), 0)
    out["risk"][rows] = -np.expm1(-exposure_s / 3600.0 * case.host.failures_per_h)
    for name, field in _COPIED.items():
        out[name][rows] = getattr(results, field)


_COPIED: Final = {
    "downtime_s": "downtime_s",
    "iterations": "iterations",
    "postcopy_faults": "faults",
    "blocktime_s": "blocktime_s",
    "degraded_s": "degraded_s",
    "exposure_s": "exposure_s",
}


def _result(
    frame: Any,
    good: np.ndarray,
    out: dict[str, np.ndarray],
    texts: dict[str, np.ndarray],
    skipped: dict[Any, str],
    keep: Sequence[str],
) -> Any:
    """Return the columns as the kind of frame that came in."""
    columns: dict[str, Any] = {name: values if good.all() else values[good] for name, values in (out | texts).items()}
    columns["iterations"] = columns["iterations"].astype(np.int64)
    codes = {name: columns[name].astype(np.int8) for name in WORDS}
    if hasattr(frame, "iloc"):
        import pandas as pd

        columns |= {name: pd.Categorical.from_codes(codes[name], pd.Index(words)) for name, words in WORDS.items()}
        index = frame.index[good]
        result = pd.DataFrame({name: frame[name].array[good] for name in keep} | columns, index=index, copy=False)
        result.attrs["skipped"] = skipped
        return result
    import pyarrow as pa

    source = pa.table(frame)
    columns |= {name: pa.DictionaryArray.from_arrays(codes[name], list(words)) for name, words in WORDS.items()}
    kept = {name: source.column(name).filter(pa.array(good)) for name in keep}
    metadata = {"skipped": json.dumps(skipped)}
    return pa.table(kept | {name: pa.array(values) for name, values in columns.items()}, metadata=metadata)
