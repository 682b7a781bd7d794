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
import select
import signal
import subprocess
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import psutil

from migkit.errors import MigkitError
from migkit.harness import _linux, network
from migkit.harness.channel import Channel, ClosedError
from migkit.scenario import rules

__all__ = ["Nursery", "Process", "serve"]

_ROLES: Final = {
    "guest": "migkit.harness.guest",
    "source": "migkit.harness.source",
    "destination": "migkit.harness.destination",
    "relay": "migkit.harness.relay",
    "network": "migkit.harness.network",
}
_START: Final = "from migkit.harness import nursery; nursery.serve({})"


class Process:
    """A process of a nursery."""

    def __init__(self, nursery: Nursery, role: str, pid: int) -> None:
        self.role, self.pid = role, pid
        self._nursery = nursery
        self._pidfd = os.pidfd_open(pid)
        self._status: int | None = None
        self._used = 0.0, 0

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self._status is None and not select.select([self._pidfd], [], [], 0.0)[0]

    def used(self) -> tuple[float, int]:
        """Return the processor time used [s] and the memory held [B]; as last seen when it has ended."""
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(self.pid)
            with process.oneshot():
                times, held_bytes = process.cpu_times(), process.memory_info().rss
            if held_bytes:  # one that has ended holds none, until it is reaped
                self._used = times.user + times.system, held_bytes
        return self._used

    def wait(self, timeout_s: float | None = None) -> int | None:
        """Return its exit code (negative: the signal that ended it), or None when it has not ended in time."""
        if self._status is None:
            if not select.select([self._pidfd], [], [], timeout_s)[0]:
                return None
            self._status = int(self._nursery.ask({"do": "reap", "pid": self.pid})["status"])
            os.close(self._pidfd)
        return self._status

    def signal(self, kind: signal.Signals) -> None:
        """Send it a signal, if it has not ended."""
        if self._status is None:
            try:
                signal.pidfd_send_signal(self._pidfd, kind)
            except ProcessLookupError:
                return

    def end(self) -> None:
        """Kill it and wait until it is gone."""
        self.signal(signal.SIGKILL)
        self.wait()


class Nursery:
    """Starts processes by role; a context manager that leaves none behind."""

    def __init__(self) -> None:
        self._channel, theirs = Channel.pair("nursery")
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in (_package_path(), *sys.path) if p)}
        self._process = subprocess.Popen(
            [sys.executable, "-c", _START.format(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env=environment,
            start_new_session=True,
            stdin=subprocess.DEVNULL,
        )
        theirs.close()
        self._children: list[Process] = []
        self._asked = 0
        try:
            self._channel.receive()
        except BaseException:
            self.close()
            raise

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
        """Start a process; the channels are its own from now on, closed here."""
        message = {"do": "start", "role": role, "config": dict(config), "channels": list(channels)}
        answer = self.ask(message, [channel.fileno() for channel in channels.values()])
        for channel in channels.values():
            channel.close()
        process = Process(self, role, int(answer["pid"]))
        self._children.append(process)
        return process

    def ask(self, message: dict[str, Any], descriptors: Sequence[int] = ()) -> dict[str, Any]:
        """Return the nursery's answer to a request.

        An interruption may leave the answer to an earlier request untaken: it is passed over.
        """
        self._asked += 1
        self._channel.send(message | {"number": self._asked}, descriptors)
        while True:
            answer = self._channel.receive()
            if answer["number"] == self._asked:
                return answer

    def close(self) -> None:
        """End all processes and the nursery itself; a second call does nothing."""
        for child in self._children:
            if self._process.poll() is None:
                child.end()
        self._children.clear()
        self._channel.close()
        self._process.wait()


def serve(descriptor: int) -> None:
    """Be the nursery: fork on request until the owner closes its end."""
    import socket

    _end_with_owner()
    owner = Channel(socket.socket(fileno=descriptor), "owner")
    roles = {role: importlib.import_module(module) for role, module in _ROLES.items()}
    importlib.import_module("migkit.harness.warm").warm_up()
    gc.freeze()  # a collection in a child would look at, and so copy, all that was loaded here
    children: set[int] = set()
    with contextlib.suppress(ClosedError):  # an owner who is interrupted may go before its answer comes
        owner.send({"ready": True})
        while True:
            _obey(owner, roles, children)
    for child in children:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _obey(owner: Channel, roles: Mapping[str, Any], children: set[int]) -> None:
    """Do what the owner asks next: reap a child, or fork one."""
    message, descriptors = owner.receive_with_descriptors()
    if message["do"] == "reap":
        _, status = os.waitpid(message["pid"], 0)
        children.discard(message["pid"])
        owner.send({"number": message["number"], "status": os.waitstatus_to_exitcode(status)})
        return
    pid = os.fork()
    if pid == 0:
        owner.close()
        _live(roles[message["role"]].main, message, descriptors)
    children.add(pid)
    for each in descriptors:
        os.close(each)
    owner.send({"number": message["number"], "pid": pid})


def _live(main: Any, message: dict[str, Any], descriptors: list[int]) -> None:
    """Be a child: run its role and end, whatever happens."""
    import socket

    code = 1
    try:
        _linux.die_with_parent()
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
            network.enter(channels["owner"].receive_with_descriptors()[1][0])
        main(config, **channels)
    except MigkitError as error:
        _tell(channels["owner"], {"error": str(error), "kind": type(error).__name__})
        return error.exit_code
    except BaseException as error:
        _tell(channels["owner"], {"error": f"internal error: {error!r}", "kind": "RunError"})
        traceback.print_exc()
        raise
    return 0


def _tell(owner: Channel, message: dict[str, Any]) -> None:
    """Send a last message; an owner who is gone needs none."""
    with contextlib.suppress(ClosedError):
        owner.send(message)


def _end_with_owner() -> None:
    """Leave terminal signals to the owner, who ends this process in order."""
    for kind in (signal.SIGINT, signal.SIGHUP):
        signal.signal(kind, signal.SIG_IGN)


def _package_path() -> str:
    return str(Path(__file__).resolve().parents[2])
