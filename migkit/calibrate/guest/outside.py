"""The guest of a running QEMU, counted from outside: through the page tables of QEMU's process.

QEMU is asked for nothing. What is done to its process is told in :mod:`migkit.harness.tracking.program`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from migkit.errors import CapabilityError
from migkit.units import MIB, PAGE_BYTES

if TYPE_CHECKING:
    from migkit.calibrate.guest.beats import History
    from migkit.calibrate.guest.readings import Reading
    from migkit.harness.linux.pagemap import Mapping
    from migkit.harness.tracking.program import TrackedProcess
    from migkit.harness.tracking.writing import Beat

__all__ = ["Outside", "check_is_qemu", "least_block_bytes", "outside", "planned"]

_LEAST_BLOCK_BYTES: Final = 16 * MIB  # of guest memory in one mapping of QEMU


def least_block_bytes(mappings: Sequence[Mapping], memory_bytes: int) -> int:
    """Return how large a mapping of QEMU must be to be memory of the guest [B].

    Usually all memory is one mapping, the largest. That of several nodes is several.

    Examples
    --------
    >>> from migkit.harness.linux.maps import Mapping
    >>> sizes = {"[heap]": 70 * MIB, "": 48 * MIB, "/dev/zero": 8 * MIB}
    >>> held = [Mapping(0, size, "rw-p", path) for path, size in sizes.items()]
    >>> least_block_bytes(held, 48 * MIB) // MIB, least_block_bytes(held, 128 * MIB) // MIB
    (48, 16)
    """
    most = max((mapping.length_bytes for mapping in mappings if _may_be_guest(mapping)), default=0)
    return most if 2 * most >= memory_bytes else min(_LEAST_BLOCK_BYTES, memory_bytes // 2)


def _may_be_guest(mapping: Mapping) -> bool:
    """Say whether a mapping is neither code that QEMU generates nor what it allocates for itself."""
    return "x" not in mapping.permissions and mapping.path != "[heap]"


class Outside:
    """Counts through the page tables of QEMU's process; see :mod:`migkit.harness.tracking.program`."""

    name = "from outside, by QEMU's page tables"

    def __init__(self, process: TrackedProcess, memory_bytes: int) -> None:
        self.memory_bytes = memory_bytes
        self._process = process
        least_bytes = least_block_bytes(process.memory(), memory_bytes)
        process.counts = lambda mapping: _may_be_guest(mapping) and mapping.length_bytes >= least_bytes

    def zero_bytes(self) -> int:
        """Return how much of the memory is zero [B]."""
        from migkit.harness.tracking.contents import zero_pages

        found = zero_pages(self._process)
        full = found.pages - found.zero_pages
        return max(0, self.memory_bytes - round(full) * PAGE_BYTES) // PAGE_BYTES * PAGE_BYTES

    def once(self, windows_s: Sequence[float]) -> list[Reading]:
        """Return one pass: distinct pages in windows of about these lengths."""
        from migkit.calibrate.guest.readings import Reading
        from migkit.harness.tracking.curve import measure

        mean = measure(self._process, windows_s, repeats=1).profile()
        return [Reading(w, n) for w, n in zip(mean.windows_s, mean.unique_pages, strict=True)]

    def follow(self, beat_s: float) -> _Followed:
        """Begin to follow the guest in beats of about this length [s]."""
        return _Followed(self._process, beat_s)


class _Followed:
    """Collects beats."""

    def __init__(self, process: TrackedProcess, beat_s: float) -> None:
        from migkit.harness.tracking.writing import Writing

        self._writing = Writing(process, beat_s)
        self._beats: list[Beat] = []

    def until(self, end_s: float) -> History:
        """Return all beats since the beginning, the last of which ends at or after this moment [s]."""
        import numpy as np

        from migkit.calibrate.guest.beats import History

        while not self._beats or self._beats[-1].end_s < end_s:
            self._beats.append(self._writing.beat())
        return History(
            times_s=np.array([0.0, *(one.end_s for one in self._beats)]),
            pages=[one.pages for one in self._beats],
            within=[one.within for one in self._beats],
            memory_pages=self._writing.pages,
            sample=self._writing.sample,
            zero=np.array([self._writing.zero, *(one.zero for one in self._beats)]),
        )


@contextlib.contextmanager
def outside(pid: int, memory_bytes: int) -> Iterator[Outside]:
    """Yield what counts the pages of a QEMU from outside.

    Raises
    ------
    UsageError, CapabilityError, RunError
        The process is not QEMU, may not be tracked, or has ended.
    """
    from migkit.harness.tracking.program import track

    check_is_qemu(pid)
    with track(pid) as process:
        yield Outside(process, memory_bytes)


def check_is_qemu(pid: int) -> None:
    """Return if a process is QEMU.

    Raises
    ------
    CapabilityError
        It is another program, as where a manager opened the socket for QEMU, or it cannot be seen from here.
    """
    try:
        name = Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError as error:  # also of a process of another PID namespace, which has the number 0 here
        raise CapabilityError(f"process {pid}: listens at the socket and is not seen from here") from error
    if name.startswith("ld-"):  # a QEMU of another system in a folder is run by that system's loader
        words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        name = next((Path(word).name for word in words if Path(word).name.startswith("qemu-")), name)
    if "qemu" not in name:
        raise CapabilityError(f"process {pid}: listens at the socket and is {name}, not QEMU")


def planned(version: str, accelerator: str, parameters: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the tables [policy] and [host] of the next migration: rule, cap and limit of a QEMU, and its platform.

    Examples
    --------
    >>> told = planned("7.2.22", "tcg", {"max-bandwidth": 134217728, "downtime-limit": 300})
    >>> told["host"], told["policy"]
    ({'platform': 'qemu-tcg'}, {'name': 'qemu-7', 'max_bandwidth': '134217728 B/s', 'downtime_limit': '300 ms'})
    """
    from migkit.policies.systems import of_qemu

    policy = {"name": of_qemu(version)}
    if parameters.get("max-bandwidth"):
        policy["max_bandwidth"] = f"{parameters['max-bandwidth']} B/s"
    if parameters.get("downtime-limit"):
        policy["downtime_limit"] = f"{parameters['downtime-limit']} ms"
    return {"policy": policy, "host": {"platform": f"qemu-{accelerator}"}}
