"""A running guest behind a monitor's socket, measured for a command: from outside, else by QEMU's own counting."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from migkit.cli import _output
from migkit.errors import CapabilityError, UsageError
from migkit.units import format_duration

if TYPE_CHECKING:
    from migkit.calibrate.guest.outside import Outside
    from migkit.calibrate.guest.readings import Reading
    from migkit.calibrate.profiling import Answer
    from migkit.qemu.resting import Resting

__all__ = ["MEANS", "opened", "tell"]

MEANS: Final = ("process", "monitor")


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

    Without ``means`` it is counted from outside, and by QEMU where that is not permitted or not possible. On leaving
    it without an error, the guest must have run all the time.

    Raises
    ------
    QemuError, CapabilityError
        There is no monitor, no permission, or neither way of counting.
    RunError
        The guest does not run, or somebody stopped it meanwhile.
    """
    from migkit.qemu.resting import Resting

    with asyncio.Runner() as runner, contextlib.ExitStack() as stack:
        resting = runner.run(Resting.connect(socket))
        stack.callback(lambda: runner.run(resting.close()))
        source: Any = None
        if means != "monitor":
            source = _from_outside(resting, stack, asked=means == "process")
        yield source or _ByMonitor(runner, resting, resting.mode()), resting
        runner.run(resting.check_ran())


def _from_outside(resting: Resting, stack: contextlib.ExitStack, asked: bool) -> Outside | None:
    from migkit.calibrate.guest.outside import outside

    try:
        return stack.enter_context(outside(resting.monitor.pid, resting.memory_bytes))
    except (CapabilityError, OSError, UsageError) as error:
        if asked:
            raise
        _output.narrate(f"not from outside: {error}", quiet=False)
        return None


def tell(passes: int, answer: Answer) -> None:
    """Say what a measurement has come to so far."""
    known = f", give or take {answer.half_width:.1%}" if passes > 1 else ""
    _output.narrate(f"pass {passes}: {answer.what} {format_duration(answer.value_s)}{known}", quiet=False)
