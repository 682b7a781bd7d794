"""QEMU's own migration of an idle virtual machine over loopback, as something to compare with."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MIB = 1 << 20
FIRST_BYTE = 16 * MIB  # above what the firmware uses
UNCAPPED_BYTES_PER_S = 1 << 40
LIMIT_S = 60.0


class Machine:
    """One QEMU process whose processors are not started, so that nothing is written and nothing else takes time."""

    def __init__(self, folder: Path, name: str, memory_bytes: int, *more: str) -> None:
        self._path = folder / name
        self._path.unlink(missing_ok=True)
        self._process = subprocess.Popen(
            [
                *("qemu-system-x86_64", "-accel", "tcg", "-machine", "pc", "-nodefaults", "-display", "none"),
                *("-S", "-m", str(memory_bytes // MIB), "-qmp", f"unix:{self._path},server=on,wait=on", *more),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(LIMIT_S)
        self._connect()
        self._lines = self._socket.makefile("rw")
        self._lines.readline()
        self.ask("qmp_capabilities")

    def _connect(self) -> None:
        """Connect as soon as it listens."""
        end_s = time.monotonic() + LIMIT_S
        while True:
            try:
                return self._socket.connect(str(self._path))
            except OSError:
                assert self._process.poll() is None, "QEMU has ended"
                assert time.monotonic() < end_s, "QEMU does not listen"

    def ask(self, command: str, **arguments: Any) -> Any:
        """Return the answer to a command; events that come before it are passed over."""
        self._lines.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self._lines.flush()
        while True:
            answer = json.loads(self._lines.readline())
            assert "error" not in answer, answer
            if "return" in answer:
                return answer["return"]

    def await_event(self, **wanted: Any) -> None:
        """Wait for an event with this data."""
        while True:
            if wanted.items() <= json.loads(self._lines.readline()).get("data", {}).items():
                return

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        self._lines.close()
        self._socket.close()


def bytes_per_s(folder: Path, memory_bytes: int) -> float:
    """Return what an uncapped pre-copy of an idle machine sends over its total migration time [B/s].

    All of its memory but the first 16 MiB is random.
    """
    content = folder / "content"
    if not content.exists():
        content.write_bytes(os.urandom(memory_bytes - FIRST_BYTE))
    with _pair(folder, memory_bytes, content) as (source, destination):
        address = f"tcp:127.0.0.1:{free_port()}"
        destination.ask("migrate-incoming", uri=address)
        source.ask("migrate-set-capabilities", capabilities=[{"capability": "events", "state": True}])
        source.ask("migrate-set-parameters", **{"max-bandwidth": UNCAPPED_BYTES_PER_S})
        source.ask("migrate", uri=address)
        source.await_event(status="completed")
        while not (result := source.ask("query-migrate")).get("total-time"):  # it is filled in a moment later
            continue
    return float(result["ram"]["transferred"] / (result["total-time"] * 1e-3))


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def _pair(folder: Path, memory_bytes: int, content: Path) -> Iterator[tuple[Machine, Machine]]:
    filled = f"loader,file={content},addr={FIRST_BYTE:#x},force-raw=on"
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(contextlib.closing(Machine(folder, "source", memory_bytes, "-device", filled)))
        destination = Machine(folder, "destination", memory_bytes, "-incoming", "defer")
        yield source, stack.enter_context(contextlib.closing(destination))
