"""Processes of the harness: forked from one warmed-up parent, ended with it.

A *nursery* is a child process with one thread that has imported and compiled all that a guest,
a source or a destination needs, and forks them within milliseconds. It ends all of them when its
owner closes it or dies; each of them is killed by the kernel should the nursery itself die. It does
not reap a child before the owner asks, so a process id in the owner's hands never means another.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import resource
import select
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import psutil

from migkit import isolation
from migkit.errors import MigkitError, RunError
from migkit.harness.linux import calls
from migkit.harness.linux.channel import Channel, ClosedError, DescriptorsError
from migkit.harness.paths import namespaces
from migkit.interruption import undisturbed
from migkit.scenario import rules
from migkit.units import MIB, format_size

__all__ = ["Nursery", "Process", "serve"]

_ROLES: Final = {
    "guest": "migkit.harness.guests.guest",
    "source": "migkit.harness.sides.source",
    "destination": "migkit.harness.sides.destination",
    "relay": "migkit.harness.paths.relay",
    "network": "migkit.harness.paths.namespaces",
}
_END_S: Final = 10.0  # within which the kernel ends a process that was killed
_LEAST_BYTES: Final = 448 * MIB  # of address space, for what is compiled; with less, OpenBLAS may try for ever
_WARM_S: Final = 300.0
_ANSWER_S: Final = 60.0
_START: Final = "from migkit.harness.processes import nursery; nursery.serve({})"


class Process:
    """A process of a nursery. It can be ended, and its end is noticed, whatever the nursery does meanwhile."""

    def __init__(self, nursery: Nursery, role: str, pid: int) -> None:
        self.role, self.pid = role, pid
        self._nursery = nursery
        self._pidfd = os.pidfd_open(pid)
        self._is_over = False
        self._used = 0.0, 0

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return not self._is_over and not select.select([self._pidfd], [], [], 0.0)[0]

    @property
    def is_over(self) -> bool:
        """Whether it has ended and was waited for."""
        return self._is_over

    def is_stopped(self) -> bool:
        """Say whether it stands still because of a signal or a debugger."""
        return self.alive and calls.is_stopped(self.pid)

    def used(self) -> tuple[float, int]:
        """Return the processor time used [s] and the memory held [B]; as last seen when it has ended."""
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(self.pid)
            with process.oneshot():
                times, held_bytes = process.cpu_times(), process.memory_info().rss
            if held_bytes:  # one that has ended holds none, until it is reaped
                self._used = times.user + times.system, held_bytes
        return self._used

    def wait(self, timeout_s: float) -> bool:
        """Say whether it has ended within the time."""
        if not self._is_over:
            if not select.select([self._pidfd], [], [], timeout_s)[0]:
                return False
            self._is_over = True
            os.close(self._pidfd)
            self._nursery.reap(self.pid)
        return True

    def signal(self, kind: signal.Signals) -> None:
        """Send it a signal, if it has not ended."""
        if not self._is_over:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, kind)

    def end(self) -> bool:
        """Kill it, stopped or not, and wait until it is gone; False: the kernel has not ended it in time."""
        self.signal(signal.SIGKILL)
        return self.wait(_END_S)


class Nursery:
    """Starts processes by role; a context manager that leaves none behind. Several threads may share one."""

    def __init__(self) -> None:
        _check_address_space()
        self._channel, theirs = Channel.pair("nursery")
        self._process = subprocess.Popen(
            isolation.python(_START.format(theirs.fileno())),
            pass_fds=[theirs.fileno()],
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},  # a run does no linear algebra; each thread takes memory
        )
        theirs.close()
        self._children: list[Process] = []
        self._turn = threading.RLock()
        self._asked = 0
        self._is_ready = False
        self._channel.is_stopped = lambda: calls.is_stopped(self._process.pid)
        try:
            self._begin()
        except BaseException:
            self.close()
            raise

    def _begin(self) -> None:
        """Tell the nursery whom it belongs to, and wait until it is warm.

        The kernel ends it with the thread that started it, so only the main thread binds it to itself.
        """
        bound = threading.current_thread() is threading.main_thread()
        try:
            self._channel.send({"owner": os.getpid(), "bound": bound})
            answer = self._channel.receive(_WARM_S)
        except ClosedError as error:
            raise RunError(
                "nursery: no process could be started; free memory, or raise the limits (ulimit)"
            ) from error
        if "error" in answer:
            raise RunError(f"nursery: {answer['error']}")
        self._is_ready = True

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self, role: str, config: Mapping[str, Any], channels: Mapping[str, Channel]) -> Process:
        """Start a process; the channels are its own from now on, closed here.

        Raises
        ------
        RunError
            It cannot be started.
        """
        message = {"do": "start", "role": role, "config": dict(config), "channels": list(channels)}
        try:
            answer = self.ask(message, [channel.fileno() for channel in channels.values()])
        finally:
            for channel in channels.values():
                channel.close()
        if "error" in answer:
            raise RunError(f"{role}: {answer['error']}")
        process = self._known(role, int(answer["pid"]))
        with self._turn:
            self._children = [child for child in self._children if not child.is_over] + [process]
        return process

    def _known(self, role: str, pid: int) -> Process:
        try:
            return Process(self, role, pid)
        except OSError as error:  # the child ends with its channel to the owner, or with the nursery
            raise RunError(f"{role}: its process cannot be watched ({error.strerror})") from error

    def ask(self, message: dict[str, Any], descriptors: Sequence[int] = ()) -> dict[str, Any]:
        """Return the nursery's answer to a request.

        An interruption may leave the answer to an earlier request untaken: it is passed over.

        Raises
        ------
        RunError
            It is gone, stopped, or does not answer.
        """
        with self._turn:
            self._asked += 1
            self._channel.send(message | {"number": self._asked}, descriptors)
            while True:
                answer = self._channel.receive(_ANSWER_S)
                if answer["number"] == self._asked:
                    return answer

    def reap(self, pid: int) -> None:
        """Have the record of a child that has ended removed; a nursery that is stopped or gone needs not do it."""
        if self._channel.is_stopped() or self._process.poll() is not None:
            return
        with contextlib.suppress(RunError):
            self.ask({"do": "reap", "pid": pid})

    def close(self) -> None:
        """End all processes and the nursery itself, stopped or not; a second call does nothing."""
        with undisturbed():
            for child in self._children:
                child.signal(signal.SIGKILL)
            for child in self._children:
                child.wait(_END_S)
            self._children.clear()
            self._channel.close()
            if not self._is_ready or self._channel.is_stopped():
                self._process.kill()
            try:
                self._process.wait(_END_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


def _check_address_space() -> None:
    """Raise RunError unless the processes of a run may have the address space that they need."""
    limit_bytes, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit_bytes != resource.RLIM_INFINITY and limit_bytes < _LEAST_BYTES:
        raise RunError(
            f"nursery: the address space of a process is limited to {format_size(limit_bytes)}; "
            f"the processes of a run need {format_size(_LEAST_BYTES)} (raise the limit: ulimit -v)"
        )


def serve(descriptor: int) -> None:
    """Be the nursery: fork on request until the owner closes its end."""
    import socket

    _leave_signals_to_owner()
    owner = Channel(socket.socket(fileno=descriptor), "owner")
    with contextlib.suppress(ClosedError):  # an owner who is interrupted may go before its answer comes
        _belong_to(owner.receive())
        try:
            roles = {role: importlib.import_module(module) for role, module in _ROLES.items()}
            importlib.import_module("migkit.harness.runs.warm").warm_up()
        except (OSError, MemoryError, ImportError, RuntimeError) as error:
            owner.send({"error": f"it cannot be made ready ({_words(error)})"})
            return
        gc.freeze()  # a collection in a child would look at, and so copy, all that was loaded here
        children: set[int] = set()
        owner.send({"ready": True})
        try:
            while True:
                _obey(owner, roles, children)
        finally:
            _end(children)


def _belong_to(message: Mapping[str, Any]) -> None:
    """End with the owner, whatever state this process is in then."""
    if message["bound"]:
        calls.die_with_parent()
        if os.getppid() != message["owner"]:
            sys.exit(1)


def _end(children: set[int]) -> None:
    for child in children:
        os.kill(child, signal.SIGKILL)
    for child in children:
        os.waitpid(child, 0)


def _obey(owner: Channel, roles: Mapping[str, Any], children: set[int]) -> None:
    """Do what the owner asks next: reap a child, or fork one; say why when that cannot be done."""
    try:
        message, descriptors = owner.receive_with_descriptors()
    except DescriptorsError as error:
        owner.send({"number": error.message["number"], "error": str(error)})
        return
    if message["do"] == "reap":
        os.waitpid(message["pid"], 0)
        children.discard(message["pid"])
        owner.send({"number": message["number"]})
        return
    owner.send({"number": message["number"], **_fork(owner, roles, children, message, descriptors)})


def _fork(
    owner: Channel, roles: Mapping[str, Any], children: set[int], message: dict[str, Any], descriptors: list[int]
) -> dict[str, Any]:
    """Start a child; return what the owner is told: its process id, or why there is none."""
    nursery = os.getpid()
    try:
        pid = os.fork()
    except OSError as error:
        return {"error": f"no process can be started ({error.strerror})"}
    else:
        if pid == 0:
            owner.close()
            _live(roles[message["role"]].main, message, descriptors, nursery)
        children.add(pid)
        return {"pid": pid}
    finally:
        for each in descriptors:
            os.close(each)


def _live(main: Any, message: dict[str, Any], descriptors: list[int], nursery: int) -> None:
    """Be a child: run its role and end, whatever happens."""
    import socket

    code = 1
    try:
        calls.die_with_parent()
        if os.getppid() != nursery:
            return
        channels = {
            name: Channel(socket.socket(fileno=each), name)
            for name, each in zip(message["channels"], descriptors, strict=True)
        }
        code = _report(main, message["config"], channels)
    finally:
        sys.stderr.flush()
        os._exit(code)


def _report(main: Any, config: dict[str, Any], channels: dict[str, Channel]) -> int:
    """Run ``main``; tell the owner about an error that it raises, return the exit code."""
    try:
        rules.recall(config.get("rule"))
        if config.get("enters"):
            namespaces.enter(channels["owner"].receive_with_descriptors()[1][0])
        main(config, **channels)
    except MigkitError as error:
        _tell(channels["owner"], {"error": str(error), "kind": type(error).__name__})
        return error.exit_code
    except BaseException as error:  # noqa: BLE001 - whatever it is, the owner says where the guest is
        _tell(channels["owner"], {"error": _words(error), "kind": "RunError"})
        return 1
    return 0


def _words(error: BaseException) -> str:
    """Return an error that this program did not raise on purpose, in a line."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"
    if isinstance(error, MemoryError):
        return "out of memory"
    at = traceback.extract_tb(error.__traceback__)[-1]
    return f"internal error: {error!r} at {Path(at.filename).name}:{at.lineno}"


def _tell(owner: Channel, message: dict[str, Any]) -> None:
    """Send a last message; an owner who is gone needs none."""
    with contextlib.suppress(ClosedError):
        owner.send(message)


def _leave_signals_to_owner() -> None:
    """Leave terminal signals to the owner, who ends this process in order."""
    for kind in (signal.SIGINT, signal.SIGHUP):
        signal.signal(kind, signal.SIG_IGN)
