"""Whether a program can be watched unharmed, found by looking before it is touched."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from migkit import files
from migkit.errors import CapabilityError, UsageError
from migkit.harness.linux import ptrace, scanning
from migkit.harness.linux.maps import Mapping, mappings

__all__ = [
    "UFFD_LINK",
    "check",
    "descriptors",
    "image_of",
    "is_memory",
    "lives",
    "own_userfaultfd",
    "reachable",
    "status",
]

UFFD_LINK: Final = "anon_inode:[userfaultfd]"
_SHARED_MEMORY: Final = ("/memfd:", "/dev/shm/", "/dev/zero", "/SYSV")
_KERNEL_THREAD: Final = 0x00200000
_FLAGS_FIELD: Final = 6  # of /proc/PID/stat, behind the name
_START_TIME_FIELD: Final = 19
_IMAGE_FIELDS: Final = (23, 24, 25, 45, 47)  # where code, stack, arguments and environment begin
_ELF_32_BIT: Final = 1
_QUEUES: Final = "/dev/mqueue/"
_QUEUE_TEXT_BYTES: Final = 256
_NOTIFIES: Final = re.compile(rb"QSIZE:\d+ +NOTIFY:\d+ +SIGNO:\d+ +NOTIFY_PID:(\d+) *\n")


def check(pid: int) -> None:
    """Return if the program can be visited.

    Raises
    ------
    UsageError
        There is no such program.
    CapabilityError
        It would be harmed or cannot be visited, with the reason.
    """
    _machine(pid)
    facts = status(pid)
    if not facts:
        raise UsageError(f"process {pid}: there is none; give the id of a running program")
    if not lives(pid):
        raise UsageError(f"process {pid}: has ended; give the id of a running program")
    if int(_stat_fields(pid)[_FLAGS_FIELD]) & _KERNEL_THREAD:
        raise UsageError(f"process {pid}: is a thread of the kernel; give the id of a program")
    _kind(pid)
    for thread in ptrace.threads(pid):
        _thread(pid, status(pid, thread))
    _nobody_watches(pid)
    if own_userfaultfd(pid):
        raise CapabilityError(
            f"process {pid}: handles its own memory with a userfaultfd, which tracking would break; it was left alone"
        )
    _no_notification(pid)


def status(pid: int, thread: int | None = None) -> dict[str, str]:
    """Return the fields of a process's or a thread's ``status``; none: it is gone."""
    path = Path(f"/proc/{pid}/status" if thread is None else f"/proc/{pid}/task/{thread}/status")
    try:
        lines = path.read_text(errors="replace").splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return {}
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def own_userfaultfd(pid: int) -> bool:
    """Whether a descriptor of the program is a userfaultfd."""
    return any(target == UFFD_LINK for _, target in descriptors(pid))


def image_of(pid: int) -> tuple[bytes, ...]:
    """Return what tells a process's program from the one that it runs after an ``execve``; empty: it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rsplit(b")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return ()
    return tuple(fields[i] for i in (_START_TIME_FIELD, *_IMAGE_FIELDS)) if fields[0] not in (b"Z", b"X") else ()


def lives(pid: int) -> bool:
    """Whether a process or a thread is there and has not ended."""
    return status(pid).get("State", "X")[0] not in "ZX"


def reachable(pid: int) -> int:
    """Return a number under which a process's memory is found in ``/proc``: its own, or of a thread that lives.

    The first thread of a process may end before the others; what ``/proc/PID`` says of memory is then empty.
    """
    if lives(pid):
        return pid
    return next((thread for thread in ptrace.threads(pid) if lives(thread)), pid)


def descriptors(pid: int) -> Iterator[tuple[int, str]]:
    """Yield the number of each of a process's descriptors and what it leads to."""
    folder = f"/proc/{pid}/fd"
    try:
        names = os.listdir(folder)  # noqa: PTH208, a program may have many
    except (FileNotFoundError, ProcessLookupError):
        return
    for name in names:
        try:
            yield int(name), os.readlink(f"{folder}/{name}")  # noqa: PTH115
        except OSError:
            continue  # closed since


def is_memory(mapping: Mapping) -> bool:
    """Whether a mapping is writable memory: private, or shared memory, not a file that is mapped shared."""
    if not mapping.writable or mapping.path.startswith("[v"):
        return False
    return "p" in mapping.permissions or mapping.path.startswith(_SHARED_MEMORY)


def _machine(pid: int) -> None:
    if platform.machine() != "x86_64":
        raise CapabilityError(f"process {pid}: tracking from outside needs x86-64, not {platform.machine()}")
    try:
        os.close(os.pidfd_open(os.getpid(), os.O_EXCL))
    except OSError as error:
        raise CapabilityError(
            f"process {pid}: tracking from outside needs Linux 6.9 or later (a pidfd of a thread: {error.strerror})"
        ) from error


def _kind(pid: int) -> None:
    try:
        with Path(f"/proc/{pid}/exe").open("rb") as image:
            head = image.read(5)
    except PermissionError as error:
        raise CapabilityError(f"process {pid}: may not be looked at; run as its user or as root") from error
    except OSError:
        return  # its file is gone or out of reach; its threads' registers tell
    if head[4:5] == bytes([_ELF_32_BIT]):
        raise CapabilityError(f"process {pid}: is a 32-bit program; only 64-bit programs can be tracked")


def _thread(pid: int, facts: dict[str, str]) -> None:
    if not facts:
        return
    if facts["State"][0] in "tT" and facts.get("TracerPid", "0") == "0":
        raise CapabilityError(f"process {pid}: is stopped; let it run on (kill -CONT {pid}) and try again")
    if facts.get("TracerPid", "0") != "0":
        raise CapabilityError(f"process {pid}: is traced by process {facts['TracerPid']}; end that and try again")
    if "shstk" in facts.get("x86_Thread_features", ""):
        raise CapabilityError(f"process {pid}: has shadow stacks, which a visit from outside would break")


def _no_notification(pid: int) -> None:
    """Refuse a program that waits for word of a message queue: whoever closes a copy of the queue ends that wait."""
    for number, target in descriptors(pid):
        if not target.startswith(_QUEUES) and target.rfind("/") != 0:
            continue
        try:
            with files.open_regular(f"/proc/{pid}/fd/{number}") as queue:
                told = _NOTIFIES.fullmatch(queue.read(_QUEUE_TEXT_BYTES))
        except OSError:
            continue  # it is another kind of file, or closed since
        if told and told[1].decode() == status(pid).get("Tgid"):
            raise CapabilityError(
                f"process {pid}: waits for word of the message queue {target.split()[0]} (mq_notify), "
                "which a visit would end; it was left alone"
            )


def _nobody_watches(pid: int) -> None:
    try:
        pagemap = os.open(f"/proc/{pid}/pagemap", os.O_RDONLY | os.O_CLOEXEC)
    except PermissionError as error:
        raise CapabilityError(f"process {pid}: its page map may not be read; run as its user or as root") from error
    except OSError as error:
        raise UsageError(f"process {pid}: has ended; give the id of a running program") from error
    try:
        if any(scanning.is_watched(pagemap, m.start, m.end) for m in mappings(pid) if is_memory(m)):
            raise CapabilityError(f"process {pid}: is being tracked by another program; end that and try again")
    finally:
        os.close(pagemap)


def _stat_fields(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rsplit(b")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError) as error:
        raise UsageError(f"process {pid}: has ended; give the id of a running program") from error
