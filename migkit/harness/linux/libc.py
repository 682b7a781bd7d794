"""The C library's functions that kernels call.

In plain Python they fail, as a call does that the kernel of the system refuses; whoever calls a kernel that
uses them goes on from there.
"""

from __future__ import annotations

from typing import Final

from migkit.jit import foreign

__all__ = ["MSG_DONTWAIT", "MSG_MORE", "MSG_NOSIGNAL", "MSG_PEEK", "MSG_TRUNC", "ioctl", "recv", "send"]

MSG_PEEK: Final = 0x02
MSG_TRUNC: Final = 0x20
MSG_DONTWAIT: Final = 0x40
MSG_NOSIGNAL: Final = 0x4000
MSG_MORE: Final = 0x8000


@foreign("intp", "intc", "uintp", "uintp", "intc")
def recv(descriptor: int, address: int, size: int, flags: int) -> int:
    """Receive up to ``size`` bytes to an address; return how many."""
    return -1


@foreign("intp", "intc", "uintp", "uintp", "intc")
def send(descriptor: int, address: int, size: int, flags: int) -> int:
    """Send up to ``size`` bytes from an address; return how many."""
    return -1


@foreign("intc", "intc", "ulong", "uintp")
def ioctl(descriptor: int, command: int, argument: int) -> int:
    """Make an ioctl with the address of its argument."""
    return -1
