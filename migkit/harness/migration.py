"""One migration of a guest between two sides: its processes, what they report, and where the guest ends up."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import secrets
import select
import shutil
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from migkit.errors import MigkitError, RunError
from migkit.harness import checkpoint, wire
from migkit.harness.attached import Attached
from migkit.harness.channel import Channel, ClosedError
from migkit.harness.disturbance import Disturbance
from migkit.harness.faults import IMPOSTORS, Fault
from migkit.harness.guest import pacing_of
from migkit.harness.identity import make_identities
from migkit.harness.machine import filled_bytes
from migkit.harness.member import Member, revived
from migkit.harness.network import ADDRESSES
from migkit.harness.nursery import Nursery
from migkit.harness.options import Options
from migkit.harness.record import USAGE
from migkit.scenario import Link, Scenario, rules, schema

__all__ = ["InterruptedRunError", "Migration", "Progress", "guest_of"]

Progress = Callable[[Mapping[str, Any]], None]
_END_S: Final = 5.0


class InterruptedRunError(MigkitError):
    """The run was interrupted; the message says where the guest ran on."""

    exit_code = 130


def guest_of(nursery: Nursery, scenario: Scenario, options: Options, seed: int | None) -> Member:
    """Start a guest process, stopped; seed None: its memory arrives from elsewhere."""
    config = {
        **_record(scenario),
        "seed": seed,
        "pacing": options.pacing or pacing_of(scenario.guest),
        "instrumented": options.tracker in (None, "instrumented"),
    }
    guest = Member(nursery, "guest", config)
    guest.hear("booted")
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
    survivor
        The guest that lives on, once that is settled.
    """

    def __init__(
        self, scenario: Scenario, options: Options, nursery: Nursery, identity: Path | None, here: Member
    ) -> None:
        self._scenario, self._options, self._nursery = scenario, options, nursery
        self._identity = identity
        self._members = {"here": here}
        self._hosts: dict[str, int] = {}
        self._committed = self._incomplete = self._resumed = False
        self.samples: list[dict[str, Any]] = []
        self.rounds: list[dict[str, Any]] = []
        self.outcome: dict[str, Any] | None = None
        self.usage: dict[str, Any] = {}
        self.postcopy: dict[str, Any] | None = None
        self.tracker = ""
        self.others_share = 0.0
        self.survivor: Member | None = None

    def run(self, progress: Progress) -> None:
        """Set up both sides, migrate, and settle where the guest lives on.

        Raises
        ------
        RunError, InterruptedRunError
            It failed; the message says where the guest runs on, and ``survivor`` is that guest.
        UsageError, CapabilityError
            It could not begin.
        """
        self._set_up()
        self._watch(progress)

    def close(self) -> None:
        """End every process but the survivor."""
        for member in self._members.values():
            if member is not self.survivor:
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
            "host": ADDRESSES["destination"] if hosts else self._options.host,
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
        config = {"bandwidth_bytes_per_s": self._scenario.link.bandwidth_bytes_per_s}
        return self._start("network", config, None).hear_with_descriptors("hosts")

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
        with contextlib.closing(Attached(guest.channel, self._scenario.guest.memory_bytes)) as attached:
            pacing = self._options.pacing or pacing_of(self._scenario.guest)
            try:
                checkpoint.save(attached, self._scenario, pacing, path)
            except MigkitError:
                self.survivor = guest
                raise

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
        try:
            here.channel.ask({"do": "resume"})
            disturbance = Disturbance(self._used_s)
            source.channel.send({"do": "begin"})
            self._follow(progress)
            self.others_share = disturbance.share()
            self.survivor = self._members["there" if self._resumed else "here"]
        except KeyboardInterrupt:
            self._cancel()
        except MigkitError as error:
            kind = RunError if isinstance(error, RunError) else type(error)
            raise kind(f"{error}; {self._settle()}") from error

    def _used_s(self) -> float:
        """Return the processor time of all who take part [s]."""
        return sum(member.process.used()[0] for member in self._members.values())

    def _follow(self, progress: Progress) -> None:
        """Take reports until both sides have said their last; raise the first cause if it went wrong.

        When one side has failed, the other has a limited time to notice.
        """
        speaking = {self._members[role].channel for role in ("source", "destination")}
        failures: list[MigkitError] = []
        relay = self._members.get("relay")
        while speaking:
            listened = [*speaking, relay.channel] if relay else list(speaking)
            ready = select.select(listened, [], [], self._options.patience_s if failures else None)[0]
            if relay and relay.channel in ready:
                relay = self._strike(relay)
                continue
            if not ready:
                break
            for channel in ready:
                try:
                    last = self._take(channel.receive(), progress)
                except MigkitError as error:
                    failures.append(error)
                    last = True
                if last:
                    speaking.discard(channel)
            if failures and self._committed:
                self._call_off(speaking)
        if self.outcome is None or (self.outcome["verdict"] == "converges" and not self._resumed):
            raise min(failures, key=lambda error: isinstance(error, ClosedError | wire.ConnectionLostError))

    @staticmethod
    def _call_off(speaking: set[Channel]) -> None:
        """Tell a side that may hope to recover in post-copy that the other one has ended."""
        for channel in speaking:
            with contextlib.suppress(ClosedError):
                channel.send({"do": "cancel"})

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

    def _take(self, message: Mapping[str, Any], progress: Progress) -> bool:
        """Note one report; say whether it is the last one of its side."""
        if "error" in message:
            raise revived(message)
        if "sample" in message:
            used = dict(zip(USAGE[-2:], self._members["destination"].process.used(), strict=True))
            self.samples.append(message["sample"] | used)
            progress(message["sample"])
        elif "round" in message:
            self.rounds.append(message["round"])
        elif "outcome" in message:
            self.outcome = message["outcome"]
            self.usage["source"] = message["usage"]
        elif "committed" in message:
            self._committed = True
        elif "incomplete" in message:
            self._incomplete = True
        elif "postcopy" in message:
            self.postcopy = message["postcopy"]
        elif "resumed" in message:
            self._incomplete = False
            self._resumed = True
            self.usage["destination"] = message["usage"]
        return "outcome" in message or "resumed" in message

    def _cancel(self) -> None:
        """Ctrl-C: have the source give up, unless it is past the commit; then say where the guest runs."""
        with contextlib.suppress(RunError):
            self._members["source"].channel.send({"do": "cancel"})
            with contextlib.suppress(MigkitError):
                self._follow(lambda sample: None)
        raise InterruptedRunError(f"interrupted; {self._settle()}")

    def _settle(self) -> str:
        """Make sure that the guest runs on at exactly one side, and say at which.

        Source and destination are over first, so nobody else decides any more. If the guest was
        resumed at the destination, it is the guest; else that copy is discarded before the one at the
        source, which is intact, runs again.
        """
        for role in ("source", "destination"):
            member = self._members[role]
            if member.process.wait(_END_S) is None:
                member.end()
        here, there = self._members["here"], self._members["there"]
        if self._incomplete and there.process.alive and self._has_run(there):
            here.end()
            there.end()
            return "THE GUEST IS LOST: it had run at the destination, and pages that it needs never arrived there"
        if there.process.alive and there.channel.ask({"do": "report"})["running"]:
            here.end()
            self.survivor = there
            return f"the guest runs on at the destination (operation {self._operations(there)})"
        there.end()
        if not here.process.alive:
            return "the guest is lost: neither side has it"
        here.channel.ask({"do": "resume"})
        self.survivor = here
        return f"the guest runs on at the source (operation {self._operations(here)})"

    @staticmethod
    def _has_run(guest: Member) -> bool:
        """Say whether a guest was resumed; one that does not answer waits for a page, so it was."""
        try:
            return bool(guest.channel.ask({"do": "report"}, timeout_s=2.0)["running"])
        except RunError:
            return True

    @staticmethod
    def _operations(guest: Member) -> int:
        return int(guest.channel.ask({"do": "report"})["operations"])
