"""A guest that runs where it is: what its QEMU says of it, and its dirty curve by ``calc-dirty-rate``.

Before QEMU 8.2 a window is a whole number of seconds. A rate comes in whole MiB/s, so that a short window of a guest
that writes little says little.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

from migkit.errors import RunError
from migkit.qemu.monitor import LackingError, Monitor, RefusedError
from migkit.scenario.guest import LINUX_RESTART_BLOCKS
from migkit.units import MIB, PAGE_BYTES

__all__ = ["SAMPLED_FROM_BYTES", "SAMPLES_PER_GIB", "Restart", "Resting", "Window", "accelerator_of", "restart_of"]

SAMPLES_PER_GIB: Final = 4096
SAMPLED_FROM_BYTES: Final = 128 * MIB  # smaller blocks of memory are not sampled (QEMU migration/dirtyrate.h)
_ASKED_EVERY_S: Final = 0.05
_VIRTIO: Final = 0x1AF4  # PCI vendor
_BLOCKS: Final = re.compile(r"TB count +(\d+)")
_FIRST: Final = 0.015  # of all blocks that a Linux has run: those that it goes on with
_MOVING: Final = ("setup", "active", "postcopy-active", "postcopy-paused", "pre-switchover", "device", "cancelling")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Distinct pages that were written in one window.

    Attributes
    ----------
    window_s
        Its length [s].
    pages
        How many.
    mode
        How QEMU counted: ``page-sampling``, ``dirty-bitmap`` or ``dirty-ring``.
    """

    window_s: float
    pages: float
    mode: str


async def accelerator_of(monitor: Monitor) -> str:
    """Return what runs the processors of a machine: ``kvm`` or ``tcg``, QEMU's own emulation."""
    return "kvm" if (await monitor.do("query-kvm"))["enabled"] else "tcg"


class Restart(NamedTuple):
    """What makes a guest stand longer than its memory does, named as in ``guest``.

    Only of software emulation: elsewhere PCI does not tell which backend serves a device, nor is code translated.
    """

    devices: tuple[tuple[str, float], ...]
    restart_blocks: float


def restart_of(buses: Sequence[Mapping[str, Any]], jit: str) -> Restart:
    """Return it from the answers to ``query-pci`` and ``info jit``.

    A system goes on with a small share of all the code that it has run so far.

    Examples
    --------
    >>> bus = {"devices": [{"id": {"vendor": 0x1AF4}}, {"id": {"vendor": 0x8086}}]}
    >>> restart_of([bus], "TB count            125327\\nTB flush count      0")
    Restart(devices=(('virtio', 1),), restart_blocks=1879.9...)
    """
    devices = list(_on(buses))
    virtio = sum(one["id"]["vendor"] == _VIRTIO for one in devices)
    told = _BLOCKS.search(jit)
    blocks = min(LINUX_RESTART_BLOCKS, _FIRST * float(told[1])) if told else 0.0
    return Restart((("virtio", virtio),) if virtio else (), blocks)


