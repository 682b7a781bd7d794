"""The constants of an installation, fitted to its own migrations.

Weighted least squares with non-negative constants (``scipy.optimize.least_squares``, trust
region reflective, soft L1 loss so that one disturbed run does not decide) over the blocks of
:mod:`migkit.calibrate.observe`. Standard errors come from the Jacobian at the solution:
``cov = s^2 (J^T W J)^-1`` with W the weights of the loss and ``s^2`` the weighted residual
variance. What the traces cannot tell is not fitted: it keeps its default, and the calibration
says which run to add.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from migkit.calibrate.identify import INVERSES, REMEDIES, identified
from migkit.calibrate.log_costs import ABSORBED, log_costs, with_downtimes
from migkit.calibrate.observe import ENCODINGS, Block, blocks
from migkit.calibrate.repeats import refuse_repeats, same_log, same_trace
from migkit.errors import InfeasibleError, UsageError
from migkit.scenario import Host, Scenario
from migkit.scenario.installation.typical import Estimate, Typical
from migkit.units import format_rate

if TYPE_CHECKING:
    from migkit.importers import Log
    from migkit.traces import Trace

__all__ = ["FITTED", "Calibration", "fit"]

FITTED: Final = (
    "page_header_bytes",
    "zero_page_bytes",
    "sync_base_s",
    "sync_per_page_s",
    "goodput_bytes_per_s",
    "zero_page_cpu_s",
    "load_s",
    "setup_s",
    "quiesce_s",
    "resume_s",
    "release_s",
    "write_fault_s",
    *(f"{name}_bytes_per_s" for name in ENCODINGS),
    "postcopy_bytes_per_s",
    "postcopy_zero_page_cpu_s",
    "fault_service_s",
    "register_per_page_s",
)
_ONLY_LOGS: Final = "logs of other tools do not tell it apart; add a run captured by migkit qemu capture"
_LIKE: Final = ("kernel", "processor", "processors", "tracker", "qemu_version", "accelerator")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Fitted constants and how well they are known.

    Attributes
    ----------
    host
        The constants; those that were not fitted have the values of ``base``. Those that traces of migkit tell are
        drawn with their errors in the interval of a prediction.
    constants
        Names of those that were fitted, in the order of ``covariance``.
    standard_errors
        Of each of them, in its own unit.
    covariance
        Of their estimates, rows as tuples.
    identified_by
        Which measurements told each of them.
    refused
        What the traces cannot tell, and which run to add.
    residuals
        Of each block, in units of its expected scatter.
    runs
        Number of traces.
    kind
        Where they were measured.
    """

    host: Host
    constants: tuple[str, ...]
    standard_errors: Mapping[str, float]
    covariance: tuple[tuple[float, ...], ...]
    identified_by: Mapping[str, str]
    refused: Mapping[str, str]
    residuals: Mapping[str, tuple[float, ...]]
    runs: int
    kind: str

    def scenario(self, scenario: Scenario) -> Scenario:
        """Return ``scenario`` on the calibrated hosts."""
        return dataclasses.replace(scenario, host=self.host)

    def draw(self, rng: np.random.Generator) -> Host:
        """Return constants drawn from the distribution of their estimates."""
        mean = np.array([getattr(self.host, name) for name in self.constants])
        values = rng.multivariate_normal(mean, np.array(self.covariance)) if self.constants else mean
        kept: dict[str, Any] = {
            name: max(float(v), 0.05 * m) for name, v, m in zip(self.constants, values, mean, strict=True)
        }
        return dataclasses.replace(self.host, **kept)


class _Solution(NamedTuple):
    values: np.ndarray
    covariance: np.ndarray
    residuals: np.ndarray
    variance: float


