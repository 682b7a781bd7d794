"""How long each machine takes to migrate at each share of a link, tabulated from the fast engine.

The progress of a migration at share ``b`` is ``s(b) = 1 / T(b)`` a second, ``T`` the total migration time that the
engine predicts for a link of that speed; a migration under a changing share ends when the integral of ``s`` is 1.
A machine that dirties faster than its share never ends: ``s`` is 0 below its critical share.
"""

from __future__ import annotations

import dataclasses
import math
import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from migkit import jit
from migkit.errors import UsageError
from migkit.models.bulk.many import predict_many
from migkit.models.goodput import path
from migkit.scenario import Guest, Link, Scenario

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Durations", "asked", "demand", "tabulate"]

KNOTS: Final = 14
_WORTH_COMPILING: Final = 8  # machines; near its critical share one takes many rounds
_SLOW_S: Final = 0.2  # of one machine in plain Python; the rules of some managers take far longer than others
_PIECE: Final = 4096  # machines that one thread predicts at a time
_SMALLEST: Final = 1 / 2048  # share of the largest rate; below it the speed is in proportion to the share
_HALVINGS: Final = 9  # the critical share is known within 1.5 %
_EFFICIENT: Final = 1.05  # a share at which a migration sends at most this many times the fewest bytes
_SHARES: Final = np.linspace(0.0, 1.0, KNOTS) ** 2.5  # dense where speeds bend; linear between knots within 0.4 %


@dataclasses.dataclass(frozen=True)
class Durations:
    """Progress over share for each machine.

    Attributes
    ----------
    rates_bytes_per_s
        Shares at the knots, ascending; the first is the least at which the machine ends. Shape (machines, knots).
    speeds_per_s
        Progress a second at the knots, rising; all 0 where the machine never ends.
    proportional
        True: the machine ends at any share, and below the first knot its speed is in proportion to it.
    """

    rates_bytes_per_s: np.ndarray
    speeds_per_s: np.ndarray
    proportional: np.ndarray

    def of(self, machines: np.ndarray) -> Durations:
        """Return the same of some machines."""
        return Durations(self.rates_bytes_per_s[machines], self.speeds_per_s[machines], self.proportional[machines])

    @property
    def ends(self) -> np.ndarray:
        """Whether each machine ends when it has a link to itself."""
        return np.asarray(self.speeds_per_s[:, -1] > 0)

    @property
    def shortest_s(self) -> np.ndarray:
        """Time of each machine alone [s]."""
        return self.at(np.full(len(self.speeds_per_s), math.inf))

    def speed(self, machine: int, share_bytes_per_s: float) -> float:
        """Return the progress a second of one machine at a share: linear between knots.

        Examples
        --------
        >>> one = Durations(np.array([[1.0, 2.0]]), np.array([[0.1, 0.2]]), np.array([True]))
        >>> one.speed(0, 1.5), one.speed(0, 0.5), one.speed(0, 9.0)
        (0.15..., 0.05, 0.2)
        """
        rates, speeds = self.rates_bytes_per_s[machine], self.speeds_per_s[machine]
        if share_bytes_per_s >= rates[0]:
            return float(np.interp(share_bytes_per_s, rates, speeds))
        return float(speeds[0] * share_bytes_per_s / rates[0]) if self.proportional[machine] else 0.0

    def at(self, shares_bytes_per_s: np.ndarray) -> np.ndarray:
        """Return the time of each machine at its share [s]; infinite where it never ends."""
        speeds = np.array([self.speed(row, share) for row, share in enumerate(shares_bytes_per_s)])
        with np.errstate(divide="ignore"):
            return np.asarray(1.0 / speeds)

    def fewest_bytes(self, most_bytes_per_s: np.ndarray) -> np.ndarray:
        """Return the least that each machine takes of a link, ``min b / s(b)`` over shares up to a most [B].

        Between two knots ``b / s(b)`` is monotone, so that the least is at a knot or at the most itself.
        """
        rates, speeds = self.rates_bytes_per_s, self.speeds_per_s
        edge = np.array([self.speed(row, most) for row, most in enumerate(most_bytes_per_s)])
        with np.errstate(divide="ignore", invalid="ignore"):
            knots = np.where((rates <= most_bytes_per_s[:, None]) & (speeds > 0), rates / speeds, math.inf)
            return np.asarray(np.minimum(knots.min(axis=1), np.where(edge > 0, most_bytes_per_s / edge, math.inf)))

    def efficient_bytes_per_s(self) -> np.ndarray:
        """Return the least share at which each machine sends at most 1.05 times the fewest bytes [B/s]."""
        with np.errstate(divide="ignore", invalid="ignore"):
            sent = np.where(self.speeds_per_s > 0, self.rates_bytes_per_s / self.speeds_per_s, math.inf)
        good = sent <= _EFFICIENT * sent.min(axis=1, keepdims=True)
        first = np.argmax(good, axis=1)
        least = self.rates_bytes_per_s[np.arange(len(sent)), first]
        return np.where(self.proportional & (first == 0), 0.0, least)


