"""A QEMU process that migkit starts: its monitor, its guest's serial port, its log, its end.

The monitor is a socket pair and the serial port two pipes, so nothing lies in the file system. The kernel kills the
process when the thread that started it ends (``setpriv --pdeathsig``), also if that happens before the kernel was
told: then a shell finds another parent, and QEMU is not begun. It has a session of its own, so a Ctrl-C reaches
migkit alone.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from migkit.qemu.guests.console import Console
from migkit.qemu.monitor import EndedError, LackingError, Monitor, NotQemuError
from migkit.units import MIB

__all__ = ["ACCELERATORS", "QEMU", "Machine", "Settings", "found"]

QEMU: Final = "qemu-system-x86_64"
ACCELERATORS: Final = ("tcg", "kvm")
STARTS_WITHIN_S: Final = 30.0
_UNLESS_ORPHAN: Final = 'test "$PPID" = "$0" && exec "$@"'
_MOST_LOG_BYTES: Final = 1 << 16
_LOADER: Final = "lib64/ld-linux-x86-64.so.2"
_LIBRARIES: Final = ("usr/lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu/pulseaudio")
_MODULES: Final = "usr/lib/x86_64-linux-gnu/qemu"
_FIRMWARE: Final = ("usr/share/qemu", "usr/share/seabios")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a machine is made of.

    Attributes
    ----------
    qemu
        The binary: a name that is looked for in PATH, or a path (a script will do that ends with ``exec``). Or a
        folder that holds another Debian with QEMU, as debootstrap makes it.
    accelerator
        ``tcg`` (software emulation) or ``kvm``.
    memory_bytes
        RAM [B], in whole MiB.
    processors
        Virtual ones.
    options
        Further options of QEMU.
    """

    memory_bytes: int
    qemu: str = QEMU
    accelerator: str = "tcg"
    processors: int = 1
    options: tuple[str, ...] = ()


