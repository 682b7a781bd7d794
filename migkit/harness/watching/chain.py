"""A chain of system calls that a thread makes by itself and that ends where it began.

The chain stands in memory below the thread's stack, like a signal's frame, and begins by one change
of its registers. Each link is a frame of ``rt_sigreturn``, which sets all registers and the signal
mask in one step of the kernel. Nobody has to come back: the last frame is the thread as it was. ::

    A   the thread: all signals blocked, clone (it waits until the new thread has ended)
    C   the new thread: a table of descriptors of its own, userfaultfd, a short wait, exit
    B   the thread as it was: registers, mask, floating point, and the call that it was in once more
    E   the thread as it was, its call ended by EINTR: a handler ran before A, so the kernel says
    D   instead of B, after a call that gave work away and had then to wait: the wait, then the thread as it was

The kernel holds the thread back until the new one has ended (``CLONE_VFORK``). Filters such as QEMU's
kill for that flag and allow exactly the flags of the C library's threads; there the thread waits at a
futex that the kernel wakes when the new thread ends, for a second at most should it never have begun.

When the thread was stopped in a system call that the kernel restarts, its registers say that the
call to restart is A's ``rt_sigreturn``. So the kernel itself decides between A and E by its own
rules, and a call that waits for a signal without a race (``sigsuspend``, ``ppoll``) misses none.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping as Map
from typing import Final, NamedTuple

from migkit.harness.linux import calls as system
from migkit.harness.linux.maps import mappings
from migkit.harness.linux.ptrace import TOP, Registers
from migkit.harness.watching.rest import Again

__all__ = ["CALLS", "RED_ZONE_BYTES", "RELEASE", "RESUMES", "Chain", "Gadgets", "State", "build", "find_gadgets"]

RED_ZONE_BYTES: Final = 128
RELEASE: Final = 64  # the signal that ends the new thread's wait: SIGRTMAX
_ALL_SIGNALS: Final = TOP - 1
_WAIT_NS: Final = 10_000_000

_VM, _FS, _FILES, _SIGHAND = 0x100, 0x200, 0x400, 0x800
_VFORK, _THREAD, _SYSVSEM, _PARENT_SETTID = 0x4000, 0x10000, 0x40000, 0x100000
_SETTLS, _CHILD_CLEARTID = 0x80000, 0x200000
_AS_THREADS: Final = _VM | _FS | _FILES | _SIGHAND | _THREAD | _SYSVSEM | _PARENT_SETTID
_FLAGS: Final = {"vfork": _AS_THREADS | _VFORK, "thread": _AS_THREADS | _SETTLS | _CHILD_CLEARTID}
_LIVES: Final = 1  # the word that the kernel sets to 0 when the new thread ends
_UNSHARE: Final = 2
_UFFD_FLAGS: Final = 0o2000000 | 0o4000 | 1  # close on exec, does not block, faults of user code only
_SIGRETURN: Final = 15

_Calls = tuple[tuple[str, int, tuple[int, ...]], ...]
_COMMON: Final[_Calls] = (
    ("rt_sigreturn", _SIGRETURN, ()),
    ("close_range", 436, (0, 0xFFFFFFFF, _UNSHARE)),
    ("userfaultfd", 323, (_UFFD_FLAGS,)),
    ("rt_sigtimedwait", 128, (0, 0, 0, 8)),
    ("exit", 60, (0,)),
)
CALLS: Final[Map[str, _Calls]] = {
    "vfork": (*_COMMON, ("clone", 56, (_FLAGS["vfork"],))),
    "thread": (*_COMMON, ("clone", 56, (_FLAGS["thread"],)), ("futex", 202, (0, 0, _LIVES))),
}
"""Every call that a chain makes, by its way: name, number, arguments (addresses are 0)."""

RESUMES: Final = ("restart_syscall", 219, ())
"""The call by which the kernel goes on with a sleep that was interrupted."""

_NUMBER: Final = {name: number for name, number, _ in CALLS["thread"]}
_CALL_RETURN: Final = re.compile(rb"\x0f\x05\xc3")
_RESTORER: Final = re.compile(rb"(?:\x48\xc7\xc0|\xb8)\x0f\x00\x00\x00\x0f\x05")
_PIVOT: Final = re.compile(
    rb"\x48\x81\xc4(..\x00\x00)((?:[\x5b\x5d]|\x41[\x5c-\x5f])*)\xc3", re.DOTALL
)  # add $n, %rsp; pops; ret
_POP: Final = re.compile(rb"\x41?[\x5b-\x5f]")
_LARGEST_PIVOT: Final = 4096
_LARGEST_CODE: Final = 256 << 20

_UCONTEXT: Final = struct.Struct("<QQQiiQ" + "16Q" + "QQ4H" + "4QQ" + "8Q" + "Q")
_ORDER: Final = (*(f"r{i}" for i in range(8, 16)), "rdi", "rsi", "rbp", "rbx", "rdx", "rax", "rcx", "rsp")
_FP_XSTATE_AND_SS: Final = 7
_NO_SUCH_STACK: Final = 0x40  # a mode that does not exist: the alternative stack is left alone
_EINTR: Final = 4

_SOFTWARE_BYTES_AT: Final = 464
_MAGIC_1, _MAGIC_2 = 0x46505853, 0x46505845
_BEFORE_TILES_BYTES: Final = 2752  # AMX state begins there; a task that may not use it has no room for it
_PKRU_END_BYTES: Final = 2696
_TILES: Final = 3 << 17


class Gadgets(NamedTuple):
    """Addresses of instructions that the program holds.

    Attributes
    ----------
    call
        ``syscall; ret``.
    restorer
        ``mov $15, %eax; syscall``.
    pivot
        ``add $n, %rsp``, pops, ``ret``.
    pivot_bytes
        How far it moves the stack pointer, before its ``ret``.
    """

    call: int
    restorer: int
    pivot: int
    pivot_bytes: int


class State(NamedTuple):
    """A stopped thread.

    Attributes
    ----------
    registers
        Its general registers.
    mask
        Its signal mask [one bit a signal].
    floats
        Its floating point as ``XSAVE`` lays it out.
    again
        How the call that it is in differs when it is made once more; None: it does not.
    wait
        Arguments of that call to make before it returns what it has returned; None: it returns.
    """

    registers: Registers
    mask: int
    floats: bytes
    again: Again | None = None
    wait: tuple[int, ...] | None = None


class Chain(NamedTuple):
    """What to write where, and the registers that begin it.

    Attributes
    ----------
    base
        Where ``image`` belongs.
    image
        The frames.
    start
        The registers that begin it.
    thread_at
        Where the number of the new thread will stand, as its own process id namespace counts.
    """

    base: int
    image: bytes
    start: Registers
    thread_at: int


def find_gadgets(pid: int) -> Gadgets | None:
    """Return the instructions that a chain needs, from code that stays: the kernel's page and files.

    None: the program does not hold them all.
    """
    code = [m for m in mappings(pid) if "x" in m.permissions and (m.path == "[vdso]" or m.path.startswith("/"))]
    found: dict[str, tuple[int, re.Match[bytes]]] = {}
    for mapping in sorted(code, key=lambda m: ("libc" not in m.path, m.path != "[vdso]", m.start)):
        image = bytearray(min(mapping.length_bytes, _LARGEST_CODE))
        try:
            system.read_memory(pid, mapping.start, memoryview(image))
        except OSError:
            continue  # a file that was truncated under its mapping
        for name, match in _gadgets_in(bytes(image)).items():
            found.setdefault(name, (mapping.start + match.start(), match))
        if len(found) == 3:
            return _gadgets(found)
    return None


def _gadgets_in(code: bytes) -> dict[str, re.Match[bytes]]:
    pivots = [m for m in _PIVOT.finditer(code) if _UCONTEXT.size <= _moves(m) <= _LARGEST_PIVOT]
    found = {
        "call": _CALL_RETURN.search(code),
        "restorer": _RESTORER.search(code),
        "pivot": min(pivots, key=_moves, default=None),
    }
    return {name: match for name, match in found.items() if match is not None}


def _moves(match: re.Match[bytes]) -> int:
    return int.from_bytes(match[1], "little") + 8 * len(_POP.findall(match[2]))


def _gadgets(found: Map[str, tuple[int, re.Match[bytes]]]) -> Gadgets:
    pivot, match = found["pivot"]
    return Gadgets(found["call"][0], found["restorer"][0], pivot, _moves(match))


class _Layout:
    """Offsets of the parts of a chain from its base."""

    def __init__(self, gadgets: Gadgets, float_bytes: int) -> None:
        self.a = 0
        self.ended = 8 + gadgets.pivot_bytes
        self.back = self.ended + 8 + _UCONTEXT.size
        self.calls = [self.back + (8 + _UCONTEXT.size) * (1 + i) for i in range(5)]
        self.after = self.calls[-1] + 8 + _UCONTEXT.size
        self.words = self.after + 8 + _UCONTEXT.size
        self.limit = self.words + 64
        self.floats = -(-(self.limit + 16) // 64) * 64
        self.total = self.floats + float_bytes


def build(state: State, gadgets: Gadgets, way: str = "vfork") -> Chain:
    """Return the chain for a stopped thread, one of the ways of :data:`CALLS`; nothing is touched."""
    floats = _signal_frame(state.floats)
    layout = _Layout(gadgets, len(floats))
    base = (state.registers.rsp - RED_ZONE_BYTES - layout.total) & ~63
    image = bytearray(layout.total)

    def put(offset: int, registers: Registers, mask: int, flags: int = _FP_XSTATE_AND_SS) -> None:
        image[offset : offset + _UCONTEXT.size] = _ucontext(registers, mask, flags, base + layout.floats)

    def call(name: str, arguments: tuple[int, ...], then: int) -> Registers:
        return _calling(state.registers, gadgets, _NUMBER[name], arguments, base + then)

    tid, wanted, limit, lives, patience = (base + layout.words + at for at in (0, 8, 16, 32, 40))
    waits = layout.back if way == "vfork" else layout.calls[4]
    clone = call("clone", (_FLAGS[way], base + layout.calls[0], tid, lives, state.registers.fs_base), waits)
    put(layout.calls[4] + 8, call("futex", (lives, 0, _LIVES, patience), layout.back), _ALL_SIGNALS)
    put(layout.a, clone, _ALL_SIGNALS, gadgets.pivot)
    put(layout.ended + 8, _as_it_was(state.registers, ended=True), state.mask)
    put(layout.back + 8, _back(state, gadgets, base, layout), state.mask)
    put(layout.after + 8, state.registers, state.mask)
    for i, (name, _, arguments) in enumerate(_COMMON[1:]):
        given = (wanted, 0, limit, 8) if name == "rt_sigtimedwait" else arguments
        put(layout.calls[i] + 8, call(name, given, layout.calls[min(i + 1, 3)]), _ALL_SIGNALS)
    for at in (layout.ended, layout.back, layout.after, *layout.calls):
        struct.pack_into("<Q", image, at, gadgets.restorer)
    words = (0, 1 << (RELEASE - 1), 0, _WAIT_NS, _LIVES, 1, 0)
    struct.pack_into("<7Q", image, layout.words, *words)
    if state.again is not None:
        image[layout.limit : layout.limit + len(state.again.pointed)] = state.again.pointed
    image[layout.floats :] = floats
    return Chain(base, bytes(image), _start(state.registers, gadgets, base), tid)


def _start(registers: Registers, gadgets: Gadgets, frame: int) -> Registers:
    """Return the registers with which the kernel makes, or restarts, the ``rt_sigreturn`` of frame A."""
    start = Registers.from_buffer_copy(registers)
    start.rsp = frame
    if restarts(registers):
        start.rip, start.orig_rax = gadgets.call + 2, _SIGRETURN
    else:
        start.rip, start.rax, start.orig_rax = gadgets.call, _SIGRETURN, TOP - 1
    return start


def restarts(registers: Registers) -> bool:
    """Whether a stopped thread is in a system call that the kernel is about to restart (-512 to -514)."""
    return bool(registers.orig_rax != TOP - 1 and TOP - 514 <= registers.rax <= TOP - 512)


def _back(state: State, gadgets: Gadgets, base: int, layout: _Layout) -> Registers:
    """Return the registers that end a chain: the thread's own, or those of the wait that its call has still to do."""
    if state.wait is not None:
        number = state.registers.orig_rax
        return _calling(state.registers, gadgets, number, state.wait, base + layout.after)
    was = _as_it_was(state.registers, ended=False)
    if state.again is not None:
        value = base + layout.limit if state.again.pointed else state.again.value
        setattr(was, state.again.register, value)
    return was


