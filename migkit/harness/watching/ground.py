"""Where a stopped thread stands: whether the memory below its stack pointer is free for a chain."""

from __future__ import annotations

import bisect
import struct
from typing import Final

from migkit.harness.linux import calls, ptrace
from migkit.harness.linux.maps import Mapping, mappings
from migkit.harness.linux.ptrace import Registers

__all__ = ["Ground"]

_BELOW_BYTES: Final = 64 << 10
_GROWS: Final = "[stack]"  # the first thread's, which the kernel makes larger when it is used further down
_HANDLER_BYTES: Final = 64 << 10
_TCB_BYTES: Final = 64 << 10
_RSEQ_CRITICAL_AT: Final = 8
_CONTEXT: Final = struct.Struct("<QQQI4xQ144xH")  # of a ``ucontext``: flags, link, stack for signals; code segment
_CONTEXT_FLAGS: Final = (2, 3, 6, 7)  # UC_SIGCONTEXT_SS, which 64-bit frames have, and others
_CODE_64_BIT: Final = 0x33
_NO_STACK: Final = 2  # SS_DISABLE


class Ground:
    """The memory of a program as its threads stand on it.

    Parameters
    ----------
    pid
        The program.
    restorer
        The address that a signal's frame begins with.
    """

    def __init__(self, pid: int, restorer: int) -> None:
        self._pid = pid
        self._mappings = [m for m in mappings(pid) if m.writable]
        self._starts = [m.start for m in self._mappings]
        self._frame_begins = restorer.to_bytes(8, "little")

    def trouble(self, thread: int, registers: Registers, base: int) -> str:
        """Return why a stopped thread cannot make a chain from ``base`` up to its stack; empty: it can."""
        if self._in_sequence(thread, registers):
            return "it is in a restartable sequence"
        mapping = self._mapping_of(registers.rsp)
        if mapping is None or base - mapping.start < (0 if mapping.path == _GROWS else _BELOW_BYTES):
            return "its stack is small"
        if not _is_a_stack(mapping, registers):
            return "it is not on a stack of its own"
        if self._on_stack_for_signals(mapping, registers.rsp):
            return "it handles a signal on a stack for signals"
        return ""

    def word(self, address: int) -> int:
        """Return eight bytes of the program's memory as a number."""
        return int.from_bytes(self.read(address, 8), "little")

    def read(self, address: int, length_bytes: int) -> bytes:
        """Return so many bytes of the program's memory."""
        found = bytearray(length_bytes)
        calls.read_memory(self._pid, address, memoryview(found))
        return bytes(found)

    def _in_sequence(self, thread: int, registers: Registers) -> bool:
        """Whether a thread is in a restartable sequence, which the kernel begins again when it is left alone."""
        area = ptrace.rseq_area(thread)
        section = self.word(area + _RSEQ_CRITICAL_AT) if area else 0
        if not section:
            return False
        start, length = self.word(section + 8), self.word(section + 16)
        return start <= registers.rip < start + length

    def _on_stack_for_signals(self, mapping: Mapping, stack: int) -> bool:
        """Whether the thread is on its stack for signals, with other frames of the program below it.

        A signal's frame tells where that stack is. What is left of an old one may look like it, but tells nonsense.
        """
        above = self.read(stack, min(_HANDLER_BYTES, mapping.end - stack))
        at = above.find(self._frame_begins)
        while at >= 0:
            if _tells_of(above[at + len(self._frame_begins) :][: _CONTEXT.size], stack, stack + at):
                return True
            at = above.find(self._frame_begins, at + 1)
        return False

    def _mapping_of(self, address: int) -> Mapping | None:
        at = bisect.bisect_right(self._starts, address) - 1
        return self._mappings[at] if at >= 0 and address < self._mappings[at].end else None


def _tells_of(context: bytes, stack: int, frame: int) -> bool:
    """Whether a ``ucontext`` says that a stack pointer and its own frame are on a stack for signals."""
    if len(context) < _CONTEXT.size:
        return False
    flags, link, start, disabled, length_bytes, segment = _CONTEXT.unpack(context)
    real = flags in _CONTEXT_FLAGS and link == 0 and segment == _CODE_64_BIT and not disabled & _NO_STACK
    return bool(real and start <= stack <= frame < start + length_bytes)


def _is_a_stack(mapping: Mapping, registers: Registers) -> bool:
    """Whether a mapping is the first thread's stack, or holds a thread's own data behind its stack."""
    if mapping.path == _GROWS:
        return True
    own = registers.rsp < registers.fs_base < mapping.end <= registers.fs_base + _TCB_BYTES
    return own and mapping.path != "[heap]"
