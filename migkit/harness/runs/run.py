"""Real migrations of one guest from start to proof."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Any

from migkit.errors import MigkitError, RunError
from migkit.harness.guests.guest import pacing_of
from migkit.harness.guests.proof import ProofError, Reference
from migkit.harness.processes.member import Member
from migkit.harness.processes.nursery import Nursery
from migkit.harness.protocol import wire
from migkit.harness.protocol.identity import make_identities
from migkit.harness.runs.folders import private_folder
from migkit.harness.runs.migration import Migration, Progress, guest_of
from migkit.harness.runs.options import Options, admit, as_performed, refuse_what_is_not_done
from migkit.harness.runs.settlement import InterruptedRunError, Settled, go_on, telling
from migkit.harness.sides.recorder import USAGE
from migkit.scenario import Scenario
from migkit.traces.columns import make_table
from migkit.traces.provenance import provenance
from migkit.traces.schema import ROUND_COLUMNS, SAMPLE_COLUMNS, Outcome, Trace

__all__ = ["InterruptedRunError", "Options", "Progress", "moves", "run"]

_PROOF_OPERATIONS = 1000
_PROOF_WAIT_S = 0.25


def run(
    scenario: Scenario,
    *,
    seed: int = 1,
    options: Options | None = None,
    progress: Progress | None = None,
    nursery: Nursery | None = None,
    turn: contextlib.AbstractContextManager[object] | None = None,
) -> Trace:
    """Migrate a real guest process as ``scenario`` says and prove that it could not tell.

    Parameters
    ----------
    scenario
        What to move, by which rule. Of the link and the host nothing is read: they are what they are.
        Whether the path is encrypted is said by the options; the trace notes it in its scenario.
    seed
        Of the guest: content and writes follow from it.
    options
        How to run it.
    progress
        Called with each sample (the columns of :data:`migkit.traces.schema.SAMPLE_COLUMNS`) as it is taken.
    nursery
        Where processes come from; None: one for this run alone. Sharing one saves its start.
    turn
        Entered when all is set up, left when the migration has ended, before the proof: it may wait for its turn
        among other migrations.

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
        Ctrl-C.

    Every error from the start of the first process on ends with where the guest is.
    """
    journey = moves(scenario, 1, seed=seed, options=options, progress=progress, nursery=nursery, turn=turn)
    with contextlib.closing(journey):
        return next(journey)


def moves(
    scenario: Scenario,
    count: int,
    *,
    seed: int = 1,
    options: Options | None = None,
    progress: Progress | None = None,
    nursery: Nursery | None = None,
    turn: contextlib.AbstractContextManager[object] | None = None,
) -> Generator[Trace]:
    """Migrate one and the same guest ``count`` times in a row, there and back; yield the trace of each move.

    Between two moves the guest stands still, for the proof. Parameters and errors are those of :func:`run`; each move
    is a turn.
    """
    options = options or Options()
    scenario = as_performed(scenario, options)
    refuse_what_is_not_done(scenario, options)
    admit(scenario, copies=min(1 + count, 3))
    with contextlib.ExitStack() as stack:
        journey = _Journey(scenario, seed, options, stack)
        journey.begin(nursery)
        for _ in range(count):
            yield journey.move(progress or (lambda sample: None), turn or contextlib.nullcontext())


class _Journey:
    """One guest, wherever it is, and the reference that it is compared with."""

    def __init__(self, scenario: Scenario, seed: int, options: Options, stack: contextlib.ExitStack) -> None:
        self._scenario, self._seed, self._options = scenario, seed, options
        self._stack = stack
        self._reference: Reference | None = None
        self._identity: Path | None = None
        self._guest: Member | None = None
        self._side = "source"
        self._settled: Settled | None = None

    def begin(self, nursery: Nursery | None) -> None:
        """Start the guest; None: in a nursery of its own."""
        with telling(self._where):
            self._nursery = nursery or self._stack.enter_context(Nursery())
            if self._scenario.strategy.tls:
                self._identity = self._stack.enter_context(private_folder())
                make_identities(self._identity)
            self._guest = guest_of(self._nursery, self._scenario, self._options, self._seed)
            self._stack.callback(self._end)

    def _end(self) -> None:
        if self._guest is not None:
            self._guest.end()

    def _where(self) -> str:
        """Say where the guest is, after it was made to run on."""
        if self._settled is None and self._guest is not None:
            self._settled = go_on(self._guest, self._side)
        return self._settled.words if self._settled is not None else "no guest was started"

    def move(self, progress: Progress, turn: contextlib.AbstractContextManager[object]) -> Trace:
        """Migrate the guest once and prove it, wherever it lives on afterwards."""
        with telling(self._where):
            assert self._guest is not None
            self._settled = None
            migration = Migration(self._scenario, self._options, self._nursery, self._identity, self._guest)
            try:
                self._migrate(migration, progress, turn)
            except MigkitError as error:
                self._prove_after(error, migration)
                raise
            self._settled = None
            self._prove()
            return self._trace(migration)

    def _migrate(
        self, migration: Migration, progress: Progress, turn: contextlib.AbstractContextManager[object]
    ) -> None:
        """Migrate the guest, and take it over from where it is then."""
        try:
            with contextlib.closing(migration):
                migration.run(progress, turn)
        finally:
            if migration.settled is not None:
                self._settled = migration.settled
                self._guest, self._side = migration.settled.guest, migration.settled.side

    def _prove_after(self, cause: MigkitError, migration: Migration) -> None:
        """Prove the guest of a migration that failed.

        Raises
        ------
        RunError
            It is not intact, or that cannot be told.
        """
        if self._guest is None or not migration.has_run:
            return
        try:
            self._prove()
        except RunError as error:
            raise RunError(f"{cause}; {error}") from cause

    def _prove(self) -> None:
        """Stop the guest a little later, and compare it with one that was never migrated.

        Raises
        ------
        ProofError
            They differ.
        RunError
            One of them does not answer.
        """
        assert self._guest is not None
        channel = self._guest.channel
        reached = channel.ask({"do": "report"})["operations"] + _PROOF_OPERATIONS
        channel.send({"do": "run_to", "operation": reached})
        if channel.ready(_PROOF_WAIT_S):
            channel.receive()
        else:
            channel.ask({"do": "stop"})
        if self._reference is None:
            self._reference = self._stack.enter_context(Reference.of(self._nursery, self._scenario, self._seed))
        try:
            self._reference.prove(channel, "migrated")
        except ProofError:
            self._settled = Settled(self._guest, self._side, f"the guest at the {self._side} is not intact")
            raise

    def _trace(self, migration: Migration) -> Trace:
        """Return the record of a move that was proven."""
        assert migration.outcome is not None
        return Trace(
            scenario=self._scenario,
            kind="harness",
            machine=self._machine(migration),
            samples=make_table(SAMPLE_COLUMNS, _columns(migration.samples, SAMPLE_COLUMNS)),
            rounds=make_table(ROUND_COLUMNS, _columns(migration.rounds, ROUND_COLUMNS)),
            outcome=Outcome(**migration.outcome, verified=True),
            provenance=provenance(seed=self._seed),
        )

    def _machine(self, migration: Migration) -> dict[str, Any]:
        where = self._options.host if self._options.path == "loopback" else self._options.path
        return {
            "kernel": platform.release(),
            "processor": _processor(),
            "processors": os.cpu_count() or 1,
            "tracker": migration.tracker,
            "pacing": self._options.pacing or pacing_of(self._scenario.guest),
            "path": f"{'tls' if self._identity else 'tcp'} {where}",
            "usage": migration.usage,
            "others_share": migration.others_share,
            "usage_samples": _columns(migration.samples, USAGE),
            **({"postcopy": migration.postcopy} if migration.postcopy else {}),
            "frame_bytes": wire.FRAME_BYTES,
            "frame_pages": wire.FRAME_PAGES,
        }


def _columns(rows: list[dict[str, Any]], names: Iterable[str]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in names}


def _processor() -> str:
    """Return the processor's model name, as the kernel says it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()