class Machine:
    """A QEMU process; leave its ``async with``, or close it, and nothing of it is left.

    Attributes
    ----------
    name
        What errors call it, e.g. ``source``.
    monitor
        The connection to its monitor.
    console
        The guest's serial port.
    """

    def __init__(self, name: str, settings: Settings, *options: str) -> None:
        self.name = name
        self.monitor: Monitor
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the machine
        self._ours, monitor = socket.socketpair()
        (stdin, writes), (reads, stdout) = os.pipe(), os.pipe()
        self.console = Console(reads, writes)
        try:
            command = [*_command(name, settings), *_channels(monitor), *options]
            self._process = subprocess.Popen(
                command,
                stdin=stdin,
                stdout=stdout,
                stderr=self._log,
                pass_fds=[monitor.fileno()],
                start_new_session=True,
            )
        except BaseException:
            self._close_channels()
            raise
        finally:
            monitor.close()
            os.close(stdin)
            os.close(stdout)

    @classmethod
    async def start(cls, name: str, settings: Settings, *options: str) -> Self:
        """Start QEMU and wait until its monitor answers.

        Raises
        ------
        LackingError
            There is no such binary, no permission for it, or no such accelerator.
        EndedError
            It did not start; the message quotes its log.
        """
        machine = cls(name, settings, *options)
        try:
            machine.monitor = await Monitor.connect(machine._ours, name, STARTS_WITHIN_S)
        except NotQemuError as error:
            code = machine._ended(1.0)
            said = machine.last_line()
            machine.close()
            if code is None:
                raise
            raise EndedError(
                f"{name}: {settings.qemu} did not start ({said}); check the binary and its options"
            ) from error
        except BaseException:
            machine.close()
            raise
        return machine

    @property
    def pid(self) -> int:
        """Process id of QEMU."""
        return self._process.pid

    def check_alive(self, patience_s: float = 0.0) -> None:
        """Raise :class:`EndedError` when QEMU has ended, or ends within ``patience_s``."""
        code = self._ended(patience_s)
        if code is not None:
            raise EndedError(
                f"{self.name}: QEMU {_how(code)} before the end ({self.last_line()}); nothing is recorded"
            )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        await self.monitor.close()

    def close(self) -> None:
        """End the process and wait until it is gone; a second call does nothing."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._close_channels()

    def _close_channels(self) -> None:
        self._ours.close()
        self.console.close()
        self._log.close()

    def log(self) -> list[str]:
        """Return what QEMU wrote to its output so far, line by line."""
        self._log.seek(0)
        return self._log.read(_MOST_LOG_BYTES).decode("utf-8", "replace").splitlines()

    def threads(self) -> dict[str, tuple[str, float]]:
        """Return name and processor time [s] of each thread of QEMU that there is now, by its id."""
        found: dict[str, tuple[str, float]] = {}
        for task in Path(f"/proc/{self.pid}/task").glob("*"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                name, fields = (
                    (task / "comm").read_text().strip(),
                    (task / "stat").read_text().rpartition(")")[2].split(),
                )
                found[task.name] = name, (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return found

    def put_guest_first(self) -> bool:
        """Let the guest's processors and timers go before the threads that copy; return whether that is done.

        A guest that is throttled to 99 % wakes for 10 ms. On a machine with few processors the threads that copy keep
        it waiting for milliseconds of them, which no host with a processor to spare does. It needs the right to
        real-time priority, and a processor that the guest leaves to the others.
        """
        guest = [int(one) for one, (name, _) in self.threads().items() if name.startswith("CPU ")]
        if len(guest) >= len(os.sched_getaffinity(0)):
            return False
        ours = os.sched_getparam(0).sched_priority  # 0: an ordinary process
        above = min(ours + 1, os.sched_get_priority_max(os.SCHED_RR))
        try:
            for task in (self.pid, *guest):
                os.sched_setscheduler(task, os.SCHED_RR, os.sched_param(above))
        except (PermissionError, ProcessLookupError):  # a QEMU that has ended is told where it is asked next
            return False
        return True

    def _ended(self, patience_s: float) -> int | None:
        """Return the exit code of QEMU; None: it runs on."""
        try:
            return self._process.wait(patience_s)
        except subprocess.TimeoutExpired:
            return None

    def first_line(self) -> str:
        """Return what QEMU wrote first, other than warnings."""
        return next((line for line in self.log() if line.strip() and "warning:" not in line), "nothing")

    def last_line(self) -> str:
        """Return what QEMU wrote last."""
        return next((line for line in reversed(self.log()) if line.strip()), "it said nothing")


def found(qemu: str) -> tuple[str, ...]:
    """Return the command that runs a QEMU binary, or that of another Debian in a folder with its own libraries.

    Raises
    ------
    LackingError
        There is none, or it may not be executed.

    Examples
    --------
    >>> found("sh")[0].endswith("/sh")
    True
    """
    if Path(qemu).is_dir():
        return _of_root(Path(qemu).resolve())
    path = shutil.which(qemu)
    if path is not None:
        return (path,)
    if Path(qemu).exists():
        raise LackingError(f"QEMU: {qemu} may not be executed by this user; chmod +x it, or name another with --qemu")
    raise LackingError(
        f"QEMU: there is no {qemu}; apt-get install qemu-system-x86, or name the binary with --qemu PATH"
    )


def _of_root(root: Path) -> tuple[str, ...]:
    loader, binary = root / _LOADER, root / "usr/bin" / QEMU
    for needed in (loader, binary):
        if not needed.exists():
            raise LackingError(
                f"QEMU: the folder {root} has no {needed.relative_to(root)}; make it with "
                "debootstrap --variant=minbase --include=qemu-system-x86 SUITE FOLDER"
            )
    libraries = ":".join(str(root / place) for place in _LIBRARIES)
    firmware = (part for place in _FIRMWARE for part in ("-L", str(root / place)))
    modules = f"QEMU_MODULE_DIR={root / _MODULES}"
    return ("env", modules, str(loader), "--library-path", libraries, "--argv0", QEMU, str(binary), *firmware)


def _command(name: str, settings: Settings) -> list[str]:
    if shutil.which("setpriv") is None:
        raise LackingError("QEMU: setpriv is missing, which ends it with migkit; apt-get install util-linux")
    if settings.accelerator == "kvm" and not os.access("/dev/kvm", os.R_OK | os.W_OK):
        raise LackingError(
            "QEMU: /dev/kvm is missing or may not be used; run as root, join the group kvm, or use --accelerator tcg"
        )
    return [
        *("setpriv", "--pdeathsig", "KILL", "sh", "-c", _UNLESS_ORPHAN, str(os.getpid()), *found(settings.qemu)),
        *("-name", f"{name},debug-threads=on", "-accel", settings.accelerator, "-machine", "pc"),
        *("-nodefaults", "-no-user-config", "-display", "none", "-smp", str(settings.processors)),
        *("-m", str(settings.memory_bytes // MIB), *settings.options),
    ]


def _channels(monitor: socket.socket) -> Sequence[str]:
    return (
        *("-chardev", f"socket,id=monitor,fd={monitor.fileno()}", "-mon", "chardev=monitor,mode=control"),
        *("-chardev", "stdio,id=serial,signal=off", "-serial", "chardev:serial"),
    )


def _how(code: int) -> str:
    """Return in words how a process ended.

    Examples
    --------
    >>> _how(-9), _how(1)
    ('was killed (SIGKILL)', 'ended with code 1')
    """
    return f"was killed ({signal.Signals(-code).name})" if code < 0 else f"ended with code {code}"
