"""The destination: serves exactly one migration, then the guest runs here, or it never has."""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from migkit.errors import RunError
from migkit.harness import wire
from migkit.harness.arrivals import Arrivals
from migkit.harness.attached import Attached
from migkit.harness.channel import Channel
from migkit.harness.connection import DEMANDS, MIGRATION, RECOVERY, STREAM, Connection, Door
from migkit.harness.record import usage
from migkit.harness.streams import Intake
from migkit.harness.wire import ConnectionLostError, Frame, WireError
from migkit.kernels import delta
from migkit.kernels import wire as kernels
from migkit.units import PAGE_BYTES

__all__ = ["main"]

_MOST_STREAMS: Final = 256


class _Destination:
    """One incoming migration."""

    def __init__(self, config: Mapping[str, Any], owner: Channel, guest: Attached) -> None:
        self._config = config
        self._door = Door(config)
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
        with self._door.open():
            self._owner.send({"listening": self._door.port})
            accepted = self._door.answer()
        with accepted:
            self.take(accepted)

    def take(self, connection: socket.socket) -> None:
        """Receive the guest over a connection; say why if what comes is not allowed."""
        self._main = self._door.greet(connection, MIGRATION)
        self._main.receiver.memory = self._guest.words
        try:
            self._load()
        except WireError as error:
            self._main.refuse(wire.ABORT, str(error))
            raise
        finally:
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
        with self._door.open():
            self._main.sender.message(wire.JOIN)
            return [
                self._door.expect(purpose, self._config["patience_s"], others=left > 0)
                for left in reversed(range(count))
            ]

    def _place(self, frame: Frame) -> None:
        full = wire.check_pages(frame, self._present.size, differences=True)
        bodies = frame.words[frame.count :]
        if not frame.placed:
            kernels.scatter(frame.headers, bodies, self._guest.words)
            bodies = bodies[full * kernels.PAGE_WORDS :]
        if not delta.apply(frame.headers, bodies, self._guest.words):
            raise WireError("wire: a PAGES frame holds a difference that does not fit its page")
        kernels.settle(frame.headers, self._guest.words, self._present)
        zero = int(np.count_nonzero(frame.headers >> kernels.KIND_SHIFT == kernels.ZERO))
        self._arrived += frame.count - zero, zero, frame.checksum

    def _check_totals(self, frame: Frame) -> None:
        said = [frame.message.get(name) for name in ("full_pages", "zero_pages", "checksum")]
        full, zero, checksum = self._arrived.tolist()
        if said[:2] != [full, zero]:
            raise WireError(f"wire: the source sent {said[:2]} full and zero pages, {[full, zero]} arrived")
        if said[2] != checksum & kernels.CHECKSUM_MASK:
            raise WireError("wire: the checksum of a round is wrong; other frames arrived than were sent")

    def _state(self, frame: Frame) -> np.ndarray:
        if len(frame.payload) != self._guest.registers.nbytes:
            raise WireError(f"wire: a STATE frame of {len(frame.payload)} B")
        return frame.words.copy()

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
        self._main.sender.message(wire.PREPARED)
        self._main.receiver.receive(wire.COMMIT)
        if arrivals is not None:
            self._owner.send({"incomplete": True})
        report = self._guest.order("resume")
        self._main.sender.message(wire.CONFIRM, {"operations": report["operations"]})
        if arrivals is not None:
            self._owner.send({"postcopy": self._bring(arrivals)})
        self._owner.send({"resumed": True, "usage": usage()})

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
        """Let the source come back; the guest runs meanwhile, or waits for what is absent."""
        for each in (self._main, self._demands):
            if each is not None:
                each.close()
        with self._door.open():
            self._main = self._returned(cause)
        arrivals.announce(self._main)
        [self._demands] = self._let_in(DEMANDS)

    def _returned(self, cause: RunError) -> Connection:
        """Return the connection of the source that comes back in time.

        Raises
        ------
        ConnectionLostError
            It does not; or the owner knows that it never will.
        """
        limit_s = self._config["recovery_s"]
        end_s = time.monotonic() + limit_s
        while True:
            listened: list[Door | Channel] = [self._door, self._owner]
            ready = select.select(listened, [], [], max(end_s - time.monotonic(), 0.0))[0]
            if self._owner in ready:
                self._owner.receive()
                raise ConnectionLostError(f"{cause}; nobody is left who has what is absent") from cause
            if not ready:
                raise ConnectionLostError(f"{cause}; not recovered within {limit_s:g} s") from cause
            with contextlib.suppress(RunError):
                return self._door.expect(RECOVERY, 0.0)

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
        Hears ``listening`` (the port) and ``resumed``; says so when a source that was lost will not come back.
    guest
        To the guest process whose memory is filled here.
    """
    _Destination(config, owner, Attached(guest, config["memory_bytes"])).serve()
