"""Bring a checkpoint back to life, and prove that the guest could not tell."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable
from pathlib import Path

from migkit.harness.guests import checkpoint, writers
from migkit.harness.guests.attached import Attached
from migkit.harness.guests.proof import Reference, guest_process
from migkit.harness.processes.nursery import Nursery

__all__ = ["Restored", "restore"]


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
        with Reference.of(nursery, saved.scenario, int(guest.registers[writers.SEED])) as reference:
            operations = reference.prove(channel, "stopped")
    return Restored(
        from_operations=saved.operations, operations=operations, memory_bytes=saved.scenario.guest.memory_bytes
    )
