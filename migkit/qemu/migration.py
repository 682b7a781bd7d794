"""A migration between two machines: asked for, followed to its end or its limit, and what the guest says of it."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final

from migkit.errors import RunError
from migkit.qemu.guests.console import Check, pause_s
from migkit.qemu.machine import Machine
from migkit.qemu.monitor import EndedError, Event
from migkit.qemu.plan import Plan
from migkit.qemu.recording import Recorder, Sample
from migkit.scenario import Scenario

__all__ = ["UNTIL_S", "Migration", "Progress"]

Progress = Callable[[Mapping[str, Any]], object]
UNTIL_S: Final = 600.0  # a migration without a time limit of its own is cancelled then
_ENDED: Final = ("completed", "failed", "cancelled")
_POSTCOPIES: Final = ("postcopy", "hybrid")
_CANCELLABLE: Final = ("setup", "active", "pre-switchover", "device", "cancelling")
_RESUMES_WITHIN_S: Final = 30.0
_SETTLES_WITHIN_S: Final = 5.0
_THREADS_EVERY: Final = 10  # samples


@dataclasses.dataclass
class _Moments:
    """When things happened, on the monotonic clock [ns]; 0: not yet."""

    stopped: int = 0
    resumed: int = 0


class Migration:
    """One migration of the guest that runs in ``source``.

    Attributes
    ----------
    recorder
        What was read of it; there once it was asked for.
    moments
        When the guest stopped and resumed, by QEMU's events.
    events
        All events with the name of the machine that sent them.
    threads
        Name and processor time [s] of each thread that was seen, by machine and id.
    """

    recorder: Recorder

    def __init__(
        self, scenario: Scenario, plan: Plan, machines: tuple[Machine, Machine], sample_s: float, progress: Progress
    ) -> None:
        self._scenario, self._plan, self._sample_s, self._progress = scenario, plan, sample_s, progress
        self.source, self.destination = machines
        self.moments = _Moments()
        self.events: list[tuple[str, Event]] = []
        self.threads: dict[str, dict[str, tuple[str, float]]] = {machine.name: {} for machine in machines}
        self.wall_ns = time.time_ns() - time.monotonic_ns()
        self._asked = asyncio.Event()  # something happened: ask at once
        self._arrived = asyncio.Event()
        self._resumed = asyncio.Event()
        self._timed_out = False

    async def configure(self, blocktime: bool) -> None:
        """Tell both machines what the scenario asks for; with ``blocktime`` the destination counts what it waits."""
        switched = list(self._plan.capabilities)
        await _configure(self.source, switched, self._plan.parameters)
        if blocktime and self._scenario.strategy.name in _POSTCOPIES:
            switched.append("postcopy-blocktime")
        await _configure(self.destination, switched, self._plan.at_destination())

    async def run(self) -> Sample:
        """Migrate; return the last sample.

        Raises
        ------
        RunError
            It failed; the guest runs on at the source.
        """
        try:
            return await self._migrate()
        except asyncio.CancelledError:
            await self._settle()
            raise

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Hear the events of both machines as they come."""
        tasks = [asyncio.create_task(self._hear(machine)) for machine in (self.source, self.destination)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _hear(self, machine: Machine) -> None:
        while True:
            event = await machine.monitor.next_event()
            self.events.append((machine.name, event))
            time_ns = event.time_ns - self.wall_ns
            match machine.name, event.name:
                case "source", "STOP":
                    self.moments.stopped = time_ns
                case "destination", "RESUME":
                    self.moments.resumed = time_ns
                    self._resumed.set()
                case "destination", "MIGRATION" if event.data["status"] == "completed":
                    self._arrived.set()
                case "source", "MIGRATION_PASS":
                    self.recorder.sync(event.data["pass"], time_ns)
            if machine.name == "source":
                self._asked.set()

    async def _migrate(self) -> Sample:
        await self.destination.monitor.do("migrate-incoming", {"uri": "tcp:127.0.0.1:0"})
        listening = await self.destination.monitor.do("query-migrate")
        port = listening["socket-address"][0]["port"]
        self.source.console.forget_pauses()
        writes, memory_bytes = self.source.console.writes, self._scenario.guest.memory_bytes
        if self._scenario.strategy.name == "stopcopy":
            await self.source.monitor.do("stop")
        self.recorder = Recorder(memory_bytes, time.monotonic_ns(), writes)
        orders = [self.source.monitor.do("migrate", {"uri": f"tcp:127.0.0.1:{port}"})]
        if self._scenario.strategy.name == "postcopy":  # with the first order: later it may wait for a window's end
            orders.append(self.source.monitor.do("migrate-start-postcopy"))
        await asyncio.gather(*orders)
        last = await self._follow(switch=self._scenario.strategy.name == "hybrid")
        if last.answer["status"] == "failed":
            why = last.answer.get("error-desc") or self.destination.last_line()
            raise RunError(f"QEMU: the migration failed ({why}); the guest ran on at the source")
        return last

    async def _follow(self, *, switch: bool) -> Sample:
        """Ask the source again and again until it has ended; with ``switch`` go post-copy, and cancel, when due."""
        policy = self._scenario.policy
        until_s = min(policy.time_limit_s, UNTIL_S)
        while True:
            self._asked.clear()
            sample = await self._ask()
            if sample.answer["status"] in _ENDED and _is_complete(sample):
                return sample
            elapsed_s = 1e-9 * (time.monotonic_ns() - self.recorder.start_ns)
            if elapsed_s >= until_s and not self._timed_out:
                self._timed_out = True
                if sample.phase == "postcopy":
                    return sample
                await self.source.monitor.do("migrate_cancel")
            elif switch and self._is_due(sample, elapsed_s):
                switch = False
                await self.source.monitor.do("migrate-start-postcopy")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._wait_s(switch, elapsed_s, until_s)):
                    await self._asked.wait()

    async def _ask(self) -> Sample:
        answer = await self.source.monitor.do("query-migrate")
        running = self.destination.console if self.destination.console.writes >= 0 else self.source.console
        sample = self.recorder.note(Sample(time_ns=time.monotonic_ns(), answer=answer, writes=running.writes))
        if len(self.recorder.samples) % _THREADS_EVERY == 1:
            self.threads["source"] |= self.source.threads()
            self.threads["destination"] |= self.destination.threads()
        self._progress(self.recorder.row(sample))
        if not self._timed_out:  # the destination of a migration that is cancelled ends
            self.destination.check_alive()
        if answer.get("status") == "postcopy-paused":
            raise EndedError("QEMU: post-copy lost its connection; the guest at the destination waits for pages")
        return sample

    def _is_due(self, sample: Sample, elapsed_s: float) -> bool:
        """Whether post-copy shall begin now."""
        strategy = self._scenario.strategy
        after_s, rounds = strategy.postcopy_after_s, strategy.postcopy_after_rounds
        if after_s is None and rounds is None:
            rounds = 1
        due = after_s is not None and elapsed_s >= after_s
        return due or (rounds is not None and sample.iteration > rounds)

    def _wait_s(self, switch: bool, elapsed_s: float, until_s: float) -> float:
        after_s = self._scenario.strategy.postcopy_after_s if switch else None
        next_s = [self._sample_s, *([after_s - elapsed_s] if after_s is not None else [])]
        return max(0.0, min([*next_s, *([] if self._timed_out else [until_s - elapsed_s])]))

    async def _settle(self) -> None:
        """After an interruption: have the guest run on at one side until the machines are ended."""
        with contextlib.suppress(RunError, TimeoutError):
            async with asyncio.timeout(_SETTLES_WITHIN_S):
                await self._cancel()

    async def _cancel(self) -> None:
        """Cancel what can be; once the guest runs at the destination, or nothing moves, leave it there."""
        monitor = self.source.monitor
        while (answer := await monitor.do("query-migrate")).get("status") in _CANCELLABLE:
            if answer["status"] != "cancelling":
                await monitor.do("migrate_cancel")

    async def checked(self, here: Machine, last: Sample) -> dict[str, Any]:
        """Have the guest look at its memory; one that still waits for pages is not asked."""
        if last.phase == "postcopy":
            return {"side": here.name, "intact": None, "writes": here.console.writes}
        check = await here.console.check(self._scenario.guest.memory_bytes)
        if not check.intact:
            raise _altered(check, here.name)
        looked_at = {"looked_at": list(check.looked_at)} if check.looked_at else {}
        return {"side": here.name, "intact": True, "writes": check.writes} | looked_at

    async def pause(self) -> dict[str, Any]:
        """Wait until the guest ticks at the destination; return for how long it did not."""
        try:
            async with asyncio.timeout(_RESUMES_WITHIN_S):
                if self._scenario.strategy.name == "stopcopy":
                    await self._arrived.wait()  # QEMU 11.1 forgets an order that comes before
                    await self.destination.monitor.do("cont")
                await self.destination.console.ticked.wait()
                await self._resumed.wait()
        except TimeoutError as error:
            raise RunError(f"guest: does not tick at the destination within {_RESUMES_WITHIN_S:g} s") from error
        guest_s, lost = pause_s(self.source.console, self.destination.console)
        events_s = max(0.0, 1e-9 * (self.moments.resumed - self.moments.stopped))
        return {"guest_s": guest_s, "lost_ticks": lost, "events_s": events_s}


async def _configure(machine: Machine, capabilities: list[str], parameters: Mapping[str, Any]) -> None:
    switched = [{"capability": name, "state": True} for name in capabilities]
    await machine.monitor.do("migrate-set-capabilities", {"capabilities": switched})
    if parameters:
        await machine.monitor.do("migrate-set-parameters", parameters)


def _is_complete(sample: Sample) -> bool:
    """Whether QEMU has filled in what it says at the end; for a moment after the state changed it has not."""
    return sample.answer["status"] != "completed" or bool(sample.answer.get("total-time"))


def _altered(check: Check, where: str) -> RunError:
    stale = "" if check.sum_is_right else ", and some are older than their last write"
    return RunError(
        f"guest: {check.wrong_pages} pieces at the {where} are not what it wrote{stale}; this QEMU loses memory, so "
        "nothing is recorded"
    )
