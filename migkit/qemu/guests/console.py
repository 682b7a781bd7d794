"""The guest's serial port: the ticks that it sends, which show its real pauses, and what it says of itself."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import time
from typing import Final

from migkit.errors import RunError

__all__ = ["TICK_S", "Check", "Console", "pause_s"]

TICK_S: Final = 1e-3
_TICK: Final = 128  # a tick is this and the low bits of a counter
_READ_BYTES: Final = 1 << 16
_CHECK_BYTES_PER_S: Final = 1e7  # a check of memory is far faster


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What a guest found when it compared all of its memory with what it must hold.

    Attributes
    ----------
    wrong_pages
        Pages that differ.
    sum_is_right
        Whether the sum of all written words is that of the writes; a page older than its last write breaks it.
    writes
        Done in its life.
    looked_at
        What it compared, in its words, where that is not all of its memory.
    """

    wrong_pages: int
    sum_is_right: bool
    writes: int
    looked_at: tuple[str, ...] = ()

    @property
    def intact(self) -> bool:
        """Whether it could not tell that it was moved."""
        return self.wrong_pages == 0 and self.sum_is_right


class Console:
    """Our ends of the two pipes that are a guest's serial port; bytes are stamped as they come.

    A pipe keeps a minute of ticks should this process not read; a socket would lose some after a quarter of a second,
    since it counts hundreds of bytes for each byte that is written on its own.

    Parameters
    ----------
    reads, writes
        Descriptors; they are closed with the console.

    Attributes
    ----------
    first_ns, last_ns
        When the first and the last tick came, on the monotonic clock [ns]; 0: none yet.
    first, last
        Numbers of these ticks, modulo 128.
    longest_s
        The longest time between two ticks [s].
    writes
        Page writes done when the guest said so last; -1: it has not yet.
    """

    def __init__(self, reads: int, writes: int) -> None:
        self._descriptors = [reads, writes]
        os.set_blocking(reads, False)
        self._text = bytearray()
        self._lines: asyncio.Queue[str] = asyncio.Queue()
        self.first_ns = self.last_ns = self.first = self.last = 0
        self.longest_s = 0.0
        self.writes = -1
        self.ticked = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(reads, self._read)

    def close(self) -> None:
        """Listen no more; a second call does nothing."""
        if not self._descriptors:
            return
        if not self._loop.is_closed():
            self._loop.remove_reader(self._descriptors[0])
        while self._descriptors:
            os.close(self._descriptors.pop())

    async def wait_until_ready(self, silence_s: float) -> None:
        """Wait until the guest has filled its memory.

        Raises
        ------
        RunError
            It has said nothing for so long, or something of it has ended.
        """
        try:
            while await self._next_line(silence_s) != "READY":
                continue
        except TimeoutError as error:
            raise RunError(
                f"guest: has not started within {silence_s:.0f} s; use less memory or the accelerator tcg"
            ) from error

    async def _next_line(self, silence_s: float) -> str:
        async with asyncio.timeout(silence_s):
            line = await self._lines.get()
        if line.startswith("E "):
            raise RunError(f"guest: {line[2:]} has ended; its log says why")
        return line

    def begin(self) -> None:
        """Have the guest write as its classes say."""
        self._ask(b"G")

    async def check(self, memory_bytes: int) -> Check:
        """Have the guest stop writing and look at all of its memory."""
        silence_s, looked_at = 30.0 + memory_bytes / _CHECK_BYTES_PER_S, []
        self._ask(b"C")
        try:
            while not (line := await self._next_line(silence_s)).startswith("C "):
                looked_at += [line[2:]] if line.startswith("V ") else []
        except TimeoutError as error:
            raise RunError(f"guest: does not answer within {silence_s:g} s after the move; it hangs") from error
        wrong, right, writes = (int(number, 16) for number in line.split()[1:])
        return Check(wrong_pages=wrong, sum_is_right=bool(right), writes=writes, looked_at=tuple(looked_at))

    def forget_pauses(self) -> None:
        """Begin anew with the longest time between two ticks."""
        self.longest_s = 0.0

    def _ask(self, letter: bytes) -> None:
        try:
            os.write(self._descriptors[1], letter)
        except BrokenPipeError as error:
            raise RunError("guest: its QEMU has ended") from error

    def _read(self) -> None:
        now_ns = time.monotonic_ns()
        try:
            data = os.read(self._descriptors[0], _READ_BYTES)
        except BlockingIOError:
            return
        if not data:
            self._loop.remove_reader(self._descriptors[0])
            self._lines.put_nowait("E its QEMU")
            return
        ticks = [byte for byte in data if byte >= _TICK]
        if ticks:
            self._note(ticks, now_ns)
        self._text += bytes(byte for byte in data if byte < _TICK)
        while (end := self._text.find(b"\n")) >= 0:
            self._hear(self._text[:end].decode())
            del self._text[: end + 1]

    def _note(self, ticks: list[int], now_ns: int) -> None:
        if self.first_ns:
            self.longest_s = max(self.longest_s, 1e-9 * (now_ns - self.last_ns))
        else:
            self.first_ns, self.first = now_ns, ticks[0] - _TICK
        self.last_ns, self.last = now_ns, ticks[-1] - _TICK
        self.ticked.set()

    def _hear(self, line: str) -> None:
        if line.startswith("W"):
            self.writes = int(line[1:], 16)
        else:
            self._lines.put_nowait(line)


def pause_s(source: Console, destination: Console) -> tuple[float, int]:
    """Return how long the guest stood still [s], and how many ticks were lost on the way (0 when all is well).

    Between the last tick from the source and the first one from the destination, less what lies between any two.
    """
    gap_s = 1e-9 * (destination.first_ns - source.last_ns)
    return max(0.0, gap_s - TICK_S), (destination.first - source.last - 1) % _TICK
