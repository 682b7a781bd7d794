"""Scenarios drawn from what is known of one, or of each of many: the inputs of an interval.

Uncertain are

* the constants of the hosts that nobody stated, each by its own spread
  (:mod:`migkit.scenario.installation.platforms`);
* what a run of a known machine differs by from the next: the quota that a window really sends (of either version of
  QEMU, when it is not said which), the guest's write rates, where its sweeps and phases stand, the moments at which
  the sender takes notice, and how much of a link's rate is payload (a nominal Ethernet rate carries 94 % of TCP
  payload);
* how fast a host is as a whole: the stop of an idle guest takes 5 ms on one (DPDK's guide), 7 to 12 ms (V-Recover,
  post-copy), 22 ms (github.com/Sxmindu/Live-Migration) or 24 to 60 ms (published idle guests) on another, so that the
  parts of a downtime go together;
* whether a guest whose devices nobody named has a vhost-user backend that must connect anew;
* what a real guest does that no scenario holds (:mod:`migkit.models.spread.guests`).

What happens while the guest stands moves nothing but the end, so its draws are added to the engine's runs
(:func:`additions`); all else goes through the engine (:func:`drawn`).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from statistics import NormalDist
from typing import Any, Final, TypeVar

import numpy as np

from migkit.models.spread import guests
from migkit.models.spread.change import changed, names_of
from migkit.models.spread.hypercube import normals, uniforms
from migkit.scenario import DirtyClass, Host, Scenario, steady
from migkit.scenario.installation import downtime
from migkit.scenario.installation.platforms import USUAL
from migkit.scenario.installation.typical import Typical

__all__ = ["SCATTERS", "SPARE", "additions", "drawn", "repeated", "selected"]

R = TypeVar("R")

CAP_SPREAD: Final = 0.006  # of the quota of a window
WRITES_SPREAD: Final = 0.02  # of guests that a test made
PUSH_SPREAD: Final = 0.1  # of the push of post-copy on machines that are known, under emulation and in the harness
_KVM_PUSH_SPREAD: Final = 0.012  # five of one database took 1.86 to 1.88 s: 0.65 % of a push, beside their bytes
ORDER_S: Final = 0.01  # sooner or later than expected, a switch to post-copy is asked for
NOTICE_S: Final = 0.006  # later than expected, the sender begins, and notices that the guest may be resumed
HEADERS: Final = 0.06  # of a nominal rate of Ethernet that is no payload of TCP: 1448 of 1538 bytes are
VHOST_USER_SHARE: Final = 0.15  # of guests whose devices nobody named; one in six of the field reports
_ALIKE: Final = 0.8  # correlation of one part of a downtime with what makes a whole host fast or slow
_TRANSLATION: Final = "translate_block_s"
_STANDING: Final = ("stop_s", "stop_per_vcpu_s", "flush_disks_s", "load_s", "resume_s", "announce_s", _TRANSLATION)
_ADDED: Final = ("setup_s", *_STANDING, "release_s")
_BACKEND: Final = "reconnect_s"
_CODECS: Final = ("tls_bytes_per_s", "zlib_bytes_per_s", "zstd_bytes_per_s", "lz4_bytes_per_s", "xbzrle_bytes_per_s")
_APART: Final = [n for n in (*USUAL, "receive_bytes_per_s") if n not in (*_ADDED, _BACKEND, *_CODECS)]
# Which coordinates of a point are whose: those of the guest come first, those of a run, those of constants of hosts,
# of which all codecs share one (a fast processor is fast at each), and two of each page class at last. So one
# constant more or less, or one class, moves no other.
_RUN: Final = guests.COORDINATES
SPARE: Final = _RUN + 5  # two, of the bytes of a run and of what its guest stirs
_HOSTS: Final = SPARE + 2
_COORDINATES: Final = {name: _HOSTS + at for at, name in enumerate(_APART)} | dict.fromkeys(
    _CODECS, _HOSTS + len(_APART)
)
_CLASSES: Final = _HOSTS + len(_APART) + 1
SCATTERS: Final = 2  # coordinates of what happens while the guest stands that say how runs scatter, before the others
_NORMAL: Final = NormalDist()


def selected(case: Scenario, rows: np.ndarray) -> Scenario:
    """Return a scenario whose fields that are arrays hold the values of some rows.

    Examples
    --------
    >>> from migkit import Guest, Link
    >>> far = changed(Link(), {"rtt_s": np.arange(3.0)})
    >>> many = changed(Scenario(guest=Guest(memory_bytes=2**28)), {"link": far})
    >>> selected(many, np.array([2])).link.rtt_s.tolist()
    [2.0]
    """
    return _mapped(case, lambda values: values[rows])


def repeated(case: Scenario, number: int) -> Scenario:
    """Return a scenario whose fields that are arrays hold each value ``number`` times, one behind the other.

    Examples
    --------
    >>> from migkit import Guest, Link
    >>> far = changed(Link(), {"rtt_s": np.arange(2.0)})
    >>> many = changed(Scenario(guest=Guest(memory_bytes=2**28)), {"link": far})
    >>> repeated(many, 2).link.rtt_s.tolist()
    [0.0, 0.0, 1.0, 1.0]
    """
    return _mapped(case, lambda values: np.repeat(values, number))


def _mapped(case: Scenario, change: Callable[[np.ndarray], np.ndarray]) -> Scenario:
    """Return a scenario with all its fields that are arrays changed alike."""

    def of(record: R) -> R:
        values = {name: getattr(record, name) for name in names_of(record)}
        return changed(record, {name: change(v) for name, v in values.items() if isinstance(v, np.ndarray)})

    parts = {name: of(getattr(case, name)) for name in names_of(case)}
    parts["guest"] = changed(parts["guest"], {"dirty": tuple(map(of, case.guest.dirty))})
    return changed(case, parts)


def drawn(case: Scenario, number: int, rows: int, seed: int, orders: np.ndarray | None = None) -> Scenario:
    """Return a scenario whose uncertain fields are arrays of ``number`` draws for each of ``rows`` scenarios.

    The i-th draws of all scenarios have hosts and links in common. Their guests are alike, too, unless each scenario
    takes the draws of its guest in an order of its own.

    Parameters
    ----------
    case
        A scenario, whose fields that are numbers may be arrays, one value for each of ``rows``.
    number
        Draws of each.
    rows
        How many scenarios there are.
    seed
        From which the draws come, as :mod:`migkit.models.spread.hypercube` has them.
    orders
        Numbers of draws, of shape ``(rows, number)``.

    Examples
    --------
    >>> from migkit import Guest
    >>> drawn(Scenario(guest=Guest(memory_bytes=2**28)), number=17, rows=1, seed=0).host.goodput_bytes_per_s.size
    17
    """
    dimensions = _CLASSES + 2 * len(case.guest.dirty)
    points, z = uniforms(number, dimensions, seed), normals(number, dimensions, seed)

    def each(value: Any, factor: np.ndarray) -> Any:
        return np.broadcast_to(_column(value) * factor, (rows, number)).ravel()

    def apart(values: np.ndarray) -> np.ndarray:
        return values if orders is None else values[orders]

    wide = repeated(case, number)
    host = {
        name: each(value, _spread(value, z[:, _COORDINATES[name]]) / value)
        for name in case.host.uncertain
        if name in _COORDINATES
        for value in (getattr(case.host, name),)
    }
    host |= _run_to_run(case, wide, each, rows, z[:, _RUN:], points[:, _RUN:])
    cap = each(case.policy.max_bandwidth_bytes_per_s, np.exp(CAP_SPREAD * z[:, _RUN + 3]))
    rate = each(case.link.bandwidth_bytes_per_s, 1.0 - HEADERS * points[:, _RUN + 4])
    spread = 0.0 if guests.is_real(case) else WRITES_SPREAD
    dirty = tuple(
        changed(
            again,
            _drawn_class(one, spread, apart(z[:, _CLASSES + 2 * c]), apart(points[:, _CLASSES + 1 + 2 * c]), each)
            | _begun(one, apart(points[:, _CLASSES + 1 + 2 * _first_alike(case, c)]), each),
        )
        for c, (one, again) in enumerate(zip(case.guest.dirty, wide.guest.dirty, strict=True))
    )
    parts = {
        "host": changed(wide.host, host),
        "policy": changed(wide.policy, {"max_bandwidth_bytes_per_s": cap}),
        "link": changed(wide.link, {"bandwidth_bytes_per_s": rate}),
        "guest": changed(wide.guest, {"dirty": dirty}),
    }
    content, headroom, *writes = (
        np.broadcast_to(apart(z_one), (rows, number)).ravel()
        for z_one in (*z.T[: guests.COORDINATES], *z.T[_CLASSES::2])
    )
    return guests.differing(changed(wide, parts), content, headroom, writes)


def _run_to_run(
    case: Scenario, wide: Scenario, each: Any, rows: int, z: np.ndarray, points: np.ndarray
) -> dict[str, Any]:
    """Return the constants of hosts that differ from one run of a known machine to the next."""
    drawn: dict[str, Any] = {}
    pushed = case.host.postcopy_bytes_per_s
    if np.all(np.isfinite(pushed)):
        spread = _KVM_PUSH_SPREAD if guests.is_real(case) else PUSH_SPREAD
        drawn["postcopy_bytes_per_s"] = each(pushed, np.exp(spread * z[:, 0]))
    first, second = case.policy.preset.flush_pages
    if case.host.flush_pages is None and first != second:
        drawn["flush_pages"] = np.tile(np.where(points[:, 1] < 0.5, first, second), rows)
    after_s = wide.strategy.postcopy_after_s
    if after_s is not None:
        later_s = np.tile(ORDER_S * (2.0 * points[:, 2] - 1.0), rows)
        drawn["command_s"] = np.maximum(wide.host.command_s + later_s, -np.asarray(after_s))
    return drawn


def _drawn_class(one: DirtyClass, spread: float, z: np.ndarray, u: np.ndarray, each: Any) -> dict[str, Any]:
    """Return write rates and starts of one class; ``n`` writes a second come as ``n`` give or take ``sqrt(n)``."""
    off = np.hypot(spread, 1.0 / np.sqrt(1.0 + np.asarray(one.writes_per_s, dtype=float)))
    factor = np.maximum(0.0, 1.0 + np.reshape(off, (-1, 1)) * z)
    new = {"writes_per_s": each(one.writes_per_s, factor)}
    if one.sweep_offset_bytes is None and one.kind == "sweep":
        new["sweep_offset_bytes"] = np.floor(each(one.region_bytes, u) / 4096.0) * 4096.0
    return new


def _first_alike(case: Scenario, at: int) -> int:
    """Return the first page class with the phases of this one: what makes one busy makes the other busy."""
    phases = [one.phases for one in case.guest.dirty]
    return phases.index(phases[at])


def _begun(one: DirtyClass, u: np.ndarray, each: Any) -> dict[str, Any]:
    """Return where in the cycle of a class the migration begins, when that is not known."""
    cycle_s = sum(duration_s for duration_s, _ in one.phases)
    return {"phase_offset_s": each(cycle_s, u)} if one.phase_offset_s is None and steady.phases(one) else {}


def additions(case: Scenario, number: int, seed: int) -> tuple[Any, Any]:
    """Return what draws add beside the guest's standing, and to that [s], ``number`` for each scenario.

    Parameters
    ----------
    case
        As for :func:`drawn`.
    number
        Draws of each scenario.
    seed
        From which the draws come.

    Returns
    -------
    beside_s, stopped_s
        Of set-up and release, and of all between stop and resume. Arrays of shape ``(1 or scenarios, number)``.

    Examples
    --------
    >>> from migkit import Guest
    >>> beside_s, stopped_s = additions(Scenario(guest=Guest(memory_bytes=2**28)), number=509, seed=0)
    >>> bool(np.median(stopped_s) > 0.0), stopped_s.shape
    (True, (1, 509))
    """
    host = case.host
    emulated = np.any(case.guest.restart_blocks)
    names = [name for name in host.uncertain if name in _ADDED and (emulated or name != _TRANSLATION)]
    points = uniforms(number, len(names) + 5, seed, first=SCATTERS)
    z = normals(number, len(names) + 5, seed, first=SCATTERS)
    own = math.sqrt(1.0 - _ALIKE**2)
    spread = {
        name: _spread(getattr(host, name), _ALIKE * z[:, 0] + own * z[:, at])
        for at, name in enumerate(names, start=1)
    }
    setup_s = spread.pop("setup_s", host.setup_s) - _column(host.setup_s)
    released_s = spread.pop("release_s", host.release_s) - _column(host.release_s)
    backend_s, has_backend = _backends(case, z[:, -4], points[:, -3])
    usual = _columns(case)
    other = changed(usual, {"host": changed(usual.host, spread | {_BACKEND: backend_s})})
    stopped_s = _stands_s(other) - _stands_s(usual) + has_backend * backend_s
    late_s = NOTICE_S * np.abs(z[:, -2:])  # what a calibration measured holds it already
    late_setup_s = late_s[:, 0] if type(host.setup_s) is Typical else 0.0
    late_stop_s = late_s[:, 1] if type(host.load_s) is Typical else 0.0
    return setup_s + late_setup_s + released_s, stopped_s + late_stop_s


def _backends(case: Scenario, z: np.ndarray, u: np.ndarray) -> tuple[Any, Any]:
    """Return how long a backend takes to connect [s], and whether a guest that names no devices has one."""
    host = case.host
    if _BACKEND not in host.uncertain:
        return _column(host.reconnect_s), 0.0
    unknown = not case.guest.devices and type(host.load_s) is Typical  # a load that was measured holds its backends
    return _spread(host.reconnect_s, z), (u > 1.0 - VHOST_USER_SHARE) & unknown


def _spread(value: Any, z: np.ndarray) -> Any:
    """Return draws of a constant that is typical, or of one that is stated: itself."""
    off: Any = getattr(value, "spread", 0.0) * z
    factors = getattr(value, "factors", ())
    if factors:
        off = off + np.interp(z, _places(len(factors)), np.log(factors))
    return value * np.exp(off)


def holds_downtimes(host: Host) -> bool:
    """Say whether constants are drawn from runs as they were, those from which a downtime follows.

    Examples
    --------
    >>> from migkit.scenario.installation.typical import Estimate
    >>> holds_downtimes(Host()), holds_downtimes(Host(load_s=Estimate(0.02, factors=(0.9, 1.0, 3.0))))
    (False, True)
    """
    return any(getattr(value, "factors", ()) for value in (host.load_s, host.in_flight_bytes))


@functools.lru_cache(32)
def _places(number: int) -> list[float]:
    """Return where runs in ascending order lie on a standard normal distribution: in the middle of n parts."""
    return [_NORMAL.inv_cdf((at + 0.5) / number) for at in range(number)]


def _column(value: Any) -> Any:
    return np.reshape(value, (-1, 1))


def _columns(case: Scenario) -> Scenario:
    """Return a scenario whose values stand below each other, so that draws go beside them."""
    host = changed(case.host, {name: _column(getattr(case.host, name)) for name in (*_ADDED, _BACKEND)})
    guest = {name: _column(getattr(case.guest, name)) for name in ("vcpus", "restart_blocks")}
    return changed(case, {"host": host, "guest": changed(case.guest, guest)})


def _stands_s(case: Scenario) -> Any:
    return downtime.stopped_s(case) + downtime.resume_s(case) + downtime.translate_s(case)
