"""How long the processes of a real run stood ready and had no processor: others had it, or a hypervisor below."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil

_STEAL = 8  # field of /proc/stat: time that a hypervisor withheld (proc_stat(5))


def _withheld_s() -> float:
    return int(Path("/proc/stat").read_text().split()[_STEAL]) / os.sysconf("SC_CLK_TCK")


class Watch:
    """Looks at each sample of one migration or of several, from the first to the last.

    Attributes
    ----------
    withheld_s
        For how long a hypervisor withheld processors meanwhile, all of them together [s].
    """

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._children: list[int] = []
        self._first_ns: dict[Path, int] = {}
        self._last_ns: dict[Path, int] = {}
        self._from_s: float | None = None
        self.withheld_s = 0.0

    def __call__(self, *_: object) -> None:
        """Look once more; what the sample says does not count."""
        with self._turn:
            self._children = self._children or [child.pid for child in psutil.Process().children(recursive=True)]
            for thread in self._threads():
                with contextlib.suppress(OSError):  # it has ended
                    self._last_ns[thread] = int(thread.read_text().split()[1])
            self._first_ns = self._last_ns | self._first_ns
            now_s = _withheld_s()
            self._from_s = now_s if self._from_s is None else self._from_s
            self.withheld_s = round(now_s - self._from_s, 3)

    def _threads(self) -> Iterator[Path]:
        for child in self._children:
            yield from Path(f"/proc/{child}/task").glob("*/schedstat")

    @property
    def waited_s(self) -> float:
        """The longest time that one thread of them waited [s]."""
        return max(last - self._first_ns[thread] for thread, last in self._last_ns.items()) / 1e9

    @property
    def kept_s(self) -> float:
        """The longer of the two: for how long others kept the run from running [s]."""
        return max(self.waited_s, self.withheld_s)