def fit(
    traces: Sequence[Trace | str | os.PathLike[str]],
    *,
    require: Sequence[str] = (),
    base: Host | None = None,
    logs: Sequence[Log] = (),
) -> Calibration:
    """Fit the constants of :class:`migkit.scenario.Host` to real runs of one installation.

    Parameters
    ----------
    traces
        Runs on the same machines with the same software: traces, or the paths of their files.
    require
        Constants that must be fitted; default: all that the traces can tell.
    base
        Values of what is not fitted; default: those of the first trace's scenario.
    logs
        Imported logs of the same installation. What they tell has precedence over runs of the harness, whose
        software is another.

    Returns
    -------
    Calibration
        Constants [their units stand in their names], standard errors, covariance, residuals.

    Raises
    ------
    UsageError
        No traces, the same run twice, unlike machines, or a constant in ``require`` that no run can tell.
    InfeasibleError
        A constant in ``require`` that these traces do not tell; it says which run to add.

    Examples
    --------
    >>> fit([])
    Traceback (most recent call last):
    migkit.errors.UsageError: calibration: no traces were given; capture some with `migkit capture -o run.parquet`
    """
    return _fit(list(map(_trace, traces)), require, base, logs)


def _trace(given: Trace | str | os.PathLike[str]) -> Trace:
    """Return a trace as it is, or what its file holds."""
    if not isinstance(given, str | os.PathLike):
        return given
    from migkit.traces import io

    return io.read(Path(given))


def _fit(traces: Sequence[Trace], require: Sequence[str], base: Host | None, logs: Sequence[Log]) -> Calibration:
    _check_alike(traces, logs)
    _check_names(require)
    systems = blocks(traces)
    told = identified(systems, traces)
    others = log_costs(logs)
    untold = dict(told.refused) if traces else dict.fromkeys(told.refused, _ONLY_LOGS)
    known = others.told | told.constants
    refused = {name: why for name, why in (untold | others.refused).items() if name not in known}
    for name in require:
        if name in refused:
            raise InfeasibleError(f"calibration: {name} cannot be fitted: {refused[name]}")
    pool = _Pool(base or _base(traces, logs))
    for block in others.blocks:
        pool.solve(block, others.told, is_drawn=False)  # the moments of readings cancel over a whole run
    for block in systems:
        pool.solve(block, told.constants)
    kinds = sorted({trace.kind for trace in traces} | ({"imported"} if logs else set()))
    found = pool.calibration(refused, len(traces) + len(logs), " and ".join(kinds))
    if "load_s" in found.constants:  # fitted to all of a downtime but its pages
        found = dataclasses.replace(found, host=_absorbing(found.host))
    if not logs:
        return found
    found = _at_least_pushed(found)
    return dataclasses.replace(found, host=with_downtimes(found.host, logs))


def _absorbing(host: Host) -> Host:
    """Return hosts without those parts of a downtime that nobody stated: the load that was fitted holds them."""
    parts: dict[str, Any] = {name: value for name, value in ABSORBED.items() if type(getattr(host, name)) is Typical}
    return dataclasses.replace(host, **parts)


def _at_least_pushed(found: Calibration) -> Calibration:
    """Return constants whose goodput is no less than what post-copy pushed over one stream, where no run tells it.

    Both send pages of the same source; a page of the push is placed at once besides.
    """
    pushed = found.host.postcopy_bytes_per_s
    if "goodput_bytes_per_s" in found.constants or not found.host.goodput_bytes_per_s < pushed < math.inf:
        return found
    why = found.refused["goodput_bytes_per_s"]
    least = f"at least what post-copy pushed, {format_rate(pushed)}, which is taken; {why}"
    return dataclasses.replace(
        found,
        host=dataclasses.replace(found.host, goodput_bytes_per_s=pushed),
        refused=dict(found.refused) | {"goodput_bytes_per_s": least},
    )


def _base(traces: Sequence[Trace], logs: Sequence[Log]) -> Host:
    """Return the hosts before anything is fitted: those of the first run, of the harness only where it is alone."""
    if logs or not traces:
        return Host()
    host = traces[0].scenario.host
    if traces[0].kind == "harness":
        return host.sends_as_harness()
    return dataclasses.replace(
        host, platform="qemu-kvm" if traces[0].machine.get("accelerator") == "kvm" else "qemu-tcg"
    )


