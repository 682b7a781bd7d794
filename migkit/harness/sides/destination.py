"""The destination: serves exactly one migration, then the guest runs here, or it never has."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from migkit.errors import RunError, UsageError
from migkit.harness.guests import registers
from migkit.harness.guests.attached import Attached
from migkit.harness.linux.channel import Channel
from migkit.harness.protocol import pages as page_loops
from migkit.harness.protocol import wire
from migkit.harness.protocol.connection import DEMANDS, MIGRATION, RECOVERY, STREAM, Connection
from migkit.harness.protocol.encoding import delta
from migkit.harness.protocol.streams import Intake
from migkit.harness.protocol.wire import ConnectionLostError, Frame, WireError
from migkit.harness.sides.door import Door
from migkit.harness.sides.pull import Arrivals
from migkit.harness.sides.recorder import usage
from migkit.units import PAGE_BYTES

__all__ = ["main"]

_MOST_STREAMS: Final = 256
_RETRY_S: Final = 0.05
_JOIN_S: Final = 5.0  # at least, for all who join


class _Destination:
    """One incoming migration."""

    def __init__(self, config: Mapping[str, Any], owner: Channel, guest: Attached) -> None:
        self._config = config
        self.door = Door(config, owner)
        self._owner = owner
        self._guest = guest
        self._registers: np.ndarray | None = None
        self._demands: Connection | None = None
        self._intake: Intake | None = None
        self._present = np.zeros(config["memory_bytes"] // PAGE_BYTES, np.uint8)
        self._arrived = np.zeros(3, np.int64)  # full pages, zero pages, checksums of their frames
        self._absent: list[np.ndarray] = []

    def serve(self) -> None:
        """Listen, receive, hand over."""
        self._guest.populate(self._config["populate_bytes"])
        with self.door.open():
            self._owner.send({"listening": self.door.port})
            [connection] = self.door.expect(MIGRATION)
        self.take(connection)

    def take(self, connection: Connection) -> None:
        """Receive the guest over a connection; say why if what comes is not allowed."""
        self._main = connection
        self._main.receiver.memory = self._guest.words
        try:
            self._load()
        except WireError as error:
            self._main.refuse(wire.ABORT, str(error))
            raise
        finally:
            self._main.close()
            if self._intake is not None:
                self._intake.close()

    def _load(self) -> None:
        """Take frames until the guest is complete, then run it when the source commits."""
        while True:
            frame = self._receive()
            if frame.kind == wire.PAGES:
                self._place(frame)
            elif frame.kind == wire.ROUND:
                self._end_round(frame)
            elif frame.kind == wire.JOIN:
                self._join(frame.message)
            elif frame.kind == wire.ABSENT:
                self._absent.append(wire.page_ranges(frame, self._present.size))
            elif frame.kind == wire.STATE:
                self._registers = self._state(frame)
            else:
                self._end_round(frame, last=True)
                return self._switch_over()

    def _receive(self) -> Frame:
        """Return the next frame of the first connection; a stream that failed ended that, too."""
        try:
            return self._main.receiver.receive(
                wire.PAGES, wire.ROUND, wire.JOIN, wire.ABSENT, wire.STATE, wire.PREPARE
            )
        except ConnectionLostError as error:
            if self._intake is not None and self._intake.failure is not None:
                raise self._intake.failure from error
            raise

    def _end_round(self, frame: Frame, *, last: bool = False) -> None:
        """Compare what was sent with what arrived, when all of it has."""
        with self._intake.complete(last=last) if self._intake is not None else contextlib.nullcontext():
            self._check_totals(frame)

    def _join(self, message: Mapping[str, Any]) -> None:
        """Listen once more, for the connections that the source announces."""
        purpose, count = message.get("purpose"), message.get("count")
        most = {DEMANDS: 1, STREAM: _MOST_STREAMS}.get(str(purpose), 0)
        known = {DEMANDS: self._demands, STREAM: self._intake}.get(str(purpose))
        if not isinstance(count, int) or not 0 < count <= most or known is not None:
            raise WireError(f"wire: a JOIN frame for {count!r} connections for {purpose!r} cannot be followed")
        joined = self._let_in(str(purpose), count)
        if purpose == DEMANDS:
            [self._demands] = joined
            return
        for each in joined:
            each.receiver.memory = self._guest.words
        self._intake = Intake(joined, self._main, self._place, self._config["patience_s"])

    def _let_in(self, purpose: str, count: int = 1) -> list[Connection]:
        with self.door.open():
            self._main.sender.message(wire.JOIN)
            return self.door.expect(purpose, max(self._config["patience_s"], _JOIN_S), count, self._main)

    def _place(self, frame: Frame) -> None:
        full = wire.check_pages(frame, self._present.size, differences=True)
        bodies = frame.words[frame.count :]
        if not frame.placed:
            page_loops.scatter(frame.headers, bodies, self._guest.words)
            bodies = bodies[full * page_loops.PAGE_WORDS :]
        if not delta.apply(frame.headers, bodies, self._guest.words):
            raise WireError("wire: a PAGES frame holds a difference that does not fit its page")
        page_loops.settle(frame.headers, self._guest.words, self._present)
        zero = int(np.count_nonzero(frame.headers >> page_loops.KIND_SHIFT == page_loops.ZERO))
        self._arrived += frame.count - zero, zero, frame.checksum

    def _check_totals(self, frame: Frame) -> None:
        said = [frame.message.get(name) for name in ("full_pages", "zero_pages", "checksum")]
        full, zero, checksum = self._arrived.tolist()
        if said[:2] != [full, zero]:
            raise WireError(f"wire: the source sent {said[:2]} full and zero pages, {[full, zero]} arrived")
        if said[2] != checksum & page_loops.CHECKSUM_MASK:
            raise WireError("wire: the checksum of a round is wrong; other frames arrived than were sent")

    def _state(self, frame: Frame) -> np.ndarray:
        if len(frame.payload) != self._guest.registers.nbytes:
            raise WireError(f"wire: a STATE frame of {len(frame.payload)} B")
        state = frame.words.copy()
        reason = registers.wrong(state, self._guest.layout)
        if reason:
            raise WireError(f"wire: a STATE frame holds registers that no such guest has: {reason}")
        return state

    def _switch_over(self) -> None:
        """Make ready, wait for the commit, run the guest, and in post-copy bring what is absent."""
        if self._registers is None:
            raise WireError("wire: a PREPARE frame came before the registers of the guest")
        self._guest.registers[:] = self._registers
        self._alter_if_asked()
        arrivals = None
        if self._absent:
            if self._demands is None:
                raise WireError("wire: an ABSENT frame came before the second connection")
            self._main.receiver.memory = None
            arrivals = Arrivals(self._guest, np.concatenate(self._absent), self._config["preempt"])
        self._owner.send({"prepared": {"complete": arrivals is None}})
        self._main.sender.message(wire.PREPARED)
        self._main.receiver.receive(wire.COMMIT)
        report = self._guest.order("resume")
        self._confirm(report["operations"])
        if arrivals is not None:
            self._owner.send({"postcopy": self._bring(arrivals)})
        self._owner.send({"resumed": True, "usage": usage()})

    def _confirm(self, operations: int) -> None:
        """Say to both that the guest runs here; a source that does not hear it finds out, or is over."""
        with contextlib.suppress(ConnectionLostError):
            self._main.sender.message(wire.CONFIRM, {"operations": operations})
        self._owner.send({"running": True})

    def _bring(self, arrivals: Arrivals) -> dict[str, Any]:
        """Bring what is absent, over new connections when they fail; return what that took."""
        recoveries, paused_s = 0, 0.0
        while True:
            assert self._demands is not None
            try:
                arrivals.serve(self._main, self._demands, self._config["patience_s"])
            except (ConnectionLostError, WireError) as error:
                start_s = time.monotonic()
                self._recover(arrivals, error)
                recoveries += 1
                paused_s += time.monotonic() - start_s
                continue
            self._demands.close()
            arrivals.close()
            return {**arrivals.report(), "recoveries": recoveries, "paused_s": paused_s}

    def _recover(self, arrivals: Arrivals, cause: RunError) -> None:
        """Let the source come back, as often as that fails within the time; the guest runs meanwhile, or waits.

        Raises
        ------
        ConnectionLostError
            It does not come back in time.
        RunError
            The owner knows that it never will.
        """
        limit_s = self._config["recovery_s"]
        end_s = time.monotonic() + limit_s
        while True:
            for each in (self._main, self._demands):
                if each is not None:
                    each.close()
            try:
                return self._come_back(arrivals, max(end_s - time.monotonic(), 0.0))
            except (ConnectionLostError, WireError, UsageError) as error:  # the last: somebody else has the port
                if time.monotonic() >= end_s:
                    raise ConnectionLostError(f"{cause}; not recovered within {limit_s:g} s ({error})") from error
                self._owner.ready(_RETRY_S)

    def _come_back(self, arrivals: Arrivals, timeout_s: float) -> None:
        """Let the source in again, and tell it what is absent."""
        with self.door.open():
            [self._main] = self.door.expect(RECOVERY, timeout_s)
        arrivals.announce(self._main)
        [self._demands] = self._let_in(DEMANDS)

    def _alter_if_asked(self) -> None:
        """Flip one bit of a byte when the run is told to prove that it would notice."""
        if self._config.get("flip_byte") is not None:
            self._guest.words.view(np.uint8)[self._config["flip_byte"]] ^= 1


def main(config: Mapping[str, Any], owner: Channel, guest: Channel) -> None:
    """Be a destination process.

    Parameters
    ----------
    config
        ``host``, ``port`` (0: any), ``token``, ``memory_bytes``, ``flip_byte`` (an offset, or None), and
        ``populate_bytes``: so much memory is taken from the kernel before the migration begins; ``recovery_s``:
        so long a source that was lost in post-copy may take to come back.
    owner
        Hears ``listening`` (the port), ``prepared`` (whether the guest is ``complete`` here), ``running`` and
        ``resumed``; says so when a source that is expected will not come.
    guest
        To the guest process whose memory is filled here.
    """
    _Destination(config, owner, Attached(guest, config["memory_bytes"])).serve()
