"""QEMU's own migration of an idle virtual machine over loopback, as something to compare with."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

from migkit.qemu.machine import Machine, Settings

MIB = 1 << 20
FIRST_BYTE = 16 * MIB  # above what the firmware uses
UNCAPPED_BYTES_PER_S = 1 << 40


def bytes_per_s(folder: Path, memory_bytes: int) -> float:
    """Return what an uncapped pre-copy of an idle machine sends over its total migration time [B/s].

    All of its memory but the first 16 MiB is random. Its processors are not started, so that nothing is written and
    nothing else takes time.
    """
    content = folder / "content"
    if not content.exists():
        content.write_bytes(os.urandom(memory_bytes - FIRST_BYTE))
    return asyncio.run(_migrated(content, memory_bytes))


async def _migrated(content: Path, memory_bytes: int) -> float:
    settings = Settings(memory_bytes=memory_bytes, options=("-S",))
    filled = f"loader,file={content},addr={FIRST_BYTE:#x},force-raw=on"
    address = f"tcp:127.0.0.1:{free_port()}"
    async with (
        await Machine.start("source", settings, "-device", filled) as source,
        await Machine.start("destination", settings, "-incoming", "defer") as destination,
    ):
        ask = source.monitor.do
        await destination.monitor.do("migrate-incoming", {"uri": address})
        await ask("migrate-set-capabilities", {"capabilities": [{"capability": "events", "state": True}]})
        await ask("migrate-set-parameters", {"max-bandwidth": UNCAPPED_BYTES_PER_S})
        await ask("migrate", {"uri": address})
        while (await source.monitor.next_event()).data.get("status") != "completed":
            continue
        while not (result := await ask("query-migrate")).get("total-time"):  # it is filled in a moment later
            continue
    return float(result["ram"]["transferred"] / (result["total-time"] * 1e-3))


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
