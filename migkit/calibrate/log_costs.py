"""What logs of other tools say of the hosts: the same rows that traces give, where a log has the counters.

=========  ====================================================================================
block      row
=========  ====================================================================================
capped     time of pre-copy under a cap, less full pages at the steady speed = zero pages in a row x c
push       time between two readings of post-copy = bytes of full pages / push speed + zero pages x (c + c')
path       downtime = bytes sent while the guest stood / goodput + load
setup      set-up as the source counts it
service    latency of a fault as the destination counts it
=========  ====================================================================================

Under a cap the sender waits, and zero pages that pass meanwhile cost nothing. The cost in ``capped`` is that of such
a sender; without a cap the same pages may cost more. A final pass tells the goodput only beside others of another
size: one alone could be fast and have a long load, or the other way round.

A downtime is ``sent while the guest stood / goodput + F``, with ``F`` all that is not pages. Downtimes of one size
tell the sum only, and never the goodput. With the goodput as it is known without them they tell ``F``: the median of
the posterior of a log-normal prior (:mod:`migkit.scenario.installation.platforms`), given that very goodput, so that
passes of the same size are predicted as they were measured. The spread is that of the posterior with a goodput as
uncertain as it is. Post-copy sends no pages while the guest stands, so its downtimes are ``F`` itself.

From run to run a downtime is off by a few percent as a rule and by a factor of 2 to 4 now and then, when disks have
much to flush: its logarithm is off as Student's t with 2 degrees of freedom
(:data:`migkit.models.spread.interval.DOWNTIME_SCATTER`). One long downtime alone does not decide.
Where enough runs tell ``F`` each, predictions draw it as these runs differed.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from migkit.calibrate import conditions
from migkit.calibrate.observe import Block
from migkit.models.spread.interval import DOWNTIME_SCATTER
from migkit.scenario import Host
from migkit.scenario.guest import ZERO_AT_END, ZERO_AT_START
from migkit.scenario.installation.typical import Estimate, Typical
from migkit.units import PAGE_BYTES, format_rate, format_size

if TYPE_CHECKING:
    from migkit.importers import Log

__all__ = ["ABSORBED", "PARTS_SPREAD", "LogCosts", "log_costs", "with_downtimes"]

_WIRE_BYTES: Final = PAGE_BYTES + 8.0
_MANY: Final = 1024.0  # pages of a kind that must pass to tell their cost
_FEW: Final = 8  # readings of which less do not tell a steady speed
_WINDOW_S: Final = 0.03  # where in a window of 100 ms pre-copy began and ended
_PASSES: Final = 3  # final passes, and
_APART: Final = 1.5  # by how much they must differ in size, to tell goodput from load
_STEPS: Final = 3  # of a push, of which less tell no more than their sum
_MOMENT_S: Final = 0.005  # what the moment of a reading may be off by
_COUNTED_S: Final = 5e-4  # QEMU counts in whole milliseconds
ABSORBED: Final = {  # parts that a downtime holds beside its pages: they are all in the load once that is known
    **dict.fromkeys(("stop_s", "stop_per_vcpu_s", "flush_disks_s", "resume_s", "machine_state_bytes"), 0.0),
    **dict.fromkeys(("sync_base_s", "sync_per_page_s"), 0.0),
}
PARTS_SPREAD: Final = 0.8  # of all parts together, from one host to another
_ONE_BY_ONE: Final = 5  # runs of which the first and the last lie beyond the bounds at 90 % of n equal parts
_GRID: Final = np.linspace(-5.0, 5.0, 401)  # standard deviations of the prior
_GOODPUTS: Final = np.linspace(-2.4, 2.4, 13)  # likewise

Row = tuple[Sequence[float], float, float]


class LogCosts(NamedTuple):
    """Blocks of rows, the constants that they tell, and why others stay untold."""

    blocks: tuple[Block, ...]
    told: frozenset[str]
    refused: dict[str, str]


def log_costs(logs: Sequence[Log]) -> LogCosts:
    """Return what ``logs`` say of the hosts.

    Examples
    --------
    >>> log_costs([]).told
    frozenset()
    """
    if not logs:
        return LogCosts((), frozenset(), {})
    found = [
        _block("capped", ("zero_page_cpu_s",), _each(logs, _capped), "pre-copies under a cap"),
        _block(
            "push",
            ("seconds_per_pushed_byte", "zero_page_cpu_s", "postcopy_zero_page_cpu_s"),
            _each(logs, _pushed),
            "readings of post-copy",
        ),
        _block("path", ("seconds_per_byte", "zero_page_cpu_s", "load_s"), _each(logs, _final), "final passes"),
        _block("setup", ("setup_s",), _mean(_each(logs, _setup)), "the set-up of each migration"),
        _block("service", ("fault_service_s",), _mean(_each(logs, _service)), "the latency of faults in post-copy"),
    ]
    refused: dict[str, str] = {}
    told: set[str] = set()
    for block in found:
        names, why = _judged(block, logs)
        told |= names
        refused |= why
    return LogCosts(tuple(b for b in found if b.observed.size), frozenset(told), refused)


def _block(name: str, constants: tuple[str, ...], rows: Sequence[Row], source: str) -> Block:
    design = np.array([row for row, _, _ in rows], float).reshape(len(rows), len(constants))
    return Block(name, constants, design, np.array([y for _, y, _ in rows]), np.array([s for *_, s in rows]), source)


def _each(logs: Sequence[Log], rows: Any) -> list[Row]:
    return [row for log in logs if log.kind == "migration" for row in rows(log)]


def _mean(rows: Sequence[Row]) -> list[Row]:
    """Return one row for all: counts in whole milliseconds that agree are not known better than these."""
    if not rows:
        return []
    values, scatter = np.array([y for _, y, _ in rows]), np.array([s for *_, s in rows])
    spread = math.hypot(float(np.std(values)), float(scatter.mean())) / math.sqrt(len(rows))
    return [(rows[0][0], float(values.mean()), spread)]


def _steps(log: Log, phase: str) -> list[tuple[float, float, float]]:
    """Return time, bytes of full pages and zero pages between readings of one phase."""
    frame = log.frame
    if not {"t_s", "normal_pages", "zero_pages"} <= set(frame.columns):
        return []
    inside = (frame["phase"] == phase).to_numpy()
    values = frame[["t_s", "normal_pages", "zero_pages"]].to_numpy(float)
    moved = np.diff(values, axis=0)[inside[:-1] & inside[1:]]
    moved = moved[np.isfinite(moved).all(axis=1) & (moved[:, 0] > 0) & (moved >= 0).all(axis=1)]
    return [(float(dt), float(full) * _WIRE_BYTES, float(zero)) for dt, full, zero in moved]


def _capped(log: Log) -> list[Row]:
    """Return what zero pages in a row cost a capped pre-copy, beside full pages at the speed of the other readings.

    Those that lie mixed with full pages cost nothing: they pass while the sender waits for its next window.
    """
    held, steps = conditions.of_log(log), np.array(_steps(log, "precopy"))
    if not held.steady or held.throttled or len(steps) < _FEW:
        return []
    plain = steps[steps[:, 2] * _WIRE_BYTES < steps[:, 1]]
    total_s, full_bytes, zero = steps.sum(axis=0).tolist()
    if len(plain) < _FEW or zero < _MANY:
        return []
    per_byte = plain[:, 0].sum() / plain[:, 1].sum()
    in_rows = zero * (ZERO_AT_START + ZERO_AT_END)
    return [((in_rows,), max(0.0, total_s - per_byte * full_bytes), _WINDOW_S)]


def _pushed(log: Log) -> list[Row]:
    """Return the steps of a push, and all of them as one: its time is known to the moments of two readings.

    Steps tell a full page from a zero page. In some of them the push stands still, which no page costs; a robust fit
    of steps alone leaves that out, and each push comes out too short by it.
    """
    steps = _steps(log, "postcopy")
    rows: list[Row] = [((full, zero, zero), dt, math.hypot(_MOMENT_S, 0.05 * dt)) for dt, full, zero in steps]
    if len(steps) < _STEPS:
        return rows
    dt, full, zero = np.sum(steps, axis=0).tolist()
    return [*rows, ((full, zero, zero), dt, _MOMENT_S)]


def _final(log: Log) -> list[Row]:
    """Return the downtime of a pre-copy that ended, with the bytes that were sent meanwhile."""
    frame, totals = log.frame, log.meta["totals"]
    if log.meta["outcome"] != "completed" or log.meta["postcopy"] or "downtime_bytes" not in frame:
        return []
    sent, down_s = float(frame["downtime_bytes"].max()), float(totals.get("downtime_s") or math.nan)
    if not (sent > 0 and math.isfinite(down_s)):
        return []
    return [((sent, 0.0, 1.0), down_s, math.hypot(_COUNTED_S, 0.1 * down_s))]


def _setup(log: Log) -> list[Row]:
    setup_s = log.meta["totals"].get("setup_s")
    return [] if setup_s is None else [((1.0,), float(setup_s), _COUNTED_S)]


def _service(log: Log) -> list[Row]:
    latency_s, faults = (log.meta["totals"].get(name) for name in ("postcopy_latency_s", "postcopy_faults"))
    if not latency_s or not faults:
        return []
    return [((1.0,), float(latency_s), float(latency_s) / math.sqrt(float(faults)) + 1e-5)]


def _judged(block: Block, logs: Sequence[Log]) -> tuple[set[str], dict[str, str]]:
    """Return the constants that a block tells, nuisances included, and why it does not tell others."""
    rows = block.observed.size
    if block.name == "capped":
        return ({"zero_page_cpu_s"} if rows else set(), {})
    if block.name == "push":
        told = rows > 2 and float(block.design[:, 0].sum()) >= 32 * 2**20
        names = {"seconds_per_pushed_byte", "postcopy_bytes_per_s"} if told else set()
        both = told and float(block.design[:, 1].sum()) >= _MANY and _unlike(block.design[:, :2])
        return (names | ({"postcopy_zero_page_cpu_s"} if both else set()), {})
    if block.name == "path":
        return _judged_path(block, logs)
    names = {"setup": {"setup_s"}, "service": {"fault_service_s"}}[block.name]
    return (names if rows else set(), {})


def _judged_path(block: Block, logs: Sequence[Log]) -> tuple[set[str], dict[str, str]]:
    sizes = block.design[:, 0]
    if sizes.size >= _PASSES and sizes.max() >= _APART * sizes.min():
        return {"seconds_per_byte", "goodput_bytes_per_s", "load_s"}, {}
    how = "no log counts what was sent while the guest stood"
    if sizes.size:
        how = f"{sizes.size} final passes of {_span(sizes)} cannot tell it from the load of the destination"
    held = [h for h in map(conditions.of_log, (log for log in logs if log.kind == "migration")) if h.steady]
    steady = (
        f"; pre-copy went at a steady {format_rate(held[0].speed_bytes_per_s)}, a cap or the link" if held else ""
    )
    add = "add a run without a cap, and runs of other downtime limits (100 ms and 1 s)"
    return set(), {"goodput_bytes_per_s": f"{how}{steady}; {add}", "load_s": f"{how}; {add}"}


def _span(sizes: Any) -> str:
    low, high = format_size(float(sizes.min())), format_size(float(sizes.max()))
    return low if low == high else f"{low} to {high}"


def _unlike(design: Any) -> bool:
    """Say whether readings mix full and zero pages unlike, so that the costs can be told apart."""
    columns = design / np.maximum(np.linalg.norm(design, axis=0), 1e-300)
    return bool(np.linalg.svd(columns, compute_uv=False)[-1] > 0.05)


def with_downtimes(host: Host, logs: Sequence[Log]) -> Host:
    """Return hosts whose load, where it is typical only, goes with the downtimes that logs report.

    Parameters
    ----------
    host
        Constants that are fitted, or typical.
    logs
        Imported logs of these hosts.

    Examples
    --------
    >>> from migkit.importers import read
    >>> from migkit.traces import data
    >>> log = read(data.data_path("kvm_database/postcopy-4t-1.json.gz"))[0]
    >>> round(with_downtimes(Host(), [log]).load_s, 4)
    0.0057

    A single final pass leaves the goodput as it was.

    >>> log = read(data.data_path("kvm_database/precopy-4t-1.json.gz"))[0]
    >>> with_downtimes(Host(), [log]).goodput_bytes_per_s == Host().goodput_bytes_per_s
    True
    """
    rows = [row for log in logs for row in _downtimes(log)]
    if not rows or not isinstance(host.load_s, Typical):
        return host
    sent, down_s = np.array(rows).T
    parts: dict[str, Any] = {"load_s": _parts_s(host, sent, down_s), **ABSORBED}
    return dataclasses.replace(host, **parts)


def _downtimes(log: Log) -> list[tuple[float, float]]:
    """Return the bytes that were sent while the guest stood and for how long it did, of a migration that ended."""
    totals = log.meta["totals"]
    down_s = float(totals.get("downtime_s") or math.nan)
    if log.kind != "migration" or log.meta["outcome"] != "completed" or not math.isfinite(down_s):
        return []
    if log.meta["postcopy"]:
        return [(0.0, down_s)]
    sent = float(log.frame["downtime_bytes"].max()) if "downtime_bytes" in log.frame else math.nan
    return [(sent, down_s)] if sent > 0.0 else []


def _parts_s(host: Host, sent: np.ndarray, down_s: np.ndarray) -> Estimate:
    """Return the posterior of what a downtime holds beside its pages [s]: its median and its spread."""
    usual_s = host.stop_s + host.flush_disks_s + host.load_s + host.resume_s
    pages_s = sent / host.goodput_bytes_per_s
    parts_s = usual_s * np.exp(PARTS_SPREAD * _GRID)
    unsure = _GOODPUTS * getattr(host.goodput_bytes_per_s, "spread", 0.0)
    given = _posterior(parts_s, pages_s, down_s)
    weights = np.exp(-0.5 * _GOODPUTS**2)
    any_goodput = weights @ np.array([_posterior(parts_s, pages_s * math.exp(off), down_s) for off in unsure])
    low, high = (_quantile(any_goodput, share) for share in (0.05, 0.95))
    spread = PARTS_SPREAD * (high - low) / (2.0 * 1.645)
    source = f"{down_s.size} downtimes, with what is typical"
    middle_s = usual_s * math.exp(PARTS_SPREAD * _quantile(given, 0.5))
    return Estimate(middle_s, spread, source, _factors((down_s - pages_s)[pages_s < 0.5 * down_s] / middle_s))


def _factors(off: np.ndarray) -> tuple[float, ...]:
    """Return by what each run differed, in ascending order; empty: too few runs tell that."""
    return tuple(np.sort(off).tolist()) if off.size >= _ONE_BY_ONE and off.min() > 0.0 else ()


def _posterior(parts_s: np.ndarray, pages_s: np.ndarray, down_s: np.ndarray) -> np.ndarray:
    """Return the density of the posterior on the grid, not normalised."""
    counted = _COUNTED_S / np.maximum(down_s, 2.0 * _COUNTED_S)
    off = np.log((parts_s[:, None] + pages_s) / np.maximum(down_s, _COUNTED_S)) / np.hypot(DOWNTIME_SCATTER, counted)
    density: np.ndarray = np.exp(-0.5 * _GRID**2 - 1.5 * np.log1p(off**2 / 2.0).sum(axis=1))
    return density


def _quantile(density: np.ndarray, share: float) -> float:
    """Return a quantile of a density on the grid."""
    below = np.cumsum(density) - 0.5 * density
    return float(np.interp(share * density.sum(), below, _GRID))
