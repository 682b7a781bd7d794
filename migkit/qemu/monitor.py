"""QEMU's monitor (QMP) through the library ``qemu.qmp``, with one family of errors and time limits."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import os
import socket
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from migkit.errors import CapabilityError, MigkitError, RunError, UsageError, printable
from migkit.qemu import answers

if TYPE_CHECKING:
    from qemu.qmp import QMPClient

__all__ = [
    "LONGEST_PATH_BYTES",
    "EndedError",
    "Event",
    "LackingError",
    "Monitor",
    "NotQemuError",
    "QemuError",
    "RefusedError",
    "is_left",
]

ANSWERS_WITHIN_S: Final = 10.0
LONGEST_PATH_BYTES: Final = 107  # of a UNIX socket, without the byte that ends it: unix(7)
_CREDENTIALS: Final = struct.Struct("3i")  # process, user, group: unix(7)
_UNKNOWN_COMMAND: Final = "CommandNotFound"


class QemuError(MigkitError):
    """Something is wrong with a QEMU or with the way to it."""


class LackingError(QemuError, CapabilityError):
    """There is no QEMU, no permission for it, or its version lacks what is asked for."""


class NotQemuError(QemuError, UsageError):
    """What answers there, if anything does, is no monitor of QEMU."""


class RefusedError(QemuError, RunError):
    """QEMU understood a command and refused it."""


class EndedError(QemuError, RunError):
    """QEMU has ended, or answers no more."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What QEMU told unasked.

    Attributes
    ----------
    name
        E.g. ``STOP``, ``MIGRATION_PASS``.
    data
        What belongs to it.
    time_ns
        When, by QEMU, on the wall clock of its host [ns].
    """

    name: str
    data: Mapping[str, Any]
    time_ns: int


class Monitor:
    """A connection to the monitor of one QEMU; a command is answered within ``limit_s`` or it fails.

    Attributes
    ----------
    name
        What errors call this QEMU.
    pid
        The process that listens at the socket: QEMU, where nobody else opened it for it.
    version
        E.g. ``7.2.22``, as it greets.
    """

    def __init__(self, client: QMPClient, name: str, pid: int, limit_s: float) -> None:
        self._client = client
        self._limit_s = limit_s
        self.name, self.pid = name, pid
        numbers = _version(client).get("qemu", {})
        self.version = ".".join(str(numbers.get(part, 0)) for part in ("major", "minor", "micro"))

    @classmethod
    async def connect(
        cls, address: str | Path | socket.socket, name: str = "QEMU", limit_s: float = ANSWERS_WITHIN_S
    ) -> Self:
        """Connect, check the greeting and negotiate.

        Parameters
        ----------
        address
            The path of a UNIX socket, or a connected socket.
        name
            What errors call this QEMU.
        limit_s
            For the greeting and for each answer [s].

        Raises
        ------
        NotQemuError
            There is no such socket, nobody listens, or who answers is no monitor of QEMU.
        LackingError
            The package ``qemu.qmp`` or the permission is missing.
        """
        errors, client = _library(name)
        if isinstance(address, socket.socket):
            where, ours = f"{name}'s monitor", address
        else:
            where, ours = f"monitor {address}", _connected(Path(address))
        try:
            async with asyncio.timeout(limit_s):
                pid = _peer_of(ours)
                await client.connect(ours)
        except TimeoutError as error:
            ours.close()
            raise NotQemuError(
                f"{where}: said nothing for {limit_s:g} s; QEMU hangs or is stopped, it is no monitor of QEMU, or "
                "another program is attached to it: close that, or give the socket of -qmp unix:PATH,server=on"
            ) from error
        except errors.ConnectError as error:
            ours.close()
            raise _ungreeted(where, error.exc) from error
        except BaseException:
            ours.close()
            raise
        if answers.fault(answers.GREETING, _version(client)):
            await _disconnected(client)
            raise _ungreeted(where)
        return cls(client, name, pid, limit_s)

    async def do(self, command: str, arguments: Mapping[str, Any] | None = None) -> Any:
        """Execute a command and return what it returns.

        Raises
        ------
        RefusedError, LackingError, EndedError
            QEMU refuses it, does not know it, or does not answer.
        NotQemuError
            The answer is none of QEMU's.
        """
        from qemu import qmp
        from qemu.qmp.error import ProtocolError

        try:
            async with asyncio.timeout(self._limit_s):
                answer = await self._client.execute(command, arguments)
        except qmp.ExecuteError as error:
            if error.error_class == _UNKNOWN_COMMAND:
                raise LackingError(
                    f"{self.name}: QEMU {self.version} has no command {command}; use a version that has it, and the "
                    "monitor of a machine"
                ) from error
            raise RefusedError(f"{self.name}: QEMU {self.version} refuses {command}: {_line(error)}") from error
        except TimeoutError as error:
            raise EndedError(
                f"{self.name}: no answer to {command} within {self._limit_s:g} s; QEMU hangs, or it is stopped"
            ) from error
        except ProtocolError as error:
            raise self._strange(f"its answer to {command}", "it has neither return nor error") from error
        except (qmp.QMPError, OSError, EOFError) as error:
            why = await _disconnected(self._client)
            if why is not None and not isinstance(why, OSError | EOFError):
                raise self._strange(f"what came instead of an answer to {command}", _line(why)) from why
            raise EndedError(f"{self.name}: QEMU ended before it answered {command}; see its log") from error
        wrong = answers.fault(command, answer)
        if wrong:
            raise self._strange(f"its answer to {command}", wrong)
        return answer

    async def next_event(self) -> Event:
        """Return the next event, in the order in which QEMU sent them; wait for it without a limit."""
        return self._event(await self._client.events.get())

    def heard(self) -> list[Event]:
        """Return the events that came since they were asked for last, without waiting for more."""
        return [self._event(said) for said in self._client.events.clear()]

    async def close(self) -> None:
        """Disconnect; QEMU goes on."""
        await _disconnected(self._client)

    def _event(self, said: Mapping[str, Any]) -> Event:
        wrong = answers.fault(answers.EVENT, said)
        if wrong:
            raise self._strange("an event that it tells", wrong)
        stamp: Any = said.get("timestamp", {})
        data: Any = said.get("data", {})
        time_ns = 10**9 * int(stamp.get("seconds", 0)) + 1000 * int(stamp.get("microseconds", 0))
        return Event(name=str(said["event"]), data=data, time_ns=time_ns)

    def _strange(self, what: str, wrong: str) -> NotQemuError:
        return NotQemuError(
            f"{self.name}: {what} is none of QEMU's ({printable(wrong)}); another program answers there: "
            "give the socket of -qmp unix:PATH,server=on"
        )


async def _disconnected(client: QMPClient) -> Exception | None:
    """Disconnect, and return why the connection was lost before, if it was."""
    from qemu import qmp

    try:
        await client.disconnect()
    except (qmp.QMPError, OSError, EOFError, ValueError, TypeError, RecursionError) as error:
        return error
    return None


def _version(client: QMPClient) -> Any:
    greeting: Any = client.greeting
    return greeting.QMP.version


def _library(name: str) -> tuple[Any, QMPClient]:
    """Return the library and a new client of it, whose own log lines go nowhere unless somebody asks for them."""
    try:
        from qemu import qmp
    except ImportError as error:
        raise LackingError(
            "QEMU: the Python package qemu.qmp is not installed; pip install 'migkit[qemu]'"
        ) from error
    logging.getLogger("qemu.qmp").addHandler(logging.NullHandler())
    return qmp, qmp.QMPClient(name)


def _connected(path: Path) -> socket.socket:
    """Return a connection to a UNIX socket; the call never waits.

    Raises
    ------
    NotQemuError, LackingError
        There is no such socket, nobody listens, it takes nobody more, or it may not be opened.
    """
    ours = socket.socket(socket.AF_UNIX)
    ours.setblocking(False)
    try:
        ours.connect(str(path))
    except OSError as error:
        ours.close()
        raise _unconnected(path, error) from error
    return ours


def is_left(path: Path) -> bool:
    """Return whether there is a UNIX socket that nobody listens at, as a program that was killed leaves it.

    Raises
    ------
    NotQemuError, LackingError
        It cannot be told: it may not be opened.
    """
    if not path.is_socket():
        return False
    try:
        _connected(path).close()
    except NotQemuError as error:
        return isinstance(error.__cause__, ConnectionRefusedError)
    return False


def _peer_of(ours: socket.socket) -> int:
    """Return the process at the other end of a UNIX socket (unix(7))."""
    pid, _, _ = _CREDENTIALS.unpack(ours.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return int(pid)


def _unconnected(path: Path, error: OSError) -> QemuError:
    """Return the error that tells why there is no connection to a socket."""
    where, length = f"monitor {path}", len(os.fsencode(path))
    match error:
        case FileNotFoundError():
            return NotQemuError(f"{where}: there is no such socket; start QEMU with -qmp unix:PATH,server=on")
        case PermissionError():
            return LackingError(f"{where}: may not be opened by this user; run as QEMU's user or as root")
        case BlockingIOError():
            return NotQemuError(
                f"{where}: lets nobody wait any more; another program is attached to it, or QEMU is stopped: close "
                "that or continue it, or give the socket of another -qmp unix:PATH,server=on"
            )
        case ConnectionRefusedError() if path.is_socket():
            return NotQemuError(f"{where}: nobody listens there; the QEMU that made it has ended")
        case ConnectionRefusedError():
            return NotQemuError(f"{where}: is no socket; give that of -qmp unix:PATH,server=on")
    if length > LONGEST_PATH_BYTES:
        return NotQemuError(
            f"{where}: its path has {length} bytes, and that of a socket has at most {LONGEST_PATH_BYTES}; "
            "go to its folder and give its name alone"
        )
    return NotQemuError(f"{where}: cannot be opened ({error.strerror or error}); check the path")


def _ungreeted(where: str, error: BaseException | None = None) -> QemuError:
    """Return the error that tells why a connection is none to a monitor."""
    if isinstance(error, EOFError | ConnectionError):
        return NotQemuError(f"{where}: closed the connection without a greeting; it is no monitor of QEMU")
    return NotQemuError(
        f"{where}: does not greet as a monitor of QEMU; it is the socket of another program, or the monitor for "
        "people (-monitor): give the socket of -qmp unix:PATH,server=on"
    )


def _line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
