"""The destination: serves exactly one migration, then the guest runs here, or it never has."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any

import numpy as np

from migkit.harness import wire
from migkit.harness.arrivals import Arrivals
from migkit.harness.attached import Attached
from migkit.harness.channel import Channel
from migkit.harness.connection import DEMANDS, MIGRATION, Connection, Door
from migkit.harness.record import usage
from migkit.harness.wire import Frame, WireError
from migkit.kernels import delta
from migkit.kernels import wire as kernels
from migkit.units import PAGE_BYTES

__all__ = ["main"]


class _Destination:
    """One incoming migration."""

    def __init__(self, config: Mapping[str, Any], owner: Channel, guest: Attached) -> None:
        self._config = config
        self._door = Door(config)
        self._owner = owner
        self._guest = guest
        self._registers: np.ndarray | None = None
        self._demands: Connection | None = None
        self._present = np.zeros(config["memory_bytes"] // PAGE_BYTES, np.uint8)
        self._pages = np.zeros(2, np.int64)
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

    def _load(self) -> None:
        """Take frames until the guest is complete, then run it when the source commits."""
        while True:
            frame = self._main.receiver.receive(
                wire.PAGES, wire.ROUND, wire.JOIN, wire.ABSENT, wire.STATE, wire.PREPARE
            )
            if frame.kind == wire.PAGES:
                self._place(frame)
            elif frame.kind == wire.ROUND:
                self._check_totals(frame)
            elif frame.kind == wire.JOIN:
                self._join()
            elif frame.kind == wire.ABSENT:
                self._absent.append(self._ranges(frame))
            elif frame.kind == wire.STATE:
                self._registers = self._state(frame)
            else:
                self._check_totals(frame)
                return self._switch_over()

    def _join(self) -> None:
        """Listen once more, for the connection over which demanded pages come."""
        with self._door.open():
            self._main.sender.message(wire.JOIN)
            self._demands = self._door.expect(DEMANDS, self._config["patience_s"])

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
        self._pages += frame.count - zero, zero

    def _check_totals(self, frame: Frame) -> None:
        said = [frame.message.get("full_pages"), frame.message.get("zero_pages")]
        if said != self._pages.tolist():
            raise WireError(f"wire: the source sent {said} full and zero pages, {self._pages.tolist()} arrived")

    def _ranges(self, frame: Frame) -> np.ndarray:
        """Return the ranges of an ABSENT frame, each within the memory."""
        ranges = frame.words[: len(frame.payload) // 16 * 2].reshape(-1, 2).copy()
        if len(frame.payload) % 16 or (ranges[:, 0] < 0).any() or (ranges[:, 1] > self._present.size).any():
            raise WireError("wire: an ABSENT frame names pages beyond the guest's memory")
        if (ranges[:, 0] >= ranges[:, 1]).any():
            raise WireError("wire: an ABSENT frame holds an empty range")
        return ranges

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
            arrivals = Arrivals(self._guest, np.concatenate(self._absent))
        self._main.sender.message(wire.PREPARED)
        self._main.receiver.receive(wire.COMMIT)
        if arrivals is not None:
            self._owner.send({"incomplete": True})
        report = self._guest.order("resume")
        self._main.sender.message(wire.CONFIRM, {"operations": report["operations"]})
        if arrivals is not None and self._demands is not None:
            arrivals.serve(self._main, self._demands, self._config["patience_s"])
            arrivals.close()
            self._owner.send({"postcopy": arrivals.report()})
        self._owner.send({"resumed": True, "usage": usage()})

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
        ``populate_bytes``: so much memory is taken from the kernel before the migration begins.
    owner
        Hears ``listening`` (the port) and ``resumed``.
    guest
        To the guest process whose memory is filled here.
    """
    _Destination(config, owner, Attached(guest, config["memory_bytes"])).serve()
