"""One real migration from start to proof."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import platform
import secrets
import select
import signal
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from migkit.errors import MigkitError, RunError
from migkit.harness import checkpoint, wire
from migkit.harness.attached import Attached
from migkit.harness.channel import Channel, ClosedError
from migkit.harness.guest import pacing_of
from migkit.harness.identity import make_identities
from migkit.harness.member import Member, revived
from migkit.harness.nursery import Nursery
from migkit.harness.options import Options, admit, refuse_what_is_not_done
from migkit.scenario import Scenario, rules, schema
from migkit.traces.columns import make_table
from migkit.traces.provenance import provenance
from migkit.traces.schema import ROUND_COLUMNS, SAMPLE_COLUMNS, Outcome, Trace

__all__ = ["InterruptedRunError", "Options", "Progress", "run"]

Progress = Callable[[Mapping[str, Any]], None]
_END_S = 5.0
_PROOF_OPERATIONS = 1000
_PROOF_WAIT_S = 0.25


class InterruptedRunError(MigkitError):
    """The run was interrupted; the message says where the guest ran on."""

    exit_code = 130


def run(
    scenario: Scenario,
    *,
    seed: int = 1,
    options: Options | None = None,
    progress: Progress | None = None,
    nursery: Nursery | None = None,
) -> Trace:
    """Migrate a real guest process as ``scenario`` says and prove that it could not tell.

    Parameters
    ----------
    scenario
        What to move, by which rule. Of the link and the host nothing is read: they are what they are.
    seed
        Of the guest: content and writes follow from it.
    options
        How to run it.
    progress
        Called with each sample (the columns of :data:`migkit.traces.schema.SAMPLE_COLUMNS`) as it is taken.
    nursery
        Where processes come from; None: one for this run alone. Sharing one saves its start.

    Returns
    -------
    Trace
        With ``outcome.verified`` true; a run that cannot be verified is not reported.

    Raises
    ------
    UsageError
        The scenario asks for what the harness does not do, or the port is in use.
    CapabilityError
        The kernel or the privileges here do not allow the tracker.
    RunError
        The migration failed, or the memory at the destination is not what it must be.
    InterruptedRunError
        Ctrl-C; the message says at which side the guest ran on.
    """
    refuse_what_is_not_done(scenario)
    admit(scenario)
    with contextlib.ExitStack() as stack:
        if nursery is None:
            nursery = stack.enter_context(Nursery())
        stage = stack.enter_context(_Stage.of(scenario, seed, options or Options(), nursery))
        stage.watch(progress or (lambda sample: None))
        return stage.trace()


@dataclasses.dataclass
class _Stage:
    """The four processes of one run, and what they report."""

    scenario: Scenario
    seed: int
    options: Options
    nursery: Nursery
    members: dict[str, Member] = dataclasses.field(default_factory=dict)
    samples: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    rounds: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    outcome: dict[str, Any] | None = None
    usage: dict[str, Any] = dataclasses.field(default_factory=dict)
    postcopy: dict[str, Any] | None = None
    survivor: Member | None = None
    identity: str | None = None
    tracker: str = ""
    incomplete: bool = False
    resumed: bool = False

    @classmethod
    @contextlib.contextmanager
    def of(cls, scenario: Scenario, seed: int, options: Options, nursery: Nursery) -> Iterator[_Stage]:
        """Yield a stage that is set up; end its processes afterwards."""
        with tempfile.TemporaryDirectory(prefix="migkit-") as folder:
            stage = cls(scenario, seed, options, nursery)
            if scenario.strategy.tls:
                make_identities(Path(folder))
                stage.identity = folder
            try:
                stage._set_up()
                yield stage
            finally:
                for member in stage.members.values():
                    member.end()

    def _set_up(self) -> None:
        token = secrets.token_hex(16)
        here = self._guest("here", self.seed)
        there = self._guest("there", None)
        common = {
            "host": self.options.host,
            "token": token,
            "patience_s": self.options.patience_s,
            "identity": self.identity,
        }
        destination = self._start(
            "destination",
            {
                **common,
                "port": self.options.port,
                "memory_bytes": self.scenario.guest.memory_bytes,
                "flip_byte": self.options.flip_byte,
            },
            there.lend(),
        )
        port = destination.hear("listening")
        here.hear("booted")
        if self.options.faults:
            faults = [dataclasses.asdict(fault) for fault in self.options.faults]
            relay = self._start("relay", {**common, "port": port, "faults": faults}, None)
            port = relay.hear("listening")
        if self.options.checkpoint is not None:
            self._save(here, self.options.checkpoint)
        source = self._start(
            "source",
            {**common, **self._record(), "port": port, "tracker": self.options.tracker},
            here.lend(),
        )
        self.tracker = source.hear("tracker")

    def _save(self, guest: Member, path: Path) -> None:
        """Let the guest run, and save it as it is at one instant."""
        guest.channel.ask({"do": "resume"})
        with contextlib.closing(Attached(guest.channel, self.scenario.guest.memory_bytes)) as attached:
            checkpoint.save(attached, self.scenario, self.options.pacing or pacing_of(self.scenario.guest), path)

    def _record(self) -> dict[str, Any]:
        """Return the scenario, and the rule of a policy that was registered in this process."""
        return {"scenario": schema.to_record(self.scenario), "rule": rules.to_message(self.scenario.policy)}

    def _guest(self, name: str, seed: int | None) -> Member:
        config = {
            **self._record(),
            "seed": seed,
            "pacing": self.options.pacing or pacing_of(self.scenario.guest),
            "instrumented": self.options.tracker in (None, "instrumented"),
        }
        self.members[name] = Member(self.nursery, "guest", config)
        if seed is None:
            self.members[name].hear("booted")
        return self.members[name]

    def _start(self, role: str, config: Mapping[str, Any], guest: Channel | None) -> Member:
        self.members[role] = Member(self.nursery, role, config, guest)
        return self.members[role]

    # -- during the migration ------------------------------------------------------------

    def watch(self, progress: Progress) -> None:
        """Let the guest run and the source begin; follow it to the end."""
        here, source = self.members["here"], self.members["source"]
        here.channel.ask({"do": "resume"})
        source.channel.send({"do": "begin"})
        try:
            self._follow(progress)
        except KeyboardInterrupt:
            self._cancel()
        except MigkitError as error:
            kind = RunError if isinstance(error, RunError) else type(error)
            where = self._settle()
            if self.survivor is not None:
                self._prove(self.survivor)
            raise kind(f"{error}; {where}") from error

    def _follow(self, progress: Progress) -> None:
        """Take reports until both sides have said their last; raise the first cause if it went wrong.

        When one side has failed, the other has a limited time to notice.
        """
        speaking = {self.members[role].channel for role in ("source", "destination")}
        failures: list[MigkitError] = []
        relay = self.members.get("relay")
        while speaking:
            listened = [*speaking, relay.channel] if relay else list(speaking)
            ready = select.select(listened, [], [], self.options.patience_s if failures else None)[0]
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
        if self.outcome is None or (self.outcome["verdict"] == "converges" and not self.resumed):
            raise min(failures, key=lambda error: isinstance(error, ClosedError | wire.ConnectionLostError))

    def _strike(self, relay: Member) -> Member | None:
        """Do to a side what the relay asks for; None: the relay is over."""
        try:
            wanted = relay.channel.receive()
        except MigkitError:
            return None
        if "error" in wanted:
            return None
        what, _, role = wanted["fault"].partition("-")
        process = self.members[role].process
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
            self.samples.append(message["sample"])
            progress(message["sample"])
        elif "round" in message:
            self.rounds.append(message["round"])
        elif "outcome" in message:
            self.outcome = message["outcome"]
            self.usage["source"] = message["usage"]
        elif "incomplete" in message:
            self.incomplete = True
        elif "postcopy" in message:
            self.postcopy = message["postcopy"]
        elif "resumed" in message:
            self.incomplete = False
            self.resumed = True
            self.usage["destination"] = message["usage"]
        return "outcome" in message or "resumed" in message

    def _cancel(self) -> None:
        """Ctrl-C: have the source give up, unless it is past the commit; then say where the guest runs."""
        with contextlib.suppress(RunError):
            self.members["source"].channel.send({"do": "cancel"})
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
            member = self.members[role]
            if member.process.wait(_END_S) is None:
                member.end()
        here, there = self.members["here"], self.members["there"]
        if self.incomplete and there.process.alive and self._has_run(there):
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

    # -- after it ------------------------------------------------------------------------

    def trace(self) -> Trace:
        """Prove the outcome and return the record of the run."""
        outcome = self.outcome
        assert outcome is not None
        survivor = self.members["there" if outcome["verdict"] == "converges" else "here"]
        self._prove(survivor)
        return Trace(
            scenario=self.scenario,
            kind="harness",
            machine=self._machine(),
            samples=make_table(SAMPLE_COLUMNS, _columns(self.samples, SAMPLE_COLUMNS)),
            rounds=make_table(ROUND_COLUMNS, _columns(self.rounds, ROUND_COLUMNS)),
            outcome=Outcome(**outcome, verified=True),
            provenance=provenance(seed=self.seed),
        )

    def _prove(self, survivor: Member) -> None:
        """Compare the guest that runs on with one that was never migrated, at the same operation.

        Raises
        ------
        RunError
            They differ.
        """
        for name, member in self.members.items():
            if member is not survivor and name not in ("source", "destination"):
                member.end()
        channel = survivor.channel
        reached = channel.ask({"do": "report"})["operations"] + _PROOF_OPERATIONS
        channel.send({"do": "run_to", "operation": reached})
        if channel.ready(_PROOF_WAIT_S):
            channel.receive()
        else:
            channel.ask({"do": "stop"})
        moved = channel.ask({"do": "digest"}, timeout_s=None)
        reference = self._guest("reference", self.seed)
        reference.hear("booted")
        reference.channel.ask({"do": "replay", "operation": moved["operations"]}, timeout_s=None)
        unmoved = reference.channel.ask({"do": "digest"}, timeout_s=None)
        for part in ("registers", "memory"):
            if moved[part] != unmoved[part]:
                raise RunError(
                    f"proof: the {part} of the migrated guest at operation {moved['operations']} differ from those "
                    "of an unmigrated guest; the run is not reported"
                )

    def _machine(self) -> dict[str, Any]:
        return {
            "kernel": platform.release(),
            "processor": _processor(),
            "processors": os.cpu_count() or 1,
            "tracker": self.tracker,
            "pacing": self.options.pacing or pacing_of(self.scenario.guest),
            "path": f"{'tls' if self.identity else 'tcp'} {self.options.host}",
            "usage": self.usage,
            **({"postcopy": self.postcopy} if self.postcopy else {}),
            "frame_bytes": wire.FRAME_BYTES,
            "frame_pages": wire.FRAME_PAGES,
        }


def _columns(rows: list[dict[str, Any]], names: Mapping[str, str]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in names}


def _processor() -> str:
    """Return the processor's model name, as the kernel says it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()