def _on(buses: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for bus in buses:
        for one in bus.get("devices", ()):
            yield one
            yield from _on([one.get("pci_bridge", {})])


async def _restart(monitor: Monitor, accelerator: str) -> Restart:
    if accelerator != "tcg":
        return Restart((), 0.0)
    buses = await monitor.do("query-pci")
    said = await monitor.do("human-monitor-command", {"command-line": "info jit"})
    return restart_of(buses, said)


class Resting:
    """A guest that runs, behind the monitor of its QEMU.

    Attributes
    ----------
    monitor
        The connection.
    memory_bytes
        What the guest has [B].
    parameters
        Those of its next migration, as ``query-migrate-parameters`` names them.
    accelerator
        As :func:`accelerator_of` names it.
    restart
        What makes it stand longer than its memory does.
    """

    def __init__(
        self,
        monitor: Monitor,
        memory_bytes: int,
        parameters: dict[str, Any],
        accelerator: str,
        restart: Restart,
    ) -> None:
        self.monitor = monitor
        self.memory_bytes, self.parameters, self.accelerator = memory_bytes, parameters, accelerator
        self.restart = restart

    @classmethod
    async def connect(cls, path: str | Path) -> Self:
        """Connect to the monitor at a UNIX socket, and ask.

        Raises
        ------
        NotQemuError, LackingError, EndedError
            See :meth:`migkit.qemu.monitor.Monitor.connect`.
        RunError
            The guest does not run, or moves already.
        """
        monitor = await Monitor.connect(path)
        try:
            return await cls._asked(monitor)
        except BaseException:
            await monitor.close()
            raise

    @classmethod
    async def _asked(cls, monitor: Monitor) -> Self:
        status = await monitor.do("query-status")
        if not status["running"]:
            raise RunError(f"guest: does not run (QEMU's state is {status['status']}); resume it, then measure")
        moving = (await monitor.do("query-migrate")).get("status")
        if moving in _MOVING:
            raise RunError(f"guest: is migrating already (state {moving}); follow it with migkit watch")
        memory = await monitor.do("query-memory-size-summary")
        size = int(memory["base-memory"]) + int(memory.get("plugged-memory", 0))
        parameters = await monitor.do("query-migrate-parameters")
        accelerator = await accelerator_of(monitor)
        return cls(monitor, size, parameters, accelerator, await _restart(monitor, accelerator))

    def mode(self) -> str:
        """Return how QEMU can count here: by KVM's bitmap, else by sampling pages.

        Raises
        ------
        LackingError
            This QEMU cannot, or only samples and the memory is too small for that.
        """
        if self.accelerator == "kvm":
            return "dirty-bitmap"
        if self.memory_bytes < SAMPLED_FROM_BYTES:
            raise LackingError(
                f"QEMU {self.monitor.version}: does not sample memory below 128 MiB; measure it from outside, as root"
            )
        return "page-sampling"

    async def window(self, window_s: float, mode: str) -> Window:
        """Return what the guest writes in one window, of whole seconds where QEMU knows no shorter ones.

        Raises
        ------
        LackingError, RefusedError, EndedError
            QEMU has no such command, refuses it, or has ended.
        """
        arguments: dict[str, Any] = {
            "calc-time": round(1e3 * window_s),
            "calc-time-unit": "millisecond",
            "mode": mode,
        }
        if mode == "page-sampling":
            arguments["sample-pages"] = SAMPLES_PER_GIB
        try:
            await self.monitor.do("calc-dirty-rate", arguments)
        except RefusedError as error:
            if "calc-time-unit" not in str(error):
                raise
            window_s = float(max(1, round(window_s)))
            del arguments["calc-time-unit"]
            await self.monitor.do("calc-dirty-rate", arguments | {"calc-time": int(window_s)})
        while (answer := await self.monitor.do("query-dirty-rate"))["status"] != "measured":
            await asyncio.sleep(_ASKED_EVERY_S)
        return Window(window_s=window_s, pages=answer["dirty-rate"] * MIB * window_s / PAGE_BYTES, mode=mode)

    async def check_ran(self) -> None:
        """Return if the guest ran all the time since it was connected to.

        Raises
        ------
        RunError
            Somebody stopped or reset it, it began anew, it moves now, or it has moved.
        EndedError
            QEMU has ended.
        """
        state = (await self.monitor.do("query-status"))["status"]
        heard = {event.name for event in self.monitor.heard()}
        if state != "running" or heard & {"STOP", "RESET"}:
            what = "stopped" if state != "running" or "STOP" in heard else "reset"
            raise RunError(f"guest: was {what} while it was measured (QEMU's state is {state} now); measure it again")
        moving = (await self.monitor.do("query-migrate")).get("status")
        if moving in _MOVING:
            raise RunError(
                f"guest: began to migrate while it was measured (state {moving}), which changes what it writes; "
                "follow it with migkit watch"
            )

    async def close(self) -> None:
        """Disconnect; the guest runs on."""
        with contextlib.suppress(OSError):
            await self.monitor.close()
