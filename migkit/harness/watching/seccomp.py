"""Foresee what the seccomp filters of a thread answer to a system call: classic BPF, as ``linux/filter.h`` has it."""

from __future__ import annotations

import errno
import operator
import struct
from collections.abc import Callable, Sequence
from typing import Final

__all__ = ["answer", "first_refusal", "refusal"]

_ARCH_X86_64: Final = 0xC000003E
_DATA: Final = struct.Struct("<iIQ6Q")  # struct seccomp_data: number, architecture, instruction, arguments
_INSTRUCTION: Final = struct.Struct("<HBBI")
_MEMORY_WORDS: Final = 16
_MOST_STEPS: Final = 1 << 16
_WORD: Final = 0xFFFFFFFF

_ALLOW, _LOG, _ERRNO = 0x7FFF0000, 0x7FFC0000, 0x00050000
_ACTION_MASK: Final = 0xFFFF0000
_ACTIONS: Final = {
    0x80000000: "kills the process",
    0x00000000: "kills the thread",
    0x00030000: "sends SIGSYS",
    0x7FC00000: "asks a supervisor",
    0x7FF00000: "asks a tracer",
}

_ARITHMETIC: Final[dict[int, Callable[[int, int], int]]] = {
    0x00: operator.add,
    0x10: operator.sub,
    0x20: operator.mul,
    0x30: lambda a, b: a // b if b else 0,
    0x40: operator.or_,
    0x50: operator.and_,
    0x60: lambda a, b: a << (b & 31),
    0x70: lambda a, b: a >> (b & 31),
    0x80: lambda a, b: -a,
    0xA0: operator.xor,
}
_JUMPS: Final[dict[int, Callable[[int, int], bool]]] = {
    0x10: operator.eq,
    0x20: operator.gt,
    0x30: operator.ge,
    0x40: lambda a, b: bool(a & b),
}


def first_refusal(filters: Sequence[bytes], calls: Sequence[tuple[str, int, Sequence[int]]]) -> str | None:
    """Return what the filters do to the first of some calls that they do not let pass; None: all pass."""
    return next((found for call in calls if (found := refusal(filters, *call)) is not None), None)


def refusal(filters: Sequence[bytes], name: str, number: int, arguments: Sequence[int]) -> str | None:
    """Return what the filters do to a call, in words; None: they let it pass.

    Parameters
    ----------
    filters
        The instructions of each filter; the most severe answer counts.
    name, number, arguments
        The call.
    """
    padded = (*arguments, *(0,) * (6 - len(arguments)))
    data = _DATA.pack(number, _ARCH_X86_64, 0, *padded)
    answers = [answer(each, data) for each in filters]
    worst = min(answers, key=lambda word: _signed(word & _ACTION_MASK), default=_ALLOW)
    action = worst & _ACTION_MASK
    if action in (_ALLOW, _LOG):
        return None
    if action == _ERRNO:
        return f"{name} fails with {errno.errorcode.get(worst & 0xFFFF, 'an error')}"
    return f"{name} {_ACTIONS.get(action, 'is not let through')}"


def answer(program: bytes, data: bytes) -> int:
    """Return what a filter returns for a ``struct seccomp_data``.

    Raises
    ------
    ValueError
        It is no filter that the kernel would have taken.

    Examples
    --------
    >>> program = _INSTRUCTION.pack(0x20, 0, 0, 0) + _INSTRUCTION.pack(0x16, 0, 0, 0)
    >>> answer(program, _DATA.pack(39, 0, 0, *(0,) * 6))
    39
    """
    instructions = list(_INSTRUCTION.iter_unpack(program))
    a = x = at = 0
    memory = [0] * _MEMORY_WORDS
    for _ in range(_MOST_STEPS):
        if at >= len(instructions):
            break
        code, if_true, if_false, k = instructions[at]
        at += 1
        kind = code & 7
        if kind == 6:
            return a if code & 0x18 == 0x10 else k
        if kind in (0, 1):
            value = _loaded(code, k, data, memory)
            a, x = (value, x) if kind == 0 else (a, value)
        elif kind in (2, 3):
            memory[k] = a if kind == 2 else x
        elif kind == 4:
            a = _ARITHMETIC[code & 0xF0](a, x if code & 8 else k) & _WORD
        elif kind == 5:
            taken = code & 0xF0 == 0 or _JUMPS[code & 0xF0](a, x if code & 8 else k)
            at += k if code & 0xF0 == 0 else if_true if taken else if_false
        else:
            a, x = (x, x) if code & 0x80 else (a, a)
    raise ValueError("seccomp: the filter does not end")


def _loaded(code: int, k: int, data: bytes, memory: Sequence[int]) -> int:
    mode = code & 0xE0
    if mode == 0x00:
        return k
    if mode == 0x60:
        return memory[k]
    if mode == 0x80:
        return len(data)
    return int.from_bytes(data[k : k + 4], "little")


def _signed(word: int) -> int:
    return word - (1 << 32) if word & 0x80000000 else word