def _as_it_was(registers: Registers, *, ended: bool) -> Registers:
    """Return a thread's registers at the end: its call is made once more, or was ended by a signal."""
    was = Registers.from_buffer_copy(registers)
    if ended:
        was.rax = TOP - _EINTR
    elif restarts(registers):
        was.rip -= 2
        was.rax = registers.orig_rax
    return was


def _calling(was: Registers, gadgets: Gadgets, number: int, arguments: tuple[int, ...], stack: int) -> Registers:
    """Return registers that make a call, whose ``ret`` takes the address at ``stack``."""
    registers = Registers.from_buffer_copy(was)
    registers.rip, registers.rax, registers.rsp = gadgets.call, number, stack
    for register, argument in zip(("rdi", "rsi", "rdx", "r10", "r8", "r9"), arguments, strict=False):
        setattr(registers, register, argument)
    return registers


def _ucontext(registers: Registers, mask: int, flags: int, floats: int) -> bytes:
    general = (getattr(registers, name) for name in _ORDER)
    segments = (registers.cs & 0xFFFF, registers.gs & 0xFFFF, registers.fs & 0xFFFF, registers.ss & 0xFFFF)
    stack = (0, _NO_SUCH_STACK, 0, 0)
    rest = (0, 0, 0, 0, floats, *(0,) * 8, mask)
    return _UCONTEXT.pack(flags, 0, *stack, *general, registers.rip, registers.eflags, *segments, *rest)


def _signal_frame(floats: bytes) -> bytes:
    """Return the floating-point state as the kernel wants it behind a signal's frame."""
    components = int.from_bytes(floats[_SOFTWARE_BYTES_AT : _SOFTWARE_BYTES_AT + 8], "little")
    if len(floats) > _BEFORE_TILES_BYTES and components & _TILES:
        floats, components = floats[:_PKRU_END_BYTES], components & ~_TILES
    image = bytearray(floats) + struct.pack("<I", _MAGIC_2)
    struct.pack_into("<IIQI28x", image, _SOFTWARE_BYTES_AT, _MAGIC_1, len(image), components, len(floats))
    return bytes(image)
