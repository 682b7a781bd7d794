"""Proof that a guest could not tell: its state is that of a guest that was never disturbed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Final

from migkit.errors import RunError
from migkit.harness.linux.channel import Channel
from migkit.harness.processes.nursery import Nursery
from migkit.scenario import Scenario, rules
from migkit.scenario.form import schema

__all__ = ["ProofError", "Reference", "guest_process"]

_BOOT_S: Final = 90.0


class ProofError(RunError):
    """A guest is not what it must be."""


class Reference:
    """A guest that is never moved nor stopped for long; it follows another one, operation by operation.

    Parameters
    ----------
    channel
        To a guest process that booted with the seed of the one to follow.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    @classmethod
    @contextlib.contextmanager
    def of(cls, nursery: Nursery, scenario: Scenario, seed: int) -> Iterator[Reference]:
        """Yield the reference of a guest; its process ends afterwards."""
        with guest_process(nursery, scenario, "running_time", seed) as channel:
            yield cls(channel)

    def prove(self, guest: Channel, what: str) -> int:
        """Compare a stopped guest with this one; return the operation at which they are equal.

        Raises
        ------
        ProofError
            They differ; the guest is called ``what``.
        """
        found = guest.ask({"do": "digest"}, timeout_s=None)
        self._channel.ask({"do": "replay", "operation": found["operations"]}, timeout_s=None)
        expected = self._channel.ask({"do": "digest"}, timeout_s=None)
        for part in ("registers", "memory"):
            if found[part] != expected[part]:
                raise ProofError(
                    f"proof: the {part} of the {what} guest at operation {found['operations']} differ from those "
                    f"of one that was never {what}; the run is not reported"
                )
        return int(found["operations"])


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
    try:
        process = nursery.start("guest", config, {"owner": theirs})
    except BaseException:
        ours.close()
        raise
    ours.is_stopped = process.is_stopped
    try:
        booted = ours.receive(_BOOT_S)
        if "error" in booted:
            raise RunError(f"guest: {booted['error']}")
        yield ours
    finally:
        process.end()
        ours.close()
