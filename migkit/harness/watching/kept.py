"""The owner's end of a keeper (see :mod:`migkit.harness.watching.keeper`)."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import migkit
from migkit.errors import CapabilityError, MigkitError, RunError, UsageError
from migkit.harness.linux.channel import Channel, ClosedError

__all__ = ["Kept"]

_START: Final = (
    "import sys; sys.path.insert(0, sys.argv[1]); from migkit.harness.watching import keeper; keeper.serve({})"
)
_HOME: Final = str(Path(migkit.__file__).resolve().parents[1])
_ERRORS: Final[dict[int, type[MigkitError]]] = {1: RunError, 2: UsageError, 4: CapabilityError}


class Kept:
    """A keeper and what it keeps; when this process ends, however, the keeper undoes all of it."""

    def __init__(self) -> None:
        self._channel, theirs = Channel.pair("keeper")
        command = [sys.executable, "-I", "-S", "-c", _START.format(theirs.fileno())]
        self._process = subprocess.Popen([*command, _HOME], pass_fds=[theirs.fileno()], start_new_session=True)
        theirs.close()
        self._program: int | None = None

    @property
    def pid(self) -> int:
        """The keeper's process id."""
        return self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self, program: Sequence[str], warm_up_s: float) -> int:
        """Start a program in a session of its own and return its process id when it has run for a time.

        Raises
        ------
        UsageError
            It cannot be started.
        RunError
            It ended before.
        """
        self._program = self._ask({"do": "start", "program": list(program), "warm_up_s": warm_up_s})[0]["pid"]
        assert self._program is not None
        return self._program

    def watch(self, pid: int) -> tuple[int, dict[str, Any]]:
        """Return a userfaultfd of a running program, before its handshake, and what it took to get it.

        Raises
        ------
        UsageError
            There is no such program.
        CapabilityError
            It cannot be watched unharmed; it goes on as before.
        """
        answer, descriptors = self._ask({"do": "watch", "pid": pid})
        return descriptors[0], answer

    def finish(self) -> dict[str, Any]:
        """Leave the program as it was and return what that took."""
        return self._ask({"do": "finish"})[0]

    def check(self, timeout_s: float = 0.0) -> None:
        """Return after a time, unless the keeper has something to say or is gone.

        Raises
        ------
        RunError
            Tracking has ended.
        """
        if self._channel.ready(timeout_s):
            try:
                said = self._channel.receive()
            except ClosedError:
                self._lost()
            raise RunError(said["stopped"])

    def close(self) -> None:
        """End the keeper, which undoes whatever is not undone; a second call does nothing."""
        self._channel.close()
        self._process.wait()

    def _ask(self, message: dict[str, Any]) -> tuple[dict[str, Any], list[int]]:
        try:
            self._channel.send(message)
            answer, descriptors = self._channel.receive_with_descriptors()
        except ClosedError:
            self._lost()
        if "error" in answer:
            raise _ERRORS[answer["code"]](answer["error"])
        if "stopped" in answer:
            raise RunError(answer["stopped"])
        return answer, descriptors

    def _lost(self) -> Any:
        """End what a killed keeper can end no more; the kernel has undone the rest."""
        if self._program is not None:
            from migkit.harness.watching.keeper import kill_group

            kill_group(self._program)
            self._program = None
        raise RunError(
            f"its keeper, process {self._process.pid}, was killed; the program was left as it was, measure again"
        ) from None
