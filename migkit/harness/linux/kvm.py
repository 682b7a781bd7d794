"""How fast KVM runs guest code here, measured with a virtual machine of one page.

Under nested virtualisation KVM may emulate 32-bit code instruction by instruction, a hundred
times slower than software emulation; only running some tells. Numbers: ``linux/kvm.h``.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import struct
import time
from contextlib import ExitStack
from typing import Final

from migkit.harness.linux import calls

__all__ = ["loop_rate_per_s"]

_API: Final = 0xAE
_CREATE_VM: Final = calls.iowr(_API, 0x01, 0, 0)
_VCPU_MMAP_SIZE: Final = calls.iowr(_API, 0x04, 0, 0)
_CREATE_VCPU: Final = calls.iowr(_API, 0x41, 0, 0)
_RUN: Final = calls.iowr(_API, 0x80, 0, 0)
_SET_MEMORY: Final = calls.iowr(_API, 0x46, 32, 1)
_SET_REGISTERS: Final = calls.iowr(_API, 0x82, 144, 1)
_GET_SYSTEM: Final = calls.iowr(_API, 0x83, 312, 2)
_SET_SYSTEM: Final = calls.iowr(_API, 0x84, 312, 1)
_SET_TSS: Final = calls.iowr(_API, 0x47, 0, 0)

_CODE: Final = bytes.fromhex("49 75 fd f4")  # loop: dec ecx; jnz loop; hlt
_EXIT_HLT: Final = 5
_SEGMENT_BYTES: Final = 24
_CR0_OFFSET: Final = 8 * _SEGMENT_BYTES + 2 * 16
_PROBE_S: Final = 0.02
_MOST_STEPS: Final = 1 << 28


class _Bytes312(ctypes.Structure):
    _fields_ = [("raw", ctypes.c_uint8 * 312)]


_REGISTERS: Final = ("rax rbx rcx rdx rsi rdi rsp rbp", "r8 r9 r10 r11 r12 r13 r14 r15 rip rflags")


class _Registers(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in " ".join(_REGISTERS).split()]


class _Memory(ctypes.Structure):
    _fields_ = [
        ("slot", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("guest_address", ctypes.c_uint64),
        ("length", ctypes.c_uint64),
        ("address", ctypes.c_uint64),
    ]


def loop_rate_per_s() -> float:
    """Return how many turns of a two-instruction 32-bit loop a second KVM runs.

    Raises
    ------
    OSError
        No KVM, no permission, or a machine that stops elsewhere than at the loop's end (EIO).
    """
    with ExitStack() as stack:
        kvm = _opened(stack, os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC))
        machine = _opened(stack, calls.ioctl(kvm, _CREATE_VM, 0, "KVM_CREATE_VM"))
        memory = stack.enter_context(mmap.mmap(-1, mmap.PAGESIZE))
        memory[: len(_CODE)] = _CODE
        view = ctypes.c_char.from_buffer(memory)
        argument = _Memory(0, 0, 0, mmap.PAGESIZE, ctypes.addressof(view))
        del view
        calls.ioctl(machine, _SET_TSS, 0xFFFBD000, "KVM_SET_TSS_ADDR")
        calls.ioctl(machine, _SET_MEMORY, argument, "KVM_SET_USER_MEMORY_REGION")
        processor = _opened(stack, calls.ioctl(machine, _CREATE_VCPU, 0, "KVM_CREATE_VCPU"))
        state_bytes = calls.ioctl(kvm, _VCPU_MMAP_SIZE, 0, "KVM_GET_VCPU_MMAP_SIZE")
        state = stack.enter_context(mmap.mmap(processor, state_bytes))
        _enter_32_bit(processor)
        return _measured(processor, state)


def _opened(stack: ExitStack, descriptor: int) -> int:
    stack.callback(os.close, descriptor)
    return descriptor


def _enter_32_bit(processor: int) -> None:
    """Set flat 32-bit protected mode without paging."""
    system = _Bytes312()
    calls.ioctl(processor, _GET_SYSTEM, system, "KVM_GET_SREGS")
    for index in range(6):
        kind = 11 if index == 0 else 3
        segment = struct.pack("<QIHBBBBBBBBBx", 0, 0xFFFFFFFF, 8 + 8 * index, kind, 1, 0, 1, 1, 0, 1, 0, 0)
        ctypes.memmove(ctypes.addressof(system) + index * _SEGMENT_BYTES, segment, _SEGMENT_BYTES)
    cr0 = ctypes.c_uint64.from_buffer(system, _CR0_OFFSET)
    cr0.value |= 1
    calls.ioctl(processor, _SET_SYSTEM, system, "KVM_SET_SREGS")


def _measured(processor: int, state: mmap.mmap) -> float:
    steps = 1 << 10
    while True:
        calls.ioctl(processor, _SET_REGISTERS, _Registers(rcx=steps, rflags=2), "KVM_SET_REGS")
        start_s = time.perf_counter()
        calls.ioctl(processor, _RUN, 0, "KVM_RUN")
        elapsed_s = time.perf_counter() - start_s
        reason = struct.unpack_from("<I", state, 8)[0]
        if reason != _EXIT_HLT:
            raise OSError(5, f"KVM_RUN: ended with exit reason {reason}, not at the end of the loop")
        if elapsed_s >= _PROBE_S or steps >= _MOST_STEPS:
            return steps / elapsed_s
        steps *= 8
