"""What a guest says on its serial port, over real pipes."""

import asyncio
import contextlib
import os

import pytest

from migkit.errors import RunError
from migkit.qemu.guests.console import Console


@contextlib.contextmanager
def joined():
    """Lend a console, the end that the guest writes to and the one it reads from."""
    (reads, speaks), (hears, writes) = os.pipe(), os.pipe()
    console = Console(reads, writes)
    try:
        yield console, speaks, hears
    finally:
        console.close()
        os.close(speaks)
        os.close(hears)


def run(talk):
    async def whole():
        with joined() as ends:
            await talk(*ends)

    asyncio.run(whole())


def test_a_guest_that_goes_on_saying_something_is_waited_for():
    async def talk(console, speaks, hears):
        os.write(speaks, b"B 1 of 3 keys\nB 2 of 3 keys\n")
        waiting = asyncio.create_task(console.wait_until_ready(0.6))
        for _ in range(3):
            await asyncio.sleep(0.3)  # together longer than it may say nothing
            os.write(speaks, b"B 3 of 3 keys\n")
        os.write(speaks, b"READY\n")
        await waiting

    run(talk)


def test_a_guest_that_says_nothing_is_one_line():
    async def talk(console, speaks, hears):
        with pytest.raises(RunError, match="guest: has not started within 0 s"):
            await console.wait_until_ready(0.05)

    run(talk)


def test_what_has_ended_in_the_guest_is_named():
    async def talk(console, speaks, hears):
        os.write(speaks, b"\x80B 1 of 3 keys\n\x81E /workers/re\x82dis\n")
        with pytest.raises(RunError, match="guest: /workers/redis has ended; its log says why"):
            await console.wait_until_ready(5.0)

    run(talk)


def test_a_guest_whose_qemu_ends_is_not_waited_for():
    async def talk(console, speaks, hears):
        os.dup2(hears, speaks)  # nobody has the pipe's end any more
        with pytest.raises(RunError, match="guest: its QEMU has ended"):
            await console.wait_until_ready(60.0)

    run(talk)


def test_a_check_tells_what_was_looked_at_between_the_ticks():
    async def talk(console, speaks, hears):
        os.write(speaks, b"\x80V 7 blocks\nB 4 of 5\n\x81V 5 keys\nC 00000000 1 0000\x82001f\n")
        check = await console.check(1 << 20)
        assert os.read(hears, 1) == b"C"
        assert (check.intact, check.writes, check.looked_at) == (True, 31, ("7 blocks", "5 keys"))
        assert (console.first, console.last) == (0, 2)

    run(talk)


def test_a_piece_that_differs_or_is_stale_is_not_intact():
    async def talk(console, speaks, hears):
        for answer in (b"C 00000001 1 00000010\n", b"C 00000000 0 00000010\n"):
            os.write(speaks, answer)
            assert not (await console.check(1 << 20)).intact

    run(talk)
