"""A migration that somebody else started, followed through QEMU's monitor: it is asked, and changed only on demand.

QEMU serves one client a socket. Give it a monitor of its own for this: ``-qmp unix:PATH,server=on,wait=off``.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, Final, Self

from migkit.errors import RunError, UsageError
from migkit.qemu.monitor import LackingError, Monitor
from migkit.qemu.versions import Interface, ask

__all__ = ["ENDED", "Followed"]

ENDED: Final = ("completed", "failed", "cancelled")
_NEVER: Final = ("none", None)
_COUNTED: Final = ("active", "completed", "postcopy-active", "postcopy-paused", "postcopy-recover", "postcopy-device")
_EARLY: Final = 20  # answers that are kept from the beginning, and ...
_LATE: Final = 60  # ... those at the end
_MOST: Final = 600
_RESUMES_WITHIN_S: Final = 1.0
_ASKED_EVERY_S: Final = 0.05


class Followed:
    """A QEMU whose migration is followed.

    Attributes
    ----------
    monitor
        The connection.
    interface
        What this QEMU can be asked and told.
    accelerator
        What runs the guest's processors: ``kvm`` or ``tcg``, QEMU's own emulation.
    parameters
        Those of its migrations as of the last look, as ``query-migrate-parameters`` names them.
    """

    def __init__(self, monitor: Monitor, interface: Interface, kvm: dict[str, Any]) -> None:
        self.monitor, self.interface = monitor, interface
        self.accelerator = "kvm" if kvm["enabled"] else "tcg"
        self.parameters: dict[str, Any] = {}
        self._kvm = kvm
        self._answers: list[dict[str, Any]] = []
        self._capabilities: list[dict[str, Any]] = []
        self._stopped = False

    @classmethod
    async def connect(cls, socket: str | Path, limit_s: float = 10.0) -> Self:
        """Connect to the monitor at a UNIX socket.

        Raises
        ------
        NotQemuError, LackingError, EndedError
            See :meth:`migkit.qemu.monitor.Monitor.connect`.
        """
        monitor = await Monitor.connect(socket, "QEMU", limit_s)
        try:
            interface = await ask(monitor)
            if "query-migrate" in interface.commands and "ram.dirty-sync-count" not in interface.fields:
                raise LackingError(
                    f"QEMU: version {monitor.version} does not count bitmap syncs (ram.dirty-sync-count); "
                    "use QEMU 2.1 or later"
                )
            kvm = await monitor.do("query-kvm")
        except BaseException:
            await monitor.close()
            raise
        return cls(monitor, interface, kvm)

    async def look(self) -> dict[str, Any]:
        """Ask once and return the answer of ``query-migrate``.

        Raises
        ------
        UsageError
            The guest comes to this QEMU, or has come: the source alone counts.
        RunError
            No migration is under way, nor has one ended.
        EndedError
            QEMU ended, or does not answer.
        """
        answer: dict[str, Any] = await self.monitor.do("query-migrate")
        if "ram" not in answer and await self._is_destination(answer):
            raise UsageError(
                "QEMU: is the destination of the migration, and only the source counts what is sent; "
                "give the monitor of the source"
            )
        if answer.get("status") in _NEVER:
            raise RunError(
                "QEMU: no migration is under way, nor has one ended; start it, then watch, "
                "or measure the guest before it moves with migkit qemu profile"
            )
        self.parameters = await self.monitor.do("query-migrate-parameters")
        self._capabilities = await self.monitor.do("query-migrate-capabilities")
        if self._answers and _is_another(self._answers[-1], answer):
            self._answers = []
        self._answers.append(answer)
        self._thin()
        return answer

    async def _is_destination(self, answer: dict[str, Any]) -> bool:
        """Return whether an answer that counts no memory is that of a destination."""
        if answer.get("status") in _COUNTED:
            return True
        return await self._state() == "inmigrate"

    def has_left(self) -> bool:
        """Return whether the guest stopped at the source and did not resume there: it has moved."""
        for event in self.monitor.heard():
            if event.name in ("STOP", "RESUME"):
                self._stopped = event.name == "STOP"
        return self._stopped

    async def state_afterwards(self) -> str:
        """Return QEMU's state, as ``query-status`` names it, once it had the time to resume the guest."""
        try:
            async with asyncio.timeout(_RESUMES_WITHIN_S):
                while (state := await self._state()) != "running":
                    await asyncio.sleep(_ASKED_EVERY_S)
        except TimeoutError:
            return await self._state()
        return state

    async def _state(self) -> str:
        return str((await self.monitor.do("query-status"))["status"])

    def text(self) -> str:
        """Return all that was answered as a log that :func:`migkit.importers.read` reads."""
        major, minor, micro = (int(part) for part in self.monitor.version.split("."))
        version = {"qemu": {"major": major, "minor": minor, "micro": micro}, "package": ""}
        lines = [
            version,
            {"return": self._kvm},
            {"return": self.parameters},
            {"return": self._capabilities},
            *self._answers,
        ]
        return "\n".join(json.dumps(line) for line in lines) + "\n"

    async def memory_bytes(self) -> int:
        """Return what the guest has [B]."""
        memory = await self.monitor.do("query-memory-size-summary")
        return int(memory["base-memory"]) + int(memory.get("plugged-memory", 0))

    def can(self, capability: str) -> bool:
        """Return whether a capability was switched on for this migration."""
        return any(one["capability"] == capability and one["state"] for one in self._capabilities)

    async def set_parameter(self, name: str, value: int) -> None:
        """Change one parameter of the migration under way.

        Raises
        ------
        LackingError
            This QEMU has no such parameter.
        RefusedError, EndedError
            QEMU refuses it or has ended.
        """
        if name not in self.interface.parameters:
            raise LackingError(f"QEMU: version {self.monitor.version} has no parameter {name}")
        await self.monitor.do("migrate-set-parameters", {name: value})

    async def start_postcopy(self) -> None:
        """Turn the migration under way to post-copy.

        Raises
        ------
        UsageError
            It was not started with the capability ``postcopy-ram``; QEMU takes it only before a migration.
        RefusedError, EndedError
            QEMU refuses it or has ended.
        """
        if not self.can("postcopy-ram"):
            raise UsageError(
                "post-copy: the migration was started without the capability postcopy-ram; "
                "cancel it and start it anew with the capability on at both sides"
            )
        await self.monitor.do("migrate-start-postcopy")

    async def close(self) -> None:
        """Disconnect; the migration goes on."""
        await self.monitor.close()

    def _thin(self) -> None:
        """Keep the first and the last answers, and between them those on either side of a sync."""
        if len(self._answers) <= _MOST:
            return
        early, late = self._answers[:_EARLY], self._answers[-_LATE:]
        middle = self._answers[_EARLY:-_LATE]
        kept = [
            one
            for before, one, after in zip(middle, middle[1:], middle[2:], strict=False)
            if len({_syncs(before), _syncs(one), _syncs(after)}) > 1
        ]
        self._answers = [*early, *kept[-(_MOST // 2) :], *late]


def _is_another(before: dict[str, Any], now: dict[str, Any]) -> bool:
    """Return whether another migration has begun between two answers: its clock, or what it sent, began anew."""
    if "ram" not in now:
        return bool(now["status"] == "setup")
    return any(_counter(now, *path) < _counter(before, *path) for path in (("total-time",), ("ram", "transferred")))


def _counter(answer: dict[str, Any], *path: str) -> int:
    for name in path[:-1]:
        answer = answer.get(name, {})
    return int(answer.get(path[-1], 0))


def _syncs(answer: dict[str, Any]) -> int:
    return _counter(answer, "ram", "dirty-sync-count")
