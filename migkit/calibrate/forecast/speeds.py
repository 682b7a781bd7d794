"""How fast a migration under way goes, by its readings: bytes a second, and what a zero page takes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from migkit.units import PAGE_BYTES

if TYPE_CHECKING:
    import pandas as pd

    from migkit.importers import Log

__all__ = [
    "BINDS",
    "Push",
    "falling",
    "fastest_of",
    "push_of",
    "pushed",
    "speed_of",
    "spent_since_s",
    "zero_page_s",
    "zero_pages_passed",
]

BINDS: Final = 0.9  # of a cap: what is sent at less is held back by something else
_WIRE_BYTES: Final = PAGE_BYTES + 8.0
_ZERO_BYTES: Final = 9.0
_LAST_S: Final = 1.0  # the time over which a speed is measured
_BLOCKS: Final = 4  # of that length, of which one at least shows what holds the speed: others may have been held up
_MOSTLY_ZERO: Final = 0.5  # of the bytes of a stretch that are marks of zero pages
_WINDOW_S: Final = 0.1  # of QEMU's rate limit
_JUMPS: Final = 0.5  # of what a window may send: the counter of bytes has jumped
_ENOUGH_ZERO: Final = 4096  # pages of a stretch that tells what one takes
_TELLS: Final = 0.1  # of a push's time, which one kind of page usually takes, so that it tells what one takes

_WAITING: Final = ("postcopy-paused", "postcopy-recover-setup", "postcopy-recover")

Values = npt.NDArray[Any]


class _Stretches(NamedTuple):
    """What happened between each two readings; where the remainder is not told, nothing is known of zero pages."""

    lasting_s: Values
    sent_bytes: Values
    zero_pages: Values
    demands: Values

    @classmethod
    def of(cls, log: Log, *phases: str) -> _Stretches:
        frame = log.frame
        told = frame[frame["phase"].isin(phases) & frame["sent_bytes"].notna() & frame["t_s"].notna()]
        t_s, sent = told["t_s"].to_numpy(float), np.diff(told["sent_bytes"].to_numpy(float))
        passed = -np.diff(told["remaining_bytes"].to_numpy(float))
        zero_pages = (passed / PAGE_BYTES * _WIRE_BYTES - sent) / (_WIRE_BYTES - _ZERO_BYTES)
        demands = told["postcopy_faults"].to_numpy(float) if "postcopy_faults" in told else np.zeros(len(told))
        going = _going(told)
        asked = np.maximum(0.0, np.nan_to_num(np.diff(demands)))
        return cls(np.diff(t_s)[going], sent[going], np.nan_to_num(zero_pages)[going], asked[going])

    @property
    def mostly_zero(self) -> Values:
        """Whether a stretch sent hardly anything but marks of zero pages."""
        told: Values = self.zero_pages * _ZERO_BYTES > _MOSTLY_ZERO * self.sent_bytes
        return told & (self.zero_pages >= _ENOUGH_ZERO)

    def bytes_per_s(self, kept: Values) -> float:
        """Return what was sent a second in the last seconds of some stretches; NaN: they took no time."""
        lasting_s, sent = self.lasting_s[kept], self.sent_bytes[kept]
        first = int(np.searchsorted(-np.cumsum(lasting_s[::-1])[::-1], -_LAST_S, side="right")) - 1
        first = max(0, min(first, lasting_s.size - 2))
        took_s = float(lasting_s[first:].sum())
        return float(sent[first:].sum()) / took_s if took_s > 0 else math.nan


def _going(told: pd.DataFrame) -> Values:
    """Return which stretches between readings lie apart from a wait for a connection."""
    waits = told["status"].isin(_WAITING).to_numpy(bool) if "status" in told else np.zeros(len(told), bool)
    return ~(waits[1:] | waits[:-1])


def speed_of(log: Log) -> float:
    """Return what was sent a second in the last seconds [B/s]; NaN: the log does not tell.

    Stretches of zero pages do not count: they send next to nothing, however fast the path is.

    Examples
    --------
    >>> from migkit.importers import read_reference
    >>> round(speed_of(read_reference("a1-q7-0")) / 1e6)
    40
    """
    stretches = _Stretches.of(log, "precopy", "postcopy")
    speed = stretches.bytes_per_s(~stretches.mostly_zero)
    if speed > 0:
        return speed
    said = log.frame["bandwidth_bytes_per_s"].dropna()
    said = said[said > 0]
    return float(said.iloc[-1]) if len(said) else math.nan


def fastest_of(log: Log) -> float:
    """Return what was sent a second in the best of the last seconds [B/s]; not-a-number: the log does not tell.

    A machine that is busy, or a link that was for a moment, holds a migration up for less than a few seconds.

    Examples
    --------
    >>> from migkit.importers import read_reference
    >>> round(fastest_of(read_reference("a1-q7-0")) / 1e6)
    40
    """
    stretches = _Stretches.of(log, "precopy")
    kept = ~stretches.mostly_zero
    ended_s = np.cumsum(stretches.lasting_s[kept])
    sent = np.cumsum(stretches.sent_bytes[kept])
    if ended_s.size < 2:
        return speed_of(log)
    edges_s = ended_s[-1] - _LAST_S * np.arange(_BLOCKS + 1)
    at = np.unique(np.searchsorted(ended_s, edges_s[edges_s >= ended_s[0]]))
    speeds = np.diff(sent[at]) / np.diff(ended_s[at])
    return max(float(speeds.max(initial=0.0)), speed_of(log))


def spent_since_s(log: Log, cap_bytes_per_s: float, synced_s: float) -> float:
    """Return since when the present window of a cap lasts, all of which was sent at once [s]; NaN: it begins now.

    QEMU sends what a window of 100 ms may send as fast as it can, and waits for the next one. So the counter of bytes
    jumps when a window begins. A bitmap sync begins a window, too.

    Parameters
    ----------
    log
        The readings.
    cap_bytes_per_s
        The cap, which holds the migration back [B/s].
    synced_s
        When the last sync was [s]; NaN: not known.

    Examples
    --------
    >>> from migkit.importers import read_reference
    >>> log = read_reference("a1-q7-0").until(1.0)
    >>> print(round(log.frame["t_s"].iloc[-1] - spent_since_s(log, 40e6, 0.0), 2))
    0.05
    """
    frame = log.frame
    told = frame[(frame["phase"] == "precopy") & frame["sent_bytes"].notna() & frame["t_s"].notna()]
    t_s, sent = told["t_s"].to_numpy(float), np.diff(told["sent_bytes"].to_numpy(float))
    jumps = np.flatnonzero(sent >= _JUMPS * _WINDOW_S * cap_bytes_per_s)
    if not jumps.size or t_s[jumps[-1] + 1] <= synced_s:
        return math.nan
    before_s, after_s = t_s[jumps[-1]], t_s[jumps[-1] + 1]
    return float(
        max(after_s - 0.5 * min(after_s - before_s, _WINDOW_S), t_s[-1] - _WINDOW_S, np.nan_to_num(synced_s))
    )


def zero_page_s(log: Log) -> float:
    """Return what a zero page takes in the first pass [s]: the median of stretches of hardly anything else; else NaN.

    Examples
    --------
    >>> from migkit.importers import read_reference
    >>> 1e-7 < zero_page_s(read_reference("a7-q7-0")) < 4e-7
    True
    """
    stretches = _Stretches.of(log, "precopy")
    telling = stretches.mostly_zero
    each_s = stretches.lasting_s[telling] / stretches.zero_pages[telling]
    return float(np.median(each_s)) if each_s.size else math.nan


def falling(log: Log) -> float:
    """Return by how much the remainder of a post-copy fell a second in the last seconds [B/s]; NaN: not told.

    It falls faster than bytes are sent, since zero pages take next to none.

    Examples
    --------
    >>> from migkit.importers import read_reference
    >>> falling(read_reference("a9-q7-0")) > 1e8
    True
    """
    frame = log.frame
    told = frame[(frame["phase"] == "postcopy") & frame["remaining_bytes"].notna() & frame["t_s"].notna()]
    going = _going(told)
    stretches_s, fell = (np.diff(told[name].to_numpy(float))[going] for name in ("t_s", "remaining_bytes"))
    if not stretches_s.size:
        return speed_of(log)
    since_s = np.cumsum(stretches_s[::-1])[::-1]
    first = max(0, min(int((since_s > _LAST_S).sum()), stretches_s.size - 2))
    took_s, passed = float(stretches_s[first:].sum()), -float(fell[first:].sum())
    return passed / took_s if took_s > 0 and passed > 0 else speed_of(log)


class Push(NamedTuple):
    """What a post-copy tells of its pages.

    Attributes
    ----------
    full_page_s, zero_page_s
        What a page takes that holds something, and one that does not [s].
    own_share, share
        Share of the pages that held something, where the push went its own way, and of all.
    """

    full_page_s: float
    zero_page_s: float
    own_share: float
    share: float


def push_of(log: Log, full_page_s: float, zero_page_s: float) -> Push | None:
    """Return what a post-copy tells of its pages; None: nothing yet.

    QEMU goes on where a demand led its push, and a guest asks for pages that it uses, which are mostly full. So of
    ``n`` pages and ``d`` demands between two readings the push found ``n / (d + 1)`` on its own way.

    Parameters
    ----------
    log
        The readings.
    full_page_s, zero_page_s
        What a page takes of a kind of which too few were seen to tell [s].

    Examples
    --------
    >>> from migkit.importers import read
    >>> from migkit.traces import data
    >>> log = read(data.data_path("kvm_database/postcopy-4t-1.json.gz"))[0].until(1.1)
    >>> push = push_of(log, 2e-6, 2e-7)
    >>> round(push.own_share, 2), round(push.share, 2)
    (0.01, 0.34)
    """
    stretches = _Stretches.of(log, "postcopy")
    zero = np.maximum(0.0, stretches.zero_pages)
    full = np.maximum(0.0, stretches.sent_bytes - _ZERO_BYTES * zero) / _WIRE_BYTES
    passed = full + zero
    kept = (passed > 0.0) & (stretches.lasting_s > 0.0)
    if not kept.any():
        return None
    own = 1.0 / (1.0 + stretches.demands[kept])
    told_full_s, told_zero_s = _prices(
        stretches.lasting_s[kept], full[kept], zero[kept], np.array((full_page_s, zero_page_s))
    )
    full_s, zero_s = full[kept].sum() * full_page_s, zero[kept].sum() * zero_page_s
    enough_s = _TELLS * (full_s + zero_s)
    # A page that is sent takes more than one that is not.
    tells_full = full_s >= enough_s and told_full_s > told_zero_s
    return Push(
        told_full_s if tells_full else full_page_s,
        told_zero_s if told_zero_s > 0.0 and zero_s >= enough_s else zero_page_s,
        float((own * full[kept]).sum() / (own * passed[kept]).sum()),
        float(full[kept].sum() / passed[kept].sum()),
    )


def _prices(lasting_s: Values, full: Values, zero: Values, usual_s: Values) -> tuple[float, float]:
    """Return what a full and a zero page took [s], by least squares with a variance that grows with time.

    Where stretches do not tell the two apart, those prices are taken that differ least from the usual ones.
    """
    each = np.column_stack((full, zero)) * usual_s / np.sqrt(lasting_s)[:, None]
    times = np.linalg.lstsq(each, np.sqrt(lasting_s) - each.sum(axis=1), rcond=None)[0] + 1.0
    if (times < 0.0).any():
        alone = int(np.argmax(times))
        own = each[:, alone]
        times = np.zeros(2)
        times[alone] = (own * np.sqrt(lasting_s)).sum() / (own**2).sum()
    full_s, zero_s = (times * usual_s).tolist()
    return full_s, zero_s


def pushed(log: Log, zero_page_s: float) -> float:
    """Return how fast a post-copy pushed full pages in the last seconds [B/s]; NaN: not told.

    Parameters
    ----------
    log
        The readings.
    zero_page_s
        What a zero page takes [s]; that time does not count.

    Examples
    --------
    >>> from migkit.importers import read_reference
    >>> 1e9 < pushed(read_reference("a9-q7-0").until(1.2), 2e-7) < 3e9
    True
    """
    stretches = _Stretches.of(log, "postcopy")
    if not stretches.lasting_s.size:
        return speed_of(log)
    first = max(0, int(np.searchsorted(-np.cumsum(stretches.lasting_s[::-1])[::-1], -_LAST_S, side="right")) - 1)
    took_s = stretches.lasting_s[first:].sum() - zero_page_s * np.maximum(0.0, stretches.zero_pages[first:]).sum()
    sent = float(stretches.sent_bytes[first:].sum())
    return sent / float(took_s) if took_s > 0.0 and sent > 0.0 else falling(log)


def zero_pages_passed(log: Log) -> float:
    """Return how many zero pages have gone, as counted, else as what was sent and what remains tell.

    Examples
    --------
    >>> from migkit.importers import read_reference
    >>> 70000 < zero_pages_passed(read_reference("a9-q7-0")) < 90000
    True
    """
    frame = log.frame
    if "zero_pages" in frame and frame["zero_pages"].notna().any():
        return float(frame["zero_pages"].max())
    told = frame[frame["sent_bytes"].notna() & frame["remaining_bytes"].notna()]
    total = frame["total_bytes"].max() if "total_bytes" in frame else math.nan
    before = (total - told["remaining_bytes"].iloc[0]) / PAGE_BYTES - told["sent_bytes"].iloc[0] / _WIRE_BYTES
    passed = np.maximum(0.0, _Stretches.of(log, "precopy", "postcopy").zero_pages).sum()
    return float(max(0.0, np.nan_to_num(before)) + passed)
