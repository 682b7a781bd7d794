"""What makes a trace consistent in itself: columns, types, the order of time, sums."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from migkit.errors import TraceError, shown
from migkit.traces import vocabulary
from migkit.traces.columns import column

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from migkit.traces.schema import Trace

__all__ = ["check_phases", "check_trace"]

_GROWING = ("monotonic_ns", "iteration", "sent_bytes", "dirtied_pages")


def check_trace(trace: Trace) -> None:
    """Raise :class:`TraceError` unless ``trace`` is consistent in itself."""
    if trace.kind not in vocabulary.KINDS:
        raise TraceError(f"trace: kind {shown(trace.kind)} is not one of {', '.join(vocabulary.KINDS)}")
    outcome = dataclasses.asdict(trace.outcome)
    for name, record in (("machine", trace.machine), ("provenance", trace.provenance), ("outcome", outcome)):
        _check_json(name, record)
    _check_columns("samples", trace.samples, vocabulary.SAMPLE_COLUMNS)
    _check_columns("rounds", trace.rounds, vocabulary.ROUND_COLUMNS)
    _check_samples(trace.samples)
    _check_rounds(trace.rounds)
    _check_sums(trace)


def _check_json(name: str, record: Mapping[str, Any]) -> None:
    try:
        kept = json.loads(json.dumps(dict(record), allow_nan=False)) == dict(record)
    except (TypeError, ValueError) as error:
        raise TraceError(f"trace: {name} cannot be written as JSON ({error}); use plain text and numbers") from error
    if not kept:
        raise TraceError(f"trace: {name} does not survive JSON unchanged; use text as keys and lists, not tuples")


def _check_columns(name: str, table: pa.Table, wanted: Mapping[str, str]) -> None:
    found = {field.name: str(field.type).replace("double", "float64") for field in table.schema}
    if found != dict(wanted) or table.column_names != list(wanted):
        missing = [title for title in wanted if title not in found]
        extra = [title for title in found if title not in wanted]
        unlike = [f"{c} is {found[c]}, not {t}" for c, t in wanted.items() if c in found and found[c] != t]
        words = [f"missing {', '.join(missing)}"] * bool(missing) + [f"unknown {', '.join(extra)}"] * bool(extra)
        what = "; ".join(words + unlike) or "not in the order of the schema"
        raise TraceError(f"trace: columns of {name}: {what}; the columns are {', '.join(wanted)}")
    for title in wanted:
        if table[title].null_count:
            raise TraceError(f"trace: {name}.{title} has empty cells; every cell must hold a value")


def check_phases(phases: Iterable[str | None]) -> None:
    """Raise :class:`TraceError` unless each of the phases is known."""
    unknown = [phase for phase in phases if phase not in vocabulary.PHASES]
    if unknown:
        raise TraceError(f"trace: samples.phase {shown(unknown[0])} is not one of {', '.join(vocabulary.PHASES)}")


def _check_samples(samples: pa.Table) -> None:
    if samples.num_rows == 0:
        raise TraceError("trace: samples are empty; the first row must be the request")
    check_phases(samples["phase"].unique().to_pylist())
    for name in _GROWING:
        _check_growing(f"samples.{name}", column(samples, name))
    for name, low in (("remaining_bytes", 0), ("guest_operations", -1), ("sent_bytes", 0), ("iteration", 0)):
        _check_low(f"samples.{name}", column(samples, name), low)


def _check_rounds(rounds: pa.Table) -> None:
    if column(rounds, "iteration").tolist() != list(range(1, rounds.num_rows + 1)):
        raise TraceError("trace: rounds.iteration does not count 1, 2, 3, ...; every bitmap sync is one row")
    _check_growing("rounds.start_s", column(rounds, "start_s"))
    for name in vocabulary.ROUND_COLUMNS:
        _check_low(f"rounds.{name}", column(rounds, name), 0)


def _check_sums(trace: Trace) -> None:
    rounds, outcome = trace.rounds, trace.outcome
    if rounds.num_rows != outcome.iterations:
        raise TraceError(f"trace: {rounds.num_rows} rounds, but the outcome says {outcome.iterations} iterations")
    sent = int(column(rounds, "sent_bytes").sum())
    if rounds.num_rows and sent != outcome.transferred_bytes:
        raise TraceError(
            f"trace: the rounds sent {sent} B, but the outcome says {outcome.transferred_bytes} B; they must be equal"
        )
    last = int(column(trace.samples, "sent_bytes")[-1])
    if last > outcome.transferred_bytes:
        raise TraceError(f"trace: the last sample says {last} B sent, the outcome {outcome.transferred_bytes} B")


def _check_growing(name: str, values: np.ndarray) -> None:
    steps = values[1:] < values[:-1]
    if steps.any():
        row = int(steps.argmax()) + 1
        raise TraceError(
            f"trace: {name} falls from {values[row - 1]} to {values[row]} in row {row}; it must not fall"
        )


def _check_low(name: str, values: np.ndarray, low: int) -> None:
    wrong = ~(values >= low) | (values == float("inf"))
    if wrong.any():
        row = int(wrong.argmax())
        raise TraceError(f"trace: {name} is {values[row]} in row {row}; it must be finite and at least {low}")
