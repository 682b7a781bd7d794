"""One migration of a guest between two sides: its processes, what they report, and where the guest ends up."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import secrets
import select
import shutil
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from migkit.errors import MigkitError, RunError
from migkit.harness.guests import checkpoint
from migkit.harness.guests.attached import Attached
from migkit.harness.guests.guest import pacing_of
from migkit.harness.guests.machine import filled_bytes
from migkit.harness.linux.channel import Channel, ClosedError
from migkit.harness.paths.faults import IMPOSTORS, Fault
from migkit.harness.paths.namespaces import ADDRESSES
from migkit.harness.processes.member import Member, revived
from migkit.harness.processes.nursery import Nursery
from migkit.harness.protocol import wire
from migkit.harness.protocol.identity import make_identities
from migkit.harness.runs import settlement
from migkit.harness.runs.disturbance import Disturbance
from migkit.harness.runs.options import Options
from migkit.harness.runs.settlement import Handover, Settled
from migkit.harness.sides.recorder import USAGE
from migkit.interruption import undisturbed
from migkit.scenario import Link, Scenario, rules
from migkit.scenario.form import schema

__all__ = ["Migration", "Progress", "guest_of"]

Progress = Callable[[Mapping[str, Any]], None]
_CANCEL_S: Final = 5.0  # for a source to give up; before the commit it can as well be ended
_LOOK_S: Final = 1.0  # between two looks for a side that is stopped


def guest_of(nursery: Nursery, scenario: Scenario, options: Options, seed: int | None) -> Member:
    """Start a guest process, stopped; seed None: its memory arrives from elsewhere."""
    config = {
        **_record(scenario),
        "seed": seed,
        "pacing": options.pacing or pacing_of(scenario.guest),
        "instrumented": options.tracker in (None, "instrumented"),
    }
    guest = Member(nursery, "guest", config)
    try:
        guest.hear("booted")
    except BaseException:
        guest.end()
        raise
    return guest


def _record(scenario: Scenario) -> dict[str, Any]:
    """Return the scenario, and the rule of a policy that was registered in this process."""
    return {"scenario": schema.to_record(scenario), "rule": rules.to_message(scenario.policy)}


class Migration:
    """The processes of one migration, and what they report.

    Parameters
    ----------
    scenario, options, nursery
        What to move, how, and where processes come from.
    identity
        Folder with the certificates of both sides; None: plain text.
    here
        The guest, wherever it is now.

    Attributes
    ----------
    samples, rounds, outcome, usage, postcopy, tracker
        What source and destination reported.
    others_share
        Share of all processors that others had meanwhile.
    settled
        Where the guest is, once that is settled.
    has_run
        Whether the guest ran, so that something may have happened to it.
    """

    def __init__(
        self, scenario: Scenario, options: Options, nursery: Nursery, identity: Path | None, here: Member
    ) -> None:
        self._scenario, self._options, self._nursery = scenario, options, nursery
        self._identity = identity
        self._members = {"here": here}
        self._hosts: dict[str, int] = {}
        self._handover = Handover()
        self._resumed = False
        self._speaking: set[str] = set()
        self.samples: list[dict[str, Any]] = []
        self.rounds: list[dict[str, Any]] = []
        self.outcome: dict[str, Any] | None = None
        self.usage: dict[str, Any] = {}
        self.postcopy: dict[str, Any] | None = None
        self.tracker = ""
        self.others_share = 0.0
        self.settled: Settled | None = None
        self.has_run = False

    def run(self, progress: Progress, turn: contextlib.AbstractContextManager[object]) -> None:
        """Set up both sides, migrate within ``turn``, and settle where the guest lives on, whatever happens.

        Raises
        ------
        MigkitError, KeyboardInterrupt
            It failed, could not begin, or was interrupted; ``settled`` says where the guest is.
        """
        try:
            self._set_up()
            with turn:
                self._watch(progress)
        except BaseException:
            with undisturbed():
                self.settled = settlement.settle(self._members, self._handover)
            raise

    def close(self) -> None:
        """End every process but the guest that lives on."""
        with undisturbed():
            for member in self._members.values():
                if self.settled is None or member is not self.settled.guest:
                    member.end()
            while self._hosts:
                os.close(self._hosts.popitem()[1])

    def _set_up(self) -> None:
        """Start whoever takes part, each in its network, when there are several.

        The networks are held to the end: with the last process in one, the cable to the other would
        go, and what is still on its way.
        """
        hosts = self._hosts = self._two_hosts() if self._options.path == "namespaces" else {}
        common: dict[str, Any] = {
            "host": self._listens_at(),
            "token": secrets.token_hex(16),
            "patience_s": self._options.patience_s,
            "recovery_s": self._options.recovery_s,
            "identity": str(self._identity) if self._identity else None,
        }
        there = self._members["there"] = guest_of(self._nursery, self._scenario, self._options, None)
        destination = self._start(
            "destination",
            {
                **common,
                "port": self._options.port,
                "memory_bytes": self._scenario.guest.memory_bytes,
                "flip_byte": self._options.flip_byte,
                "preempt": self._scenario.strategy.preempt,
                "populate_bytes": self._to_populate_bytes(),
            },
            there.lend(),
            hosts.get("destination"),
        )
        address = common["host"], destination.hear("listening")
        if self._needs_relay():
            address = self._relay(address, hosts.get("source"))
        if self._options.checkpoint is not None:
            self._save(self._members["here"], self._options.checkpoint)
        source = self._start(
            "source",
            {
                **common,
                **_record(self._scenario),
                **self._pretence(),
                "host": address[0],
                "port": address[1],
                "tracker": self._options.tracker,
            },
            self._members["here"].lend(),
            hosts.get("source"),
        )
        self.tracker = source.hear("tracker")

    def _two_hosts(self) -> dict[str, int]:
        """Return a network for each side, as descriptors of namespaces."""
        if self._options.lane is not None:
            return {side: os.dup(host) for side, host in self._options.lane.hosts.items()}
        config = {"bandwidth_bytes_per_s": self._scenario.link.bandwidth_bytes_per_s, "lanes": 1}
        return self._start("network", config, None).hear_with_descriptors("hosts")

    def _listens_at(self) -> str:
        """Return the address of the destination."""
        if self._options.lane is not None:
            return self._options.lane.address
        return ADDRESSES["destination"] if self._options.path == "namespaces" else self._options.host

    def _needs_relay(self) -> bool:
        """Say whether somebody in between must shape the path, or break it."""
        link, path = self._scenario.link, self._options.path
        return bool(
            path == "relay" or (path == "namespaces" and (link.rtt_s or link.steps)) or self._faults_on_path()
        )

    def _faults_on_path(self) -> list[Fault]:
        return [fault for fault in self._options.faults if fault.kind not in IMPOSTORS]

    def _relay(self, address: tuple[str, int], namespace: int | None) -> tuple[str, int]:
        """Put a relay into the path, on the source's side; return where it listens."""
        link = Link() if self._options.path == "loopback" else self._scenario.link
        host = self._options.host if namespace is None else ADDRESSES["source"]
        config = {
            "host": host,
            "target": address,
            "faults": [dataclasses.asdict(fault) for fault in self._faults_on_path()],
            "bandwidth_bytes_per_s": link.bandwidth_bytes_per_s,
            "rtt_s": link.rtt_s,
            "steps": link.steps,
        }
        return host, int(self._start("relay", config, None, namespace).hear("listening"))

    def _pretence(self) -> dict[str, Any]:
        """Return what the source says of itself that is wrong, when it is to be an impostor, and its version."""
        kinds = {fault.kind for fault in self._options.faults}
        says: dict[str, Any] = {"version": wire.VERSION + ("wrong-version" in kinds)}
        if "wrong-token" in kinds:
            says["token"] = secrets.token_hex(16)
        if "wrong-certificate" in kinds and self._identity is not None:
            folder = self._identity / "stranger"
            folder.mkdir(exist_ok=True)
            make_identities(folder)
            shutil.copy(self._identity / "authority.crt", folder)
            says["identity"] = str(folder)
        return says

    def _to_populate_bytes(self) -> int:
        """Return what of the memory the destination takes from the kernel in advance; none that is to be absent."""
        return 0 if self._scenario.strategy.name == "postcopy" else filled_bytes(self._scenario.guest)

    def _save(self, guest: Member, path: Path) -> None:
        """Let the guest run, and save it as it is at one instant."""
        guest.channel.ask({"do": "resume"})
        self.has_run = True
        with contextlib.closing(Attached(guest.channel, self._scenario.guest.memory_bytes)) as attached:
            pacing = self._options.pacing or pacing_of(self._scenario.guest)
            checkpoint.save(attached, self._scenario, pacing, path)

    def _start(
        self, role: str, config: Mapping[str, Any], guest: Channel | None, namespace: int | None = None
    ) -> Member:
        member = Member(self._nursery, role, {**config, "enters": namespace is not None}, guest)
        self._members[role] = member
        if namespace is not None:
            member.channel.send({"do": "enter"}, [namespace])
        return member

    def _watch(self, progress: Progress) -> None:
        """Let the guest run and the source begin; follow it to the end."""
        here, source = self._members["here"], self._members["source"]
        here.channel.ask({"do": "resume"})
        self.has_run = True
        disturbance = Disturbance(self._used_s)
        source.channel.send({"do": "begin"})
        self._speaking = {"source", "destination"}
        try:
            failure = self._follow(progress)
        except BaseException:  # Ctrl-C, or who is told of the progress cannot go on
            with undisturbed():
                self._cancel()
            raise
        if failure is not None:
            raise failure
        self.others_share = disturbance.share()
        side, role = ("destination", "there") if self._resumed else ("source", "here")
        self.settled = Settled(self._members[role], side, f"the guest is at the {side}")

    def _used_s(self) -> float:
        """Return the processor time of all who take part [s]."""
        return sum(member.process.used()[0] for member in self._members.values())

    def _follow(self, progress: Progress, give_up_s: float = math.inf) -> MigkitError | None:
        """Take reports until both sides have said their last; return the first cause if it went wrong.

        When one side has failed, the other has a limited time to notice. One that is stopped for that time
        has failed. Before the commit all ends at ``give_up_s`` on the monotonic clock.
        """
        failures: list[MigkitError] = []
        relay = self._members.get("relay")
        silent_s = time.monotonic()
        while self._speaking:
            listened = {self._members[role].channel: role for role in self._speaking}
            ready = select.select([*listened, *([relay.channel] if relay else [])], [], [], _LOOK_S)[0]
            if relay and relay.channel in ready:
                relay = self._strike(relay)
                ready = []
            for channel in ready:
                failures += self._hear(listened[channel], progress)
            now_s = time.monotonic()
            if ready:
                silent_s = now_s
            if now_s > give_up_s and not self._handover.committed:
                break
            if now_s - silent_s > self._options.patience_s:
                failures += self._stopped()
                if failures:
                    break
        if self.outcome is None or (self.outcome["verdict"] == "converges" and not self._resumed):
            return min(failures, key=_is_consequence, default=RunError("the migration did not end in time"))
        return None

    def _hear(self, role: str, progress: Progress) -> list[MigkitError]:
        """Take one report of a side; return what went wrong there."""
        try:
            message = self._members[role].channel.receive()
            if "error" in message:
                raise revived(message)
        except MigkitError as error:
            self._speaking.discard(role)
            self._call_off(role)
            return [error]
        self._take(message)
        if "outcome" in message or "resumed" in message:
            self._speaking.discard(role)
        if "sample" in message:
            progress(message["sample"])
        return []

    def _stopped(self) -> list[MigkitError]:
        """Return a failure for each side that is stopped."""
        stopped = [role for role in sorted(self._speaking) if self._members[role].process.is_stopped()]
        return [RunError(f"{role}: its process is stopped; continue it (kill -CONT)") for role in stopped]

    def _call_off(self, failed: str) -> None:
        """Tell a side that waits for the one that has failed that it waits in vain."""
        other = "destination" if failed == "source" else "source"
        if other in self._speaking and (other == "destination" or self._handover.committed):
            with contextlib.suppress(RunError):
                self._members[other].channel.send({"do": "give up"})

    def _strike(self, relay: Member) -> Member | None:
        """Do to a side what the relay asks for; None: the relay is over."""
        try:
            wanted = relay.channel.receive()
        except MigkitError:
            return None
        if "error" in wanted:
            return None
        what, _, role = wanted["fault"].partition("-")
        for each in ("source", "destination") if role == "both" else (role,):
            process = self._members[each].process
            process.signal(signal.SIGKILL if what == "kill" else signal.SIGSTOP)
            if what == "stop":
                process.wait(wanted["duration_s"])
                process.signal(signal.SIGCONT)
        relay.channel.send({"done": True})
        return relay

    def _take(self, message: Mapping[str, Any]) -> None:
        """Note one report."""
        self._handover.note(message)
        if "sample" in message:
            used = dict(zip(USAGE[-2:], self._members["destination"].process.used(), strict=True))
            self.samples.append(message["sample"] | used)
        elif "round" in message:
            self.rounds.append(message["round"])
        elif "outcome" in message:
            self.outcome = message["outcome"]
            self.usage["source"] = message["usage"]
        elif "postcopy" in message:
            self.postcopy = message["postcopy"]
        elif "resumed" in message:
            self._resumed = True
            self.usage["destination"] = message["usage"]

    def _cancel(self) -> None:
        """Have the source give up, unless it is past the commit: then what was begun is brought to its end."""
        if "source" in self._speaking:
            with contextlib.suppress(RunError):
                self._members["source"].channel.send({"do": "cancel"})
        self._follow(lambda sample: None, time.monotonic() + _CANCEL_S)


def _is_consequence(error: MigkitError) -> bool:
    """Say whether an error only tells that something else went wrong before."""
    return isinstance(error, ClosedError | wire.ConnectionLostError)
