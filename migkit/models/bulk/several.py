"""A few scenarios that differ in numbers only, predicted at once: the points of a search or of a curve."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from migkit import jit
from migkit.models.bulk.many import WORDS, predict_some
from migkit.models.bulk.wishes import Wish
from migkit.models.predict import predict
from migkit.models.result import Prediction
from migkit.models.spread.change import changed
from migkit.scenario import Scenario

__all__ = ["Outcome", "predict_several"]

_FEW: Final = 3  # scenarios that are predicted one by one as quickly
_NO_BOUNDS: Final = Wish(None, None, 0)


class Outcome(NamedTuple):
    """What :class:`migkit.models.result.Prediction` says in one word or number, under its names."""

    verdict: str
    total_time_s: float
    downtime_s: float
    transferred_bytes: float
    guest_slowdown: float


def predict_several(cases: Sequence[Scenario]) -> list[Outcome]:
    """Return what :func:`migkit.models.predict.predict` says of each scenario, to the last bit.

    Scenarios of one shape go through the compiled engine together. Others, and those of a process whose kernels are
    plain Python, go one by one.

    Raises
    ------
    UsageError
        As in :func:`migkit.models.predict.predict`.

    Examples
    --------
    >>> from migkit import Guest, Policy
    >>> cases = [Scenario(guest=Guest(memory_bytes=2**30), policy=Policy(max_bandwidth_bytes_per_s=b))
    ...          for b in (1e8, 2e8)]
    >>> [round(one.total_time_s, 2) for one in predict_several(cases)]
    [10.49, 5.17]
    """
    together = _together(cases) if len(cases) > _FEW and jit.are_compiled() else None
    if together is None:
        return [_outcome(predict(case, level=None, detail=False)) for case in cases]
    out: dict[str, Any] = _Columns(len(cases))
    predict_some(together, jit.callback(together.policy.decider), np.arange(len(cases)), _NO_BOUNDS, out)
    out["verdict"] = [WORDS["verdict"][int(code)] for code in out["verdict"]]
    numbers = (out[name].tolist() for name in Outcome._fields[1:])
    return [Outcome(*values) for values in zip(out["verdict"], *numbers, strict=True)]


class _Columns(dict[str, Any]):
    """Columns of numbers, each made when it is asked for first."""

    def __init__(self, rows: int) -> None:
        super().__init__()
        self._rows = rows

    def __missing__(self, name: str) -> np.ndarray:
        made = self[name] = np.zeros(self._rows)
        return made


def _outcome(result: Prediction) -> Outcome:
    return Outcome(*(getattr(result, name) for name in Outcome._fields))


def _together(cases: Sequence[Scenario]) -> Scenario | None:
    """Return one scenario whose numbers are arrays where they differ; None where something else differs."""
    first = cases[0]
    if any(len(case.guest.dirty) != len(first.guest.dirty) for case in cases):
        return None
    parts = {
        field.name: _merged([getattr(case, field.name) for case in cases]) for field in dataclasses.fields(first)
    }
    dirty = tuple(_merged(list(classes)) for classes in zip(*(case.guest.dirty for case in cases), strict=True))
    if any(part is None for part in (*parts.values(), *dirty)):
        return None
    return changed(first, parts | {"guest": changed(parts["guest"], {"dirty": dirty})})


def _merged(records: list[Any]) -> Any:
    """Return one record of many of its kind, or None."""
    first = records[0]
    columns: dict[str, np.ndarray] = {}
    for field in dataclasses.fields(first):
        if field.name == "dirty" or all(record is first for record in records):
            continue
        values = [getattr(record, field.name) for record in records]
        if all(value == values[0] for value in values):
            continue
        if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
            return None
        columns[field.name] = np.array(values, dtype=np.float64)
    return changed(first, columns)