class _Pool:
    """Collects the solutions of the blocks; what one block told, the next takes as known."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self._known: dict[str, float] = {}
        self._variance: dict[str, float] = {}
        self._parts: list[tuple[tuple[str, ...], np.ndarray]] = []
        self._sources: dict[str, str] = {}
        self._drawn: set[str] = set()
        self._scatter: dict[str, float] = {}
        self._residuals: dict[str, tuple[float, ...]] = {}

    def solve(self, block: Block, wanted: frozenset[str], *, is_drawn: bool = True) -> None:
        """Fit what a block tells; predictions draw its constants with their errors, or take them as exact."""
        for name in block.constants:
            if name in self._known:
                block = block.without(name, self._known[name])
            elif name not in wanted:
                block = block.without(name, _default(self.host, name))
        if not block.constants or not block.observed.size:
            return
        solution = _least_squares(block)
        names, values, covariance = _in_host_terms(block.constants, solution)
        self._known |= dict(zip(block.constants, solution.values.tolist(), strict=True))
        self._known |= dict(zip(names, values.tolist(), strict=True))
        self._residuals[block.name] = tuple(solution.residuals.tolist())
        keep = [i for i, name in enumerate(names) if name in FITTED]
        if keep:
            self._parts.append((tuple(names[i] for i in keep), covariance[np.ix_(keep, keep)]))
            self._drawn |= {names[i] for i in keep if is_drawn}
            self._scatter |= dict.fromkeys((names[i] for i in keep), math.sqrt(solution.variance) * block.share_off)
            self._sources |= dict.fromkeys((names[i] for i in keep), f"{block.observed.size} rows: {block.source}")

    def calibration(self, refused: Mapping[str, str], runs: int, kind: str) -> Calibration:
        """Return all of it."""
        constants = tuple(name for names, _ in self._parts for name in names)
        covariance = np.zeros((len(constants), len(constants)))
        at = 0
        for names, part in self._parts:
            covariance[at : at + len(names), at : at + len(names)] = part
            at += len(names)
        errors = np.sqrt(np.diag(covariance)).tolist()
        fitted: dict[str, Any] = {name: self._known[name] for name in constants}
        for names, part in self._parts:
            for name, error in zip(names, _drawn_apart(part), strict=True):
                if name in self._drawn:
                    fitted[name] = _estimate(fitted[name], error, self._scatter[name], self._sources[name])
        return Calibration(
            host=dataclasses.replace(self.host, **fitted),
            constants=constants,
            standard_errors=dict(zip(constants, errors, strict=True)),
            covariance=tuple(map(tuple, covariance.tolist())),
            identified_by=self._sources,
            refused=dict(refused),
            residuals=self._residuals,
            runs=runs,
            kind=kind,
        )


def _drawn_apart(covariance: np.ndarray) -> list[float]:
    """Return the errors with which constants of one block are drawn apart from each other.

    Of all independent normal distributions those with variances ``1 / (C^-1)_ii`` are nearest to the joint one with
    covariance C (least Kullback-Leibler divergence; Bishop 2006, section 10.1.2). The standard errors themselves
    would make a sum uncertain that a run tells well, such as that of a load and of the time of the last pages.
    """
    alone = np.sqrt(np.maximum(np.diag(covariance), 1e-300))
    correlation = covariance / np.outer(alone, alone)
    errors: list[float] = (alone / np.sqrt(np.maximum(np.diag(np.linalg.pinv(correlation)), 1.0))).tolist()
    return errors


def _estimate(value: float, error: float, scatter: float, source: str) -> Estimate:
    """Return a fitted constant as predictions draw it; one that is lost in its error is no wider than a factor e.

    The error says how well the mean is known; the next run is off by its own scatter besides (Draper and Smith,
    Applied Regression Analysis, section 1.4: the variance of a new observation).
    """
    spread = min(1.0, math.hypot(error / value, scatter)) if value > 0.0 else 0.0
    return Estimate(value, spread, source)


def _default(host: Host, name: str) -> float:
    """Return what a constant of a block is when it is not fitted."""
    return 1.0 / getattr(host, INVERSES[name]) if name in INVERSES else float(getattr(host, name))


def _least_squares(block: Block) -> _Solution:
    from scipy.optimize import least_squares

    weighted = block.design / block.scatter[:, None]
    target = block.observed / block.scatter
    scale = 1.0 / np.maximum(np.linalg.norm(weighted, axis=0), 1e-300)
    start = np.maximum(np.linalg.lstsq(weighted * scale, target, rcond=None)[0] * scale, 0.0)
    soft = _spread(weighted @ start - target)

    def off(scaled: np.ndarray) -> np.ndarray:
        residuals: np.ndarray = (weighted * scale) @ scaled - target
        return residuals

    found = least_squares(
        off,
        start / scale,
        bounds=(0.0, np.inf),
        loss="soft_l1",
        f_scale=soft,
        xtol=1e-12,
        ftol=1e-12,
        gtol=1e-12,
    )
    values = np.where(found.x < 1e-6, 0.0, found.x) * scale  # it explains less than that of one row's scatter
    residuals = weighted @ values - target
    covariance, variance = _covariance(weighted * scale, residuals, soft)
    return _Solution(values, covariance * np.outer(scale, scale), residuals, variance)


def _spread(residuals: np.ndarray) -> float:
    """Return three robust standard deviations (1.4826 times the median absolute residual)."""
    return float(max(3.0 * 1.4826 * np.median(np.abs(residuals)), 1e-6))


def _covariance(design: np.ndarray, residuals: np.ndarray, soft: float) -> tuple[np.ndarray, float]:
    """Return ``s^2 (J^T W J)^-1`` and ``s^2``, with the weights W of the soft L1 loss, ``(1 + (r / f)^2)^-1/2``.

    The expected scatter, 1, counts as one spare row: few rows that happen to agree are not known better than each
    could be measured. Without spare rows ``s^2`` is 1, and with many it is theirs.
    """
    weights = 1.0 / np.sqrt(1.0 + (residuals / soft) ** 2)
    spare = residuals.size - design.shape[1]
    off = float(weights @ residuals**2)
    variance = max(off / spare, (1.0 + off) / (1.0 + spare)) if spare > 0 else 1.0
    inverse: np.ndarray = np.linalg.pinv(design.T @ (design * weights[:, None]))
    return inverse * variance, variance


def _in_host_terms(constants: tuple[str, ...], solution: _Solution) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    """Return names, values and covariance with speeds in place of their inverses (delta method)."""
    names, values, slopes = list(constants), solution.values.copy(), np.ones(solution.values.size)
    for at, name in enumerate(constants):
        if name not in INVERSES:
            continue
        names[at] = INVERSES[name]
        slope = max(values[at], 1e-15)
        values[at], slopes[at] = 1.0 / slope, -1.0 / slope**2
    return tuple(names), values, solution.covariance * np.outer(slopes, slopes)


def _check_alike(traces: Sequence[Trace], logs: Sequence[Log]) -> None:
    if not traces and not logs:
        raise UsageError("calibration: no traces were given; capture some with `migkit capture -o run.parquet`")
    first = traces[0] if traces else None
    for trace in traces[1:]:
        assert first is not None
        facts: list[tuple[str, Any, Any]] = [("kind", first.kind, trace.kind)]
        facts += [(fact, first.machine.get(fact), trace.machine.get(fact)) for fact in _LIKE]
        for fact, one, other in facts:
            if one != other:
                raise UsageError(
                    f"calibration: traces differ in {fact} ({one} and {other}); calibrate each installation apart"
                )
    refuse_repeats("calibration", traces, same_trace)
    refuse_repeats("calibration", logs, same_log)


def _check_names(require: Sequence[str]) -> None:
    for name in require:
        if name not in REMEDIES:
            raise UsageError(f"calibration: {name} is no constant that runs tell; use one of {', '.join(FITTED)}")
