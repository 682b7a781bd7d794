"""One migration of any strategy, and many: pre-copy, then post-copy where the policy or the strategy ends in it."""

from __future__ import annotations

from typing import Any

import numpy as np

from migkit.kernels import layout, policy, postcopy, precopy
from migkit.kernels._jit import jit

__all__ = ["migrate_many", "migrate_one"]


@jit
def migrate_one(
    record: np.ndarray,
    steps: np.ndarray,
    parameters: np.ndarray,
    state: np.ndarray,
    run: np.ndarray,
    work: np.ndarray,
    result: np.ndarray,
    rounds: np.ndarray,
    line: np.ndarray,
    rule: Any,
) -> None:
    """Predict one migration; the arguments are those of :func:`migkit.kernels.precopy.precopy_one`."""
    precopy.precopy_one(record, steps, parameters, state, run, work, result, rounds, line, rule)
    if result[layout.ACTION] == policy.POSTCOPY:
        postcopy.postcopy_one(record, run, work, result, line)


@jit
def migrate_many(
    records: np.ndarray,
    stride: int,
    steps: np.ndarray,
    parameters: np.ndarray,
    results: np.ndarray,
    rule: Any,
) -> None:
    """Predict many migrations; the arguments are those of :func:`migkit.kernels.precopy.precopy_many`."""
    state = np.zeros(policy.STATE_SLOTS)
    run = np.zeros(precopy.RUN_SLOTS)
    work = np.zeros(precopy.WORK_SLOTS)
    empty = np.zeros(0)
    for k in range(records.size // stride):
        migrate_one(
            records[k * stride : (k + 1) * stride],
            steps,
            parameters[k * policy.PARAMETER_SLOTS : (k + 1) * policy.PARAMETER_SLOTS],
            state,
            run,
            work,
            results[k * layout.RESULT_SLOTS : (k + 1) * layout.RESULT_SLOTS],
            empty,
            empty,
            rule,
        )
