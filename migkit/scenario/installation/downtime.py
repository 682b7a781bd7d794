"""The parts of a downtime that do not depend on memory: what happens while the guest is stopped, by name.

Downtime = stop the processors + flush disks + final sync + last pages + device state + load at the destination
+ reconnect backends + resume + translate code + announce. The last pages depend on what the migration came to; the
engine sends them.
"""

from __future__ import annotations

from typing import Any, Final

from migkit.scenario.installation import devices
from migkit.scenario.scenario import Scenario

__all__ = ["device_bytes", "fixed_parts", "resume_s", "stopped_s", "translate_s"]

_AFTERWARDS: Final = ("resume", "translate code", "announce")


def device_bytes(case: Scenario) -> Any:
    """Return the state beside memory that is sent while the guest is stopped [B].

    Examples
    --------
    >>> from migkit import Guest
    >>> device_bytes(Scenario(guest=Guest(memory_bytes=2**28, devices=(("vfio", 1),))))
    107300000.0
    """
    return case.host.machine_state_bytes + devices.device_state_bytes(case.guest)


def fixed_parts(case: Scenario) -> dict[str, Any]:
    """Return the parts whose times do not depend on the path, by name [s].

    Examples
    --------
    >>> from migkit import Guest, Host
    >>> fixed_parts(Scenario(guest=Guest(memory_bytes=2**28, vcpus=4),
    ...                      host=Host(stop_s=0.001, stop_per_vcpu_s=0.0005)))["stop processors"]
    0.003
    """
    host, guest = case.host, case.guest
    return {
        "stop processors": host.stop_s + host.stop_per_vcpu_s * guest.vcpus,
        "flush disks": host.flush_disks_s,
        "load": host.load_s + devices.device_s(guest),
        "reconnect backends": host.reconnect_s * devices.vhost_users(guest),
        "resume": host.resume_s,
        "translate code": translate_s(case),
        "announce": host.announce_s,
    }


def stopped_s(case: Scenario) -> Any:
    """Return the sum of the parts before the guest is ready to run at the destination [s].

    Examples
    --------
    >>> from migkit import Guest, Host
    >>> stopped_s(Scenario(guest=Guest(memory_bytes=2**28), host=Host(platform="qemu-tcg", load_s=0.02)))
    0.02
    """
    return sum(value for name, value in fixed_parts(case).items() if name not in _AFTERWARDS)


def resume_s(case: Scenario) -> Any:
    """Return the time from ready to running, and to known in the network where that counts [s].

    Examples
    --------
    >>> from migkit import Guest, Host
    >>> resume_s(Scenario(guest=Guest(memory_bytes=2**28), host=Host(resume_s=0.25, announce_s=0.5)))
    0.75
    """
    return case.host.resume_s + case.host.announce_s


def translate_s(case: Scenario) -> Any:
    """Return how long the destination translates code until a program of the guest runs again [s].

    The source has been released by then, so that it is no part of the total time. The cache of translated code
    (accel/tcg/translate-all.c) is no part of the state that QEMU sends.

    Examples
    --------
    >>> from migkit import Guest, Host
    >>> guest = Guest(memory_bytes=2**28, restart_blocks=2000)
    >>> translate_s(Scenario(guest=guest, host=Host(platform="qemu-tcg"))), translate_s(Scenario(guest=guest))
    (0.012, 0.0)
    """
    return case.host.translate_block_s * case.guest.restart_blocks