def demand(base: Scenario, link_bytes_per_s: float) -> float:
    """Return the most that one migration takes of a link: the least of link, hosts and the policy's cap [B/s].

    Examples
    --------
    >>> demand(Scenario(guest=Guest(memory_bytes=2**30)), 1e9) == 128 * 2**20
    True
    """
    case = dataclasses.replace(base, link=_link(base, link_bytes_per_s))
    return float(min(path(case), base.policy.max_bandwidth_bytes_per_s))


def tabulate(vms: pd.DataFrame, base: Scenario, link_bytes_per_s: float) -> Durations:
    """Return the durations of machines over shares of links of at most ``link_bytes_per_s``.

    Parameters
    ----------
    vms
        As in :class:`migkit.planning.inventory.Inventory`.
    base
        Policy, strategy, hosts and the round trip; its guest and its bandwidth do not count.
    link_bytes_per_s
        The fastest link [B/s].

    Raises
    ------
    UsageError
        There are no machines, or one is no guest.
    """
    most = demand(base, link_bytes_per_s)
    if not 0 < most < math.inf:
        raise UsageError(f"link: {most:g} B/s cannot be shared; give hosts a finite link above 0")
    if len(vms) >= _WORTH_COMPILING:
        jit.compile_kernels()
    frame, base = asked(vms, base, link_bytes_per_s)
    if not jit.are_compiled():
        _compile_if_slow(frame, base, most * _SMALLEST)
    least, proportional = _critical(frame, base, most)
    rates = least[:, None] * (most / least[:, None]) ** _SHARES
    rates[:, -1] = most
    speeds = np.stack([_speeds(frame, base, column) for column in rates.T], axis=1)
    speeds = np.minimum.accumulate(speeds[:, ::-1], axis=1)[:, ::-1]
    return Durations(rates, np.ascontiguousarray(speeds), proportional)


def _link(base: Scenario, bytes_per_s: float) -> Link:
    return dataclasses.replace(
        base.link, bandwidth_bytes_per_s=bytes_per_s, background_bytes_per_s=0.0, migrations=1, steps=()
    )


def asked(vms: pd.DataFrame, base: Scenario, link_bytes_per_s: float) -> tuple[pd.DataFrame, Scenario]:
    """Return what the engine is asked: its columns of machines, and what they have in common.

    Parameters
    ----------
    vms, base, link_bytes_per_s
        As for :func:`tabulate`.

    Examples
    --------
    >>> from migkit.planning.inventory import read_machines
    >>> vms = read_machines([{"vm": "web", "host": "a", "memory": "4 GiB"}])
    >>> list(asked(vms, Scenario(guest=Guest(memory_bytes=2**30)), 1e9)[0])[:2]
    ['memory_bytes', 'zero_bytes']
    """
    names = [name for name in vms if name in ("memory_bytes", "zero_bytes") or str(name).startswith("dirty_")]
    frame = vms[names].copy()
    if vms["downtime_limit_s"].notna().any():
        frame["downtime_limit_s"] = vms["downtime_limit_s"].fillna(base.policy.downtime_limit_s)
    if (vms["local_disk_bytes"] > 0).any():
        frame["storage_bytes"] = vms["local_disk_bytes"]
    return frame, dataclasses.replace(base, guest=Guest(memory_bytes=4096), link=_link(base, link_bytes_per_s))


def _speeds(frame: Any, base: Scenario, rates_bytes_per_s: np.ndarray) -> np.ndarray:
    """Return the progress a second of each machine on a link of its rate; 0 where it never ends."""
    frame = frame.assign(bandwidth_bytes_per_s=rates_bytes_per_s)
    pieces = [frame.iloc[at : at + _PIECE] for at in range(0, len(frame), _PIECE)]
    if len(pieces) == 1:
        return _piece(frame, base)
    with ThreadPoolExecutor(os.process_cpu_count() if hasattr(os, "process_cpu_count") else os.cpu_count()) as pool:
        return np.concatenate(list(pool.map(lambda one: _piece(one, base), pieces)))


def _compile_if_slow(frame: Any, base: Scenario, rate_bytes_per_s: float) -> None:
    """Compile kernels as soon as one machine takes long in plain Python at the least share."""
    for row in range(len(frame)):
        began_s = time.process_time()
        _speeds(frame.iloc[row : row + 1], base, np.array([rate_bytes_per_s]))
        if time.process_time() - began_s > _SLOW_S:
            jit.compile_kernels()
            return


def _piece(frame: Any, base: Scenario) -> np.ndarray:
    done = predict_many(frame, base)
    total_s = done["total_time_s"].to_numpy()
    good = (done["verdict"] == "converges").to_numpy() & np.isfinite(total_s)
    return np.where(good, 1.0 / np.where(good, np.maximum(total_s, 1e-9), 1.0), 0.0)


def _critical(frame: Any, base: Scenario, most: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the least share at which each machine ends, by bisection [B/s], and whether it ends at any."""
    rows = len(frame)
    low, high = np.full(rows, most * _SMALLEST), np.full(rows, most)
    proportional = _speeds(frame, base, low) > 0
    seek = ~proportional
    for _ in range(_HALVINGS if seek.any() else 0):
        middle = np.sqrt(low[seek] * high[seek])
        ended = _speeds(frame[seek], base, middle) > 0
        high[seek] = np.where(ended, middle, high[seek])
        low[seek] = np.where(ended, low[seek], middle)
    return np.where(proportional, most * _SMALLEST, high), proportional
