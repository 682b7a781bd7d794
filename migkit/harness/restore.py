"""Bring a checkpoint back to life, and prove that the guest could not tell."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from migkit.errors import RunError
from migkit.harness import checkpoint
from migkit.harness.attached import Attached
from migkit.harness.channel import Channel
from migkit.harness.nursery import Nursery
from migkit.kernels import writers
from migkit.scenario import Scenario, rules, schema

__all__ = ["Restored", "guest_process", "prove", "restore"]

_BOOT_S = 90.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """A guest that came back.

    Attributes
    ----------
    from_operations
        Operations that it had done in the checkpoint.
    operations
        Operations that it had done when it was stopped again, and compared.
    memory_bytes
        Its RAM [B].
    """

    from_operations: int
    operations: int
    memory_bytes: int


def restore(path: Path, let_it_run: Callable[[], object], nursery: Nursery | None = None) -> Restored:
    """Resume the guest of a checkpoint, let it run, stop it, and prove that it is intact.

    Parameters
    ----------
    path
        The checkpoint.
    let_it_run
        Returns when the guest has run for long enough.
    nursery
        Where processes come from; None: one for this alone.

    Raises
    ------
    TraceError
        The file cannot be read, is truncated or altered.
    RunError
        The guest differs from one that was never stopped.
    """
    saved = checkpoint.read(path)
    with contextlib.ExitStack() as stack:
        nursery = nursery or stack.enter_context(Nursery())
        channel = stack.enter_context(guest_process(nursery, saved.scenario, saved.pacing, None))
        guest = stack.enter_context(contextlib.closing(Attached(channel, saved.scenario.guest.memory_bytes)))
        checkpoint.load_into(saved, guest)
        guest.order("resume")
        let_it_run()
        guest.order("stop")
        operations = prove(nursery, channel, saved.scenario, int(guest.registers[writers.SEED]))
    return Restored(
        from_operations=saved.operations, operations=operations, memory_bytes=saved.scenario.guest.memory_bytes
    )


@contextlib.contextmanager
def guest_process(nursery: Nursery, scenario: Scenario, pacing: str, seed: int | None) -> Iterator[Channel]:
    """Yield the channel to a new guest process, stopped; seed None: its memory arrives from elsewhere."""
    ours, theirs = Channel.pair("guest", "owner")
    config: dict[str, Any] = {
        "scenario": schema.to_record(scenario),
        "rule": rules.to_message(scenario.policy),
        "seed": seed,
        "pacing": pacing,
        "instrumented": True,
    }
    process = nursery.start("guest", config, {"owner": theirs})
    try:
        booted = ours.receive(_BOOT_S)
        if "error" in booted:
            raise RunError(f"guest: {booted['error']}")
        yield ours
    finally:
        process.end()
        ours.close()


def prove(nursery: Nursery, channel: Channel, scenario: Scenario, seed: int) -> int:
    """Compare a stopped guest with one that was never disturbed; return the operation at which they are equal.

    Raises
    ------
    RunError
        They differ.
    """
    found = channel.ask({"do": "digest"}, timeout_s=None)
    with guest_process(nursery, scenario, "running_time", seed) as reference:
        reference.ask({"do": "replay", "operation": found["operations"]}, timeout_s=None)
        expected = reference.ask({"do": "digest"}, timeout_s=None)
    for part in ("registers", "memory"):
        if found[part] != expected[part]:
            raise RunError(
                f"proof: the {part} of the guest at operation {found['operations']} differ from those of a guest "
                "that was never stopped; it is not resumed"
            )
    return int(found["operations"])
