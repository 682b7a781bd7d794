"""The guests of the laboratory as QEMU boots them: the bare-metal one, and a Linux with an application."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, Protocol

from migkit.errors import UsageError
from migkit.qemu.guests import applications
from migkit.qemu.guests import layout as layouts
from migkit.qemu.guests.image import guest_image
from migkit.scenario import Guest
from migkit.scenario.guest import LINUX_RESTART_BLOCKS
from migkit.units import GIB, MIB, format_size

__all__ = ["BARE_METAL", "GUESTS", "Bare", "Booted", "Linux"]

BARE_METAL: Final = "bare-metal"
GUESTS: Final = (BARE_METAL, *applications.APPLICATIONS)
_FILLS_BYTES_PER_S: Final = 2e7  # far less than any machine does
_MOST_BYTES: Final = 3 * GIB
_DISK_BYTES: Final = 4 * MIB  # all of which the worker of the devices writes
_SILENCE_S: Final = 120.0  # of a Linux that boots, on a machine that leaves it a tenth of a processor
_KERNEL: Final = "console=ttyS1 quiet loglevel=4 panic=-1 mitigations=off tsc=reliable preempt=full"
_FORGETS: Final = "pti=on nopcid"
"""Under software emulation QEMU before 9.0 does not notice a write to a page whose address it remembers from before a
bitmap sync. With tables apart for kernel and programs it forgets all addresses at each interrupt."""


class Booted(Protocol):
    """What a capture asks of a guest.

    Attributes
    ----------
    guest
        As a scenario describes it, as it can be run.
    silence_s
        For how long it may say nothing until it is ready [s].
    proves
        What it has looked at when it says that its memory is intact.
    """

    guest: Guest
    silence_s: float
    proves: str

    @contextlib.contextmanager
    def options(self, accelerator: str) -> Iterator[tuple[str, ...]]:
        """Lend the options of QEMU that boot it, the same for both sides."""
        ...

    def facts(self) -> dict[str, object]:
        """Return what a trace keeps of it."""
        ...


class Bare:
    """The bare-metal guest, which writes as the page classes of a scenario say.

    Parameters
    ----------
    guest, seed
        See :func:`migkit.qemu.guests.layout.as_run`.
    processors
        See :func:`migkit.qemu.guests.layout.placed`.
    before_s
        How long it works until the migration begins [s].
    """

    proves = "the guest compared all of its memory"

    def __init__(self, guest: Guest, seed: int = 1, processors: int = 1, before_s: float = 0.0) -> None:
        self.guest = layouts.as_run(guest, seed, before_s)
        self.silence_s = 20.0 + guest.memory_bytes / _FILLS_BYTES_PER_S
        pieces = layouts.placed(self.guest, processors, before_s)
        self._command_line = layouts.command_line(self.guest, pieces, processors, before_s)

    @contextlib.contextmanager
    def options(self, accelerator: str) -> Iterator[tuple[str, ...]]:
        """Lend its options; it is compiled when its sources are not those of the last time."""
        yield ("-kernel", str(guest_image()), "-append", self._command_line)

    def facts(self) -> dict[str, object]:
        """Return what a trace keeps of it."""
        return {"name": BARE_METAL}


class Linux:
    """A Linux with an application, a disk and a network.

    Parameters
    ----------
    guest
        Its memory; the application decides what is written where.
    name
        Of the application, one of :data:`migkit.qemu.guests.applications.APPLICATIONS`.
    image
        Folder of the image.
    operations_per_s
        Pace of the application [1/s]; None: as fast as it can.
    loads
        What says how large its load is, by name, as the application knows it; what is left out is as usual.

    Raises
    ------
    UsageError
        The guest has page classes, a size or a load that it cannot have, or there is no image.
    """

    proves = "the application compared all of its data, and disk and network worked,"
    silence_s = _SILENCE_S

    def __init__(
        self,
        guest: Guest,
        name: str,
        image: Path,
        operations_per_s: float | None = None,
        loads: Mapping[str, int] | None = None,
    ) -> None:
        self._application, self._loads = applications.APPLICATIONS[name], dict(loads or {})
        _check(guest, name)
        _check_loads(name, self._loads)
        if operations_per_s is not None and not 0.0 < operations_per_s <= 1e6:
            raise UsageError(
                f"operations: {operations_per_s:g} a second is out of range; it must be above 0, at most 1e6"
            )
        self._name, self._pace = name, operations_per_s
        self.guest = dataclasses.replace(
            guest,
            devices=guest.devices or (("virtio", len(self._disks) + 1),),
            restart_blocks=guest.restart_blocks or LINUX_RESTART_BLOCKS,
        )
        self._image = applications.opened(image)

    @property
    def _disks(self) -> list[int]:
        """Sizes of its disks [B]; beside them it has a network."""
        return [_DISK_BYTES, *filter(None, [self._application.disk_bytes])]

    @contextlib.contextmanager
    def options(self, accelerator: str) -> Iterator[tuple[str, ...]]:
        """Lend its options, with disks that both sides share and that no folder shows."""
        with contextlib.ExitStack() as disks:
            drives = [option for at, size in enumerate(self._disks) for option in _drive(disks, at, size)]
            yield (
                *("-kernel", str(self._image.kernel), "-initrd", str(self._image.archives[self._name])),
                *("-append", self._command_line(accelerator), "-no-reboot"),
                *(
                    "-chardev",
                    "file,id=kernel,path=/dev/stderr,append=on",
                    "-device",
                    "isa-serial,index=1,chardev=kernel",
                ),
                *drives,
                *("-netdev", "user,id=net,restrict=on", "-device", "virtio-net-pci,netdev=net,romfile="),
            )

    def _command_line(self, accelerator: str) -> str:
        pace = f"pace={self._pace:g}" if self._pace is not None else ""
        loads = [f"{name}={number}" for name, number in self._loads.items()]
        words = (_KERNEL, _FORGETS if accelerator == "tcg" else "", f"application={self._name}", pace, *loads)
        return " ".join(filter(None, words))

    def facts(self) -> dict[str, object]:
        """Return what a trace keeps of it."""
        packages = dict(self._image.packages)
        return {"name": self._name, "operations_per_s": self._pace, **self._loads, "packages": packages}


def _drive(disks: contextlib.ExitStack, number: int, size_bytes: int) -> tuple[str, ...]:
    disk = disks.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - closed with the others
    disk.truncate(size_bytes)
    place = f"/proc/{os.getpid()}/fd/{disk.fileno()}"
    return (
        *("-drive", f"file={place},format=raw,if=none,id=disk{number}"),
        *("-device", f"virtio-blk-pci,drive=disk{number},share-rw=on"),
    )


def _check(guest: Guest, name: str) -> None:
    if guest.dirty or guest.zero_bytes:
        raise UsageError(
            f"guest.dirty: the guest {name} writes what its application writes; leave page classes and zero memory "
            "out, or use the guest bare-metal"
        )
    least_bytes = applications.APPLICATIONS[name].least_bytes
    if guest.memory_bytes % MIB or not least_bytes <= guest.memory_bytes <= _MOST_BYTES:
        raise UsageError(
            f"guest.memory: {format_size(guest.memory_bytes)} is not possible; the guest {name} has "
            f"{format_size(least_bytes)} to 3 GiB, in whole MiB"
        )


def _check_loads(name: str, loads: Mapping[str, int]) -> None:
    known = applications.APPLICATIONS[name].loads
    for load, number in loads.items():
        if load not in known:
            raise UsageError(f"{load}: the guest {name} has none; leave it out")
        if not 1 <= number <= known[load]:
            raise UsageError(f"{load}: {number} is out of range; it must be from 1 to {known[load]}")
