"""A running guest behind a monitor's socket, measured for a command: from outside, else by QEMU's own counting."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from migkit.cli import _output
from migkit.errors import CapabilityError, UsageError
from migkit.units import MIB, PAGE_BYTES, format_duration

if TYPE_CHECKING:
    from migkit.calibrate.guest.beats import History
    from migkit.calibrate.guest.readings import Reading
    from migkit.calibrate.profiling import Answer
    from migkit.harness.linux.pagemap import Mapping
    from migkit.harness.tracking.program import TrackedProcess
    from migkit.harness.tracking.writing import Beat
    from migkit.qemu.resting import Resting

__all__ = ["MEANS", "opened", "outside", "planned", "tell"]

MEANS: Final = ("process", "monitor")
_LEAST_BLOCK_BYTES: Final = 16 * MIB  # of guest memory in one mapping of QEMU


class _FromOutside:
    """Counts through the page tables of QEMU's process; see :mod:`migkit.harness.tracking.program`."""

    name = "from outside, by QEMU's page tables"

    def __init__(self, process: TrackedProcess, memory_bytes: int) -> None:
        self.memory_bytes = memory_bytes
        self._process = process
        whole = memory_bytes // 2
        most = max(mapping.length_bytes for mapping in process.memory() if "x" not in mapping.permissions)
        self._least_bytes = whole if most >= whole else min(_LEAST_BLOCK_BYTES, whole)
        process.counts = self._is_guest_memory

    def _is_guest_memory(self, mapping: Mapping) -> bool:
        """Return whether a mapping is memory of the guest: large, and no code that QEMU generates.

        Usually all memory is one mapping; that of several nodes is several.
        """
        return mapping.length_bytes >= self._least_bytes and "x" not in mapping.permissions

    def zero_bytes(self) -> int:
        from migkit.harness.tracking.contents import zero_pages

        found = zero_pages(self._process)
        full = found.pages - found.zero_pages
        return max(0, self.memory_bytes - round(full) * PAGE_BYTES) // PAGE_BYTES * PAGE_BYTES

    def once(self, windows_s: Sequence[float]) -> list[Reading]:
        from migkit.calibrate.guest.readings import Reading
        from migkit.harness.tracking.curve import measure

        mean = measure(self._process, windows_s, repeats=1).profile()
        return [Reading(w, n) for w, n in zip(mean.windows_s, mean.unique_pages, strict=True)]

    def follow(self, beat_s: float) -> _Followed:
        return _Followed(self._process, beat_s)


class _Followed:
    """Collects beats."""

    def __init__(self, process: TrackedProcess, beat_s: float) -> None:
        from migkit.harness.tracking.writing import Writing

        self._writing = Writing(process, beat_s)
        self._beats: list[Beat] = []

    def until(self, end_s: float) -> History:
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


class _ByMonitor:
    """Asks QEMU to count."""

    def __init__(self, runner: asyncio.Runner, resting: Resting, mode: str) -> None:
        self.name = f"by QEMU's calc-dirty-rate, {mode}"
        self.memory_bytes = resting.memory_bytes
        self._runner, self._resting, self._mode = runner, resting, mode

    def zero_bytes(self) -> int:
        return 0

    def once(self, windows_s: Sequence[float]) -> list[Reading]:
        from migkit.calibrate.guest.readings import Reading

        found: dict[float, float] = {}
        for window_s in windows_s:
            if round(window_s) in found and self._whole_seconds(found):
                continue
            window = self._runner.run(self._resting.window(window_s, self._mode))
            found[window.window_s] = max([window.pages, *found.values()])
        return [Reading(w, n) for w, n in sorted(found.items())]

    @staticmethod
    def _whole_seconds(found: dict[float, float]) -> bool:
        return all(window_s == round(window_s) for window_s in found)

    def follow(self, beat_s: float) -> None:
        return None


@contextlib.contextmanager
def opened(socket: Path, means: str | None) -> Iterator[tuple[Any, Resting]]:
    """Yield what counts the pages of the guest behind a monitor, and what its QEMU says.

    Without ``means`` it is counted from outside, and by QEMU where that is not permitted or not possible.

    Raises
    ------
    QemuError, CapabilityError
        There is no monitor, no permission, or neither way of counting.
    """
    from migkit.qemu.resting import Resting

    with asyncio.Runner() as runner, contextlib.ExitStack() as stack:
        resting = runner.run(Resting.connect(socket))
        stack.callback(lambda: runner.run(resting.close()))
        source: Any = None
        if means != "monitor":
            source = _from_outside(resting, stack, asked=means == "process")
        yield source or _ByMonitor(runner, resting, resting.mode()), resting


@contextlib.contextmanager
def outside(pid: int, memory_bytes: int) -> Iterator[_FromOutside]:
    """Yield what counts the pages of a QEMU from outside.

    Raises
    ------
    UsageError, CapabilityError, RunError
        The process is not QEMU, may not be tracked, or has ended.
    """
    from migkit.harness.tracking.program import track

    _check_is_qemu(pid)
    with track(pid) as process:
        yield _FromOutside(process, memory_bytes)


def _check_is_qemu(pid: int) -> None:
    name = Path(f"/proc/{pid}/comm").read_text().strip()
    if name.startswith("ld-"):  # a QEMU of another system in a folder is run by that system's loader
        words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        name = next((Path(word).name for word in words if Path(word).name.startswith("qemu-")), name)
    if "qemu" not in name:
        raise CapabilityError(f"process {pid}: listens at the socket and is {name}, not QEMU")


def _from_outside(resting: Resting, stack: contextlib.ExitStack, asked: bool) -> _FromOutside | None:
    from migkit.harness.tracking.program import track

    try:
        _check_is_qemu(resting.pid)
        return _FromOutside(stack.enter_context(track(resting.pid)), resting.memory_bytes)
    except (CapabilityError, OSError, UsageError) as error:
        if asked:
            raise
        _output.narrate(f"not from outside: {error}", quiet=False)
        return None


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


def tell(passes: int, answer: Answer) -> None:
    """Say what a measurement has come to so far."""
    known = f", give or take {answer.half_width:.1%}" if passes > 1 else ""
    _output.narrate(f"pass {passes}: {answer.what} {format_duration(answer.value_s)}{known}", quiet=False)
