"""Programs that are watched, and what must be the same after that."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from migkit.harness.linux.maps import mappings
from migkit.harness.watching import watchable

PROGRAMS = Path(__file__).with_name("programs")
NAMES = ("waiter", "rests", "registers", "odd", "killer", "churn", "pauses")
SETTLES_WITHIN_S = 20.0
CHILD_ENDED = 1 << signal.SIGCHLD - 1


def build(folder: Path) -> Path:
    """Compile the programs into a folder and return it."""
    for name in NAMES:
        command = ["gcc", "-O1", "-no-pie", "-pthread", "-o", str(folder / name), str(PROGRAMS / f"{name}.c")]
        subprocess.run(command, check=True)
    return folder


@contextlib.contextmanager
def running(*command: str | Path) -> Iterator[subprocess.Popen[str]]:
    """Yield a program that has said "ready"."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def facts(pid: int, *, masks: bool = True, maps: bool = True) -> tuple[Any, ...]:
    """Return what must be left alone: descriptors, each thread's masks, pending signals and tracer, mappings.

    Of the pending signals SIGCHLD says only that a child of the program's own has just ended.
    """
    names = ("SigCgt", "SigIgn", "TracerPid", *(("SigBlk",) if masks else ()))
    threads = [
        (*map(status.get, names), *(int(status.get(name, "0"), 16) & ~CHILD_ENDED for name in ("SigPnd", "ShdPnd")))
        for status in (watchable.status(pid, int(one.name)) for one in sorted(Path(f"/proc/{pid}/task").iterdir()))
    ]
    alive = watchable.reachable(pid)
    return sorted(watchable.descriptors(alive)), threads, joined(alive) if maps else None


def joined(pid: int) -> list[tuple[int, int, str, str]]:
    """Return the mappings, those joined that lie side by side and are alike."""
    found: list[tuple[int, int, str, str]] = []
    for start, end, permissions, path in mappings(pid):
        if found and not path and found[-1][1:] == (start, permissions, path):
            start = found.pop()[0]
        found.append((start, end, permissions, path))
    return found


def watched(pid: int) -> bool:
    """Whether any mapping is registered with a userfaultfd."""
    lines = Path(f"/proc/{watchable.reachable(pid)}/smaps").read_text().splitlines()
    return any({"uw", "um", "ui"} & set(line.split()) for line in lines if line.startswith("VmFlags"))


def settled(pid: int, before: tuple[Any, ...], what: str, **how: bool) -> None:
    """Wait until nothing of a tracker is left in a program; it must be as before then."""
    limit = time.monotonic() + SETTLES_WITHIN_S
    while (now := (facts(pid, **how), watched(pid))) != (before, False):
        assert watchable.lives(watchable.reachable(pid)), f"{what}: the program is dead"
        assert time.monotonic() < limit, f"{what}: {differing(before, now[0])}, watched: {now[1]}"
        time.sleep(0.005)


def differing(before: tuple[Any, ...], now: tuple[Any, ...]) -> str:
    """Say what differs."""
    return "; ".join(f"{a} -> {b}" for a, b in zip(before, now, strict=True) if a != b)[:2000]


class Redis:
    """A Redis server on a socket of its own, and a client that sets keys and remembers them."""

    def __init__(self, folder: Path) -> None:
        path = folder / "redis.sock"
        options = ["--port", "0", "--unixsocket", str(path), "--save", "", "--appendonly", "no", "--dir", str(folder)]
        self.log = folder / "redis.log"
        self.log.unlink(missing_ok=True)  # of a server before this one
        self.process = subprocess.Popen(["redis-server", *options, "--logfile", str(self.log)])
        self.pid = self.process.pid
        while not self.log.exists() or "ready to accept connections" not in self.log.read_text().lower():
            assert self.process.poll() is None, "redis: ended at its start"
            time.sleep(0.01)
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(path))
        self.replies = self.socket.makefile("rb")
        self.socket.sendall(encoded("PING"))
        assert self.replies.readline() == b"+PONG\r\n"  # it has taken the connection: what it has open is settled
        self.known: dict[int, int] = {}
        self.error: BaseException | None = None
        self.stop = threading.Event()
        self.client = threading.Thread(target=self._load)

    def __enter__(self) -> Self:
        self.client.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop.set()
        self.client.join()
        self.replies.close()
        self.socket.close()
        code = self.process.poll()
        self.process.kill()
        self.process.wait()
        if error is not None and code is not None:
            error.add_note(f"redis ended with {code}; its last words:\n{self.log.read_text()[-4000:]}")

    def _load(self) -> None:
        rng = np.random.default_rng(1)
        try:
            while not self.stop.wait(0.001):
                keys = rng.integers(0, 20000, 50).tolist()
                turn = len(self.known) + 1
                self.socket.sendall(b"".join(encoded("SET", f"k{key}", f"{turn:0200d}") for key in keys))
                assert all(self.replies.readline() == b"+OK\r\n" for _ in keys)
                self.known.update(dict.fromkeys(keys, turn))
        except (AssertionError, OSError) as error:
            self.error = error

    def check(self) -> None:
        """Read every key back."""
        self.stop.set()
        self.client.join()
        assert self.error is None, f"redis: {self.error!r}"
        assert all(self.get(key) == turn for key, turn in self.known.items()), "redis: a key is wrong"

    def get(self, key: int) -> int:
        self.socket.sendall(encoded("GET", f"k{key}"))
        self.replies.readline()
        return int(self.replies.readline())


def encoded(*words: str) -> bytes:
    return f"*{len(words)}\r\n".encode() + b"".join(f"${len(w)}\r\n{w}\r\n".encode() for w in words)
