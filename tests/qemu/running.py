"""A virtual machine that runs and writes, with a monitor at a socket."""

import contextlib
import subprocess
import threading
import time

import psutil

from migkit.qemu.guests import layout
from migkit.qemu.guests.image import guest_image
from migkit.qemu.machine import QEMU
from migkit.units import MIB


@contextlib.contextmanager
def running(path, guest, *options):
    """Run a guest as it says, under software emulation; yield its process."""
    guest = layout.as_run(guest, seed=1)
    what = layout.command_line(guest, layout.placed(guest), 1, before_s=0.0)
    memory = str(guest.memory_bytes // MIB)
    with subprocess.Popen(
        [
            *(QEMU, "-accel", "tcg", "-machine", "pc", "-nodefaults", "-display", "none", "-serial", "stdio"),
            *("-m", memory, "-kernel", str(guest_image()), "-append", what),
            *("-qmp", f"unix:{path},server=on,wait=off", *options),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as machine:
        try:
            _begin(machine)
            yield machine
        finally:
            machine.kill()


def _begin(machine):
    """Have the guest write once it is ready; its ticks, bytes of 128 and more, may fall into any word of it."""
    said = b""
    while b"READY" not in said:
        said += bytes(byte for byte in machine.stdout.read1(4096) if byte < 128)
    machine.stdin.write(b"G")
    machine.stdin.flush()
    threading.Thread(target=_drain, args=(machine.stdout,), daemon=True).start()


def _drain(stream):
    with contextlib.suppress(ValueError, OSError):
        while stream.read1(65536):
            pass


def works(machine, seconds=0.5):
    """Return the processor time that a machine used in a while [s]."""
    before = sum(psutil.Process(machine.pid).cpu_times()[:2])
    time.sleep(seconds)
    return sum(psutil.Process(machine.pid).cpu_times()[:2]) - before
