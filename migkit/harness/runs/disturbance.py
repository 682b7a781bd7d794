"""How much of the machine others had while a migration ran: what makes two runs of one scenario differ."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

__all__ = ["DISTURBED", "Disturbance", "disagreement", "disturbed"]

DISTURBED: Final = 0.2  # of all processors in other hands: such a run is better repeated
_STAT: Final = Path("/proc/stat")
_IDLE: Final = (3, 4)  # fields: idle, waiting for a disk
_FIELDS: Final = 8  # user, nice, system, idle, iowait, irq, softirq, steal; guests are in user (proc_stat(5))


class Disturbance:
    """Counts, from now on, the processor time that neither this process nor those of a run use.

    Parameters
    ----------
    own_s
        Returns the processor time that the processes of the run have used so far [s].

    Examples
    --------
    >>> 0.0 <= Disturbance(lambda: 0.0).share() <= 1.0
    True
    """

    def __init__(self, own_s: Callable[[], float]) -> None:
        self._own_s = own_s
        self._start_s = time.monotonic()
        self._before_s = self._others_s()

    def share(self) -> float:
        """Return the share of all processors that was in other hands, a hypervisor's below this machine included."""
        elapsed_s = (time.monotonic() - self._start_s) * (os.cpu_count() or 1)
        taken_s = self._others_s() - self._before_s
        return min(max(taken_s / elapsed_s, 0.0), 1.0) if elapsed_s > 0.0 else 0.0

    def _others_s(self) -> float:
        return _busy_s() - self._own_s() - time.process_time()


def _busy_s() -> float:
    """Return the time that all processors together were busy, or were not given to this machine [s]."""
    ticks = [int(field) for field in _STAT.read_text().split(maxsplit=_FIELDS + 1)[1 : _FIELDS + 1]]
    return (sum(ticks) - sum(ticks[at] for at in _IDLE)) / os.sysconf("SC_CLK_TCK")


def disagreement(times_s: Sequence[float], most: float = 0.05) -> str:
    """Return a warning when total times of repeats [s] spread over more than ``most`` of their median.

    Examples
    --------
    >>> disagreement([1.00, 1.02, 1.01])
    ''
    >>> disagreement([1.0, 1.0, 1.2])
    'migkit: the 3 runs disagree by 20 % in total time; close other programs or repeat more often'
    """
    spread = (max(times_s) - min(times_s)) / statistics.median(times_s)
    if spread <= most:
        return ""
    return (
        f"migkit: the {len(times_s)} runs disagree by {spread:.0%} in total time; "
        "close other programs or repeat more often"
    ).replace("%", " %")


def disturbed(share: float) -> str:
    """Return a warning when others had more than a fifth of the processors during a run.

    Examples
    --------
    >>> disturbed(0.02)
    ''
    >>> disturbed(0.31)
    'migkit: other programs had 31 % of the processors during a run; close them and repeat it'
    """
    if share <= DISTURBED:
        return ""
    taken = f"{share:.0%}".replace("%", " %")
    return f"migkit: other programs had {taken} of the processors during a run; close them and repeat it"
