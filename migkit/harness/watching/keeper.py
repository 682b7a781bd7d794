"""The keeper: a process of its own session that holds whatever tracking a program takes, and undoes it.

It visits the program, keeps a copy of the userfaultfd, gives huge pages back that tracking split, and
ends a COMMAND that it started. It does all that too when its owner's end of the socket closes, for
whatever reason. When the keeper itself is killed, the kernel closes its copy, and the owner ends.
It loads nothing heavy, and no signal reaches it but SIGKILL and SIGSTOP.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import socket
import time
from pathlib import Path
from typing import Any, Final

from migkit.errors import MigkitError, RunError, UsageError
from migkit.harness.linux import calls, scanning
from migkit.harness.linux.channel import Channel, ClosedError
from migkit.harness.linux.maps import mappings
from migkit.harness.watching import attach, watchable

__all__ = ["PATIENCE_S", "serve"]

PATIENCE_S: Final = 10.0
_LOOK_S: Final = 0.1
_LOOK_SHARE: Final = 0.01
_COLLAPSE: Final = 25
_AUTOGROUP: Final = Path("/proc/self/autogroup")
_REGISTER: Final = calls.iowr(0xAA, 0x00, 32)
_REGISTER_WRITE_PROTECT: Final = 2
_UNREGISTER: Final = calls.iowr(0xAA, 0x01, 16, direction=2)
_WRITE_PROTECT: Final = calls.iowr(0xAA, 0x06, 24)


class _Range(ctypes.Structure):
    _fields_ = [("start", ctypes.c_uint64), ("length", ctypes.c_uint64)]


class _RangeMode(ctypes.Structure):
    _fields_ = [*_Range._fields_, ("mode", ctypes.c_uint64)]


class _RangeModeResult(ctypes.Structure):
    _fields_ = [*_RangeMode._fields_, ("result", ctypes.c_int64)]


class _Watched:
    """A program that is watched: the copy of its userfaultfd and what it was like before."""

    def __init__(self, pid: int, attachment: attach.Attachment) -> None:
        self.pid = pid
        self.descriptor = attachment.descriptor
        self._pagemap = os.open(f"/proc/{pid}/pagemap", os.O_RDONLY | os.O_CLOEXEC)
        self._pidfd = os.pidfd_open(pid, os.O_EXCL)  # of a thread, for its first thread may have ended
        self._image = watchable.image_of(pid)
        self._huge = self._huge_blocks()
        self.tables_bytes = self._page_tables_bytes()

    def undo(self) -> dict[str, int]:
        """Leave the program as it was; return what that took."""
        with calls.hurried():
            return self._undo()

    def _undo(self) -> dict[str, int]:
        grown = max(0, self._page_tables_bytes() - self.tables_bytes)
        found = {"page_tables_grown_bytes": grown, "huge_pages_split": 0, "huge_pages_given_back": 0}
        if watchable.image_of(self.pid) == self._image:
            with contextlib.suppress(ProcessLookupError, FileNotFoundError):  # it has ended since, and all of it
                self._unregister()
                found |= self._give_back()
        os.close(self.descriptor)
        return found

    def _unregister(self) -> None:
        """Take every protection away first: page faults go on meanwhile, but not while a range is unregistered."""
        ours = [mapping for mapping in self._memory() if self._is_ours(*mapping)]
        for mapping in ours:
            for start, end in scanning.populated(self._pagemap, *mapping, piece_bytes=scanning.HUGE_BYTES):
                self._tell(_WRITE_PROTECT, _RangeMode(start, end - start, 0))
        for mapping in ours:
            for start, end in scanning.pieces(self._pagemap, *mapping):
                self._tell(_UNREGISTER, _Range(start, end - start))

    def _is_ours(self, start: int, end: int) -> bool:
        """Whether a mapping is watched by us: the kernel lets us undo what another tracker watches, too.

        What we watch can be registered again, which changes nothing; what another one watches cannot.
        """
        if not scanning.is_watched(self._pagemap, start, end, with_pages=False):
            return False
        try:
            with calls.foremost():
                what = _RangeModeResult(start, end - start, _REGISTER_WRITE_PROTECT, 0)
                calls.ioctl(self.descriptor, _REGISTER, what)
        except OSError:
            return False
        return True

    def _tell(self, request: int, what: ctypes.Structure) -> None:
        began_s = time.perf_counter()
        with contextlib.suppress(OSError), calls.foremost():  # the last copy that is closed undoes the rest
            calls.ioctl(self.descriptor, request, what)
        time.sleep(time.perf_counter() - began_s)  # whoever waits for the address space comes in between

    def _give_back(self) -> dict[str, int]:
        now = self._huge_blocks()
        still = self._memory()
        split = [at for at in self._huge - now if any(s <= at and at + scanning.HUGE_BYTES <= e for s, e in still)]
        back = sum(self._collapse(at) for at in sorted(split))
        return {"huge_pages_split": len(split), "huge_pages_given_back": back}

    def _collapse(self, at: int) -> bool:
        vector = (ctypes.c_uint64 * 2)(at, scanning.HUGE_BYTES)
        try:
            calls.syscall("process_madvise", self._pidfd, ctypes.addressof(vector), 1, _COLLAPSE, 0)
        except OSError:
            return False  # no huge page is free; the kernel's own daemon may find one later
        return True

    def _huge_blocks(self) -> set[int]:
        found: set[int] = set()
        with contextlib.suppress(OSError):
            for mapping in self._memory():
                found |= scanning.huge_blocks(self._pagemap, *mapping)
        return found

    def _memory(self) -> list[tuple[int, int]]:
        try:
            return [(m.start, m.end) for m in mappings(self.pid) if watchable.is_memory(m)]
        except (FileNotFoundError, ProcessLookupError):
            return []

    def _page_tables_bytes(self) -> int:
        return int(watchable.status(self.pid).get("VmPTE", "0 kB").split()[0]) * 1024


class _Keeper:
    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._owner = Channel(sock, "owner")
        self._command: int | None = None
        self._watched: _Watched | None = None

    def run(self) -> None:
        """Do as the owner asks until it wants no more, or is gone."""
        try:
            while self._obey():
                pass
        except ClosedError:
            return
        finally:
            self._undo()
            if self._command is not None:
                end_group(self._command)

    def _obey(self) -> bool:
        if not self._asked():
            return True
        message = self._owner.receive()
        try:
            return bool(getattr(self, f"_do_{message['do']}")(message))
        except MigkitError as error:
            self._owner.send({"error": str(error), "code": error.exit_code})
            return True

    def _asked(self) -> bool:
        """Wait for the owner; look at the program meanwhile."""
        wait_s = _LOOK_S
        while not self._owner.ready(wait_s if self._watched else None):
            began_s = time.monotonic()
            if self._watched is not None and watchable.own_userfaultfd(self._watched.pid):
                self._undo()
                self._owner.send({"stopped": "opened a userfaultfd of its own, so tracking was ended"})
            wait_s = max(_LOOK_S, (time.monotonic() - began_s) / _LOOK_SHARE)
        return True

    def _do_start(self, message: dict[str, Any]) -> bool:
        program = message["program"]
        try:
            self._command = os.posix_spawnp(
                program[0],
                program,
                os.environ,
                file_actions=[(os.POSIX_SPAWN_DUP2, 2, 1)],
                setsid=True,
                setsigmask=[],
                setsigdef=[signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ],
            )
        except OSError as error:
            raise UsageError(f"{program[0]}: cannot be started ({error.strerror}); check the command") from error
        code = self._ended_within(self._command, message["warm_up_s"])
        if code is None:
            self._owner.send({"pid": self._command})
            return True
        raise RunError(f"{program[0]}: ended with exit code {code} before it was measured; track a longer program")

    def _ended_within(self, pid: int, warm_up_s: float) -> int | None:
        """Return the exit code of COMMAND if it ends within a time and the owner does not call before."""
        pidfd = os.pidfd_open(pid)
        try:
            if pidfd not in select.select([pidfd, self._socket.fileno()], [], [], warm_up_s)[0]:
                return None
        finally:
            os.close(pidfd)
        self._command = None
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def _do_watch(self, message: dict[str, Any]) -> bool:
        pid = watchable.reachable(message["pid"])
        watchable.check(pid)
        began_s = time.monotonic()
        attachment = attach.attach(pid, self._owner_is_gone)
        try:
            self._watched = _Watched(pid, attachment)
        except (ProcessLookupError, FileNotFoundError) as error:
            os.close(attachment.descriptor)
            raise RunError(
                f"process {pid}: ended before it was tracked; track a program that runs for longer"
            ) from error
        answer = {
            "stopped_s": attachment.stopped_s,
            "tries": attachment.tries,
            "attaching_s": time.monotonic() - began_s,
        }
        self._owner.send(answer, [attachment.descriptor])
        return True

    def _owner_is_gone(self) -> bool:
        try:
            return not self._socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except ConnectionResetError:
            return True

    def _do_finish(self, message: dict[str, Any]) -> bool:
        self._owner.send(self._undo())
        return False

    def _undo(self) -> dict[str, int]:
        watched, self._watched = self._watched, None
        return {} if watched is None else watched.undo()


def end_group(leader: int) -> None:
    """End a child and the group that it leads: asked first, then killed."""
    for number in (signal.SIGTERM, signal.SIGCONT):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(leader, number)
    pidfd = os.pidfd_open(leader)
    select.select([pidfd], [], [], PATIENCE_S)
    os.close(pidfd)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)
    os.waitpid(leader, 0)  # last: until then the number of the group means no other


def serve(descriptor: int) -> None:
    """Be the keeper of whoever holds the other end of a socket."""
    signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals))
    with contextlib.suppress(OSError):  # a session is scheduled as a group: what counts is the group's priority
        _AUTOGROUP.write_text("-20")
    with socket.socket(fileno=descriptor) as sock:
        sock.set_inheritable(False)  # else a command that is started would hold the owner's line open
        _Keeper(sock).run()


def kill_group(leader: int) -> None:
    """Kill a group whose parent is gone."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)
