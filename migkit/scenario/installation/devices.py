"""What kinds of devices add to the downtime of a guest: state to send, time to save and load it, backends to connect.

Sources: trace points of QEMU's vmstate (a virtio device 0.27 to 0.5 ms, vhost-user-fs 4.2 ms); Elena Ufimtseva,
qemu-devel 26 July 2024 (two VFIO devices, 209,431 KiB of state); Alibaba M3U, OSDI 2026 (device state 94 to 304 ms).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from migkit.errors import UsageError, shown

if TYPE_CHECKING:
    from migkit.scenario.guest import Guest

__all__ = ["KINDS", "Kind", "check_devices", "device_s", "device_state_bytes", "vhost_users"]


class Kind(NamedTuple):
    """One kind of device.

    Attributes
    ----------
    state_bytes
        What is sent while the guest is stopped [B]; None: no source says it, so that the guest must.
    time_s
        To save and to load it, beside its bytes on the path [s].
    is_vhost_user
        A backend in a process of its own connects anew at the destination.
    """

    state_bytes: float | None
    time_s: float
    is_vhost_user: bool = False


KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "virtio": Kind(20_000.0, 0.0004),
        "vhost-user": Kind(20_000.0, 0.0004, is_vhost_user=True),
        "vhost-user-fs": Kind(20_000.0, 0.0042, is_vhost_user=True),
        "vfio": Kind(107_000_000.0, 0.15),
        "vgpu": Kind(None, 0.15),
    }
)


def check_devices(guest: Guest) -> None:
    """Raise unless a guest's devices are whole numbers of known kinds, with a size where no source says one.

    Raises
    ------
    UsageError
        They are not.

    Examples
    --------
    >>> from migkit import Guest
    >>> Guest(memory_bytes=2**30, devices=(("floppy", 1),))
    Traceback (most recent call last):
    migkit.errors.UsageError: guest.devices: 'floppy' is no kind of device; use one of virtio, vhost-user, ...
    """
    if not isinstance(guest.devices, tuple) or not all(isinstance(d, tuple) and len(d) == 2 for d in guest.devices):
        raise UsageError(f'guest.devices: {shown(guest.devices)} is not a table; write (("virtio", 2),)')
    for name, number in guest.devices:
        if name not in KINDS:
            raise UsageError(f"guest.devices: {shown(name)} is no kind of device; use one of {', '.join(KINDS)}")
        if isinstance(number, bool) or not isinstance(number, int | float) or number < 0 or number != int(number):
            raise UsageError(f"guest.devices.{name}: {shown(number)} is no number of devices; give 0 or more")
        if number and KINDS[name].state_bytes is None and guest.device_state_bytes is None:
            raise UsageError(
                f"guest.devices.{name}: the size of its state is not known; give guest.device_state, "
                "such as the frame buffer that is in use"
            )


def device_state_bytes(guest: Guest) -> float:
    """Return the state of a guest's devices that is sent while it is stopped [B].

    Examples
    --------
    >>> from migkit import Guest
    >>> device_state_bytes(Guest(memory_bytes=2**30, devices=(("virtio", 3),)))
    60000.0
    """
    if guest.device_state_bytes is not None:
        return guest.device_state_bytes
    return float(sum(number * (KINDS[name].state_bytes or 0.0) for name, number in guest.devices))


def device_s(guest: Guest) -> float:
    """Return the time to save and to load the state of a guest's devices, beside its bytes on the path [s].

    Examples
    --------
    >>> from migkit import Guest
    >>> device_s(Guest(memory_bytes=2**30, devices=(("vfio", 2),)))
    0.3
    """
    return float(sum(number * KINDS[name].time_s for name, number in guest.devices))


def vhost_users(guest: Guest) -> float:
    """Return how many backends connect anew at the destination.

    Examples
    --------
    >>> from migkit import Guest
    >>> vhost_users(Guest(memory_bytes=2**30, devices=(("vhost-user", 2), ("virtio", 1))))
    2.0
    """
    return float(sum(number for name, number in guest.devices if KINDS[name].is_vhost_user))
