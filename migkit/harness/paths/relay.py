"""A path of one's own between source and destination: shaped, delayed, interrupted, or broken on purpose.

The relay is a process that passes on what connections to it carry. Each direction is a line with the
bandwidth, half the round-trip time and the schedule of a :class:`migkit.scenario.Link`, shared by all
connections; faults (:mod:`migkit.harness.paths.faults`) strike at a byte of a direction.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import math
import select
import socket
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from migkit.harness.linux.channel import Channel
from migkit.harness.paths.faults import Fault, alter

__all__ = ["Line", "main"]

_CHUNK_BYTES: Final = 1 << 16
_ROOM_BYTES: Final = 1 << 17
_BURST_S: Final = 0.01


@dataclasses.dataclass
class Line:
    """One direction of the path: says when bytes arrive that are given to it.

    Attributes
    ----------
    bandwidth_bytes_per_s
        What it carries [B/s].
    delay_s
        From one end to the other [s].
    steps
        Pairs of duration [s] and share of the bandwidth, from time 0 on; after the last: all of it.
    free_s
        When it has carried what it was given so far [s].

    Examples
    --------
    >>> line = Line(100.0, 0.25, ((1.0, 1.0), (2.0, 0.0)))
    >>> line.carry(0.0, 50), line.carry(0.0, 100), line.carry(9.0, 0)
    (0.75, 3.75, 9.25)
    """

    bandwidth_bytes_per_s: float = math.inf
    delay_s: float = 0.0
    steps: Sequence[tuple[float, float]] = ()
    free_s: float = 0.0

    @property
    def room_bytes(self) -> float:
        """What may be on its way at the same time [B]."""
        if math.isinf(self.bandwidth_bytes_per_s):
            return 64 * _ROOM_BYTES
        return _ROOM_BYTES + self.bandwidth_bytes_per_s * (self.delay_s + _BURST_S)

    def carry(self, now_s: float, length_bytes: int) -> float:
        """Take bytes at ``now_s``; return when the last one arrives [s].

        As with a token bucket, what the line could have carried in the last 10 ms is not lost.
        """
        at_s, work_s = max(now_s - _BURST_S, self.free_s), length_bytes / self.bandwidth_bytes_per_s
        end_s = 0.0
        for duration_s, share in self.steps:
            end_s += duration_s
            if at_s >= end_s:
                continue
            if share and work_s <= (end_s - at_s) * share:
                at_s, work_s = at_s + work_s / share, 0.0
                break
            work_s -= (end_s - at_s) * share
            at_s = end_s
        self.free_s = at_s + work_s
        return max(self.free_s, now_s) + self.delay_s


class _Flow:
    """What goes one way through one connection."""

    def __init__(self, source: socket.socket, target: socket.socket, back: bool) -> None:
        self.source, self.target, self.back = source, target, back
        self.queue: collections.deque[tuple[float, memoryview]] = collections.deque()
        self.held_bytes = 0
        self.ended = False

    @property
    def over(self) -> bool:
        """Whether the end has been passed on, too."""
        return self.ended and not self.queue

    def put(self, due_s: float, data: bytes) -> None:
        """Queue bytes that arrive at ``due_s``."""
        self.queue.append((due_s, memoryview(data)))
        self.held_bytes += len(data)

    def pass_on(self) -> None:
        """Send the first bytes of the queue, as many as the target takes."""
        due_s, data = self.queue.popleft()
        sent = self.target.send(data)
        self.held_bytes -= sent
        if sent < len(data):
            self.queue.appendleft((due_s, data[sent:]))

    def end(self) -> None:
        """Tell the target that nothing more comes."""
        with contextlib.suppress(OSError):
            self.target.shutdown(socket.SHUT_WR)


class _Relay:
    """All connections through the path."""

    def __init__(
        self, owner: Channel, listener: socket.socket, target: tuple[str, int], lines: list[Line], faults: list[Fault]
    ) -> None:
        self._owner, self._listener, self._target = owner, listener, target
        self._lines = lines
        self._passed = [0, 0]
        self._faults = sorted(faults, key=lambda fault: fault.at_bytes)
        self._flows: list[_Flow] = []
        self._start_s: float | None = None

    def run(self) -> None:
        """Pass on what comes, for as long as this process lives."""
        while True:
            now_s = self._now_s()
            due = {flow.target: flow for flow in self._flows if flow.queue and flow.queue[0][0] <= now_s}
            open_ = {flow.source: flow for flow in self._flows if self._has_room(flow)}
            ready = select.select([self._listener, *open_], list(due), [], self._wait_s(now_s))
            for target in ready[1]:
                self._do(due[target], due[target].pass_on)
            for source in ready[0]:
                if source is self._listener:
                    self._accept()
                else:
                    self._do(open_[source], lambda flow=open_[source]: self._take(flow))
            self._end_what_is_over()

    def _now_s(self) -> float:
        """Return the time since the first connection [s]."""
        return 0.0 if self._start_s is None else time.monotonic() - self._start_s

    def _wait_s(self, now_s: float) -> float | None:
        """Return how long nothing becomes due [s]; what is due waits for its target only."""
        later = [flow.queue[0][0] - now_s for flow in self._flows if flow.queue and flow.queue[0][0] > now_s]
        return min(later) if later else None

    def _has_room(self, flow: _Flow) -> bool:
        return not flow.ended and flow.held_bytes < self._lines[flow.back].room_bytes

    def _accept(self) -> None:
        source, _ = self._listener.accept()
        try:
            target = socket.create_connection(self._target)
        except OSError:
            source.close()
            return
        for end in (source, target):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            end.setblocking(False)
        if self._start_s is None:
            self._start_s = time.monotonic()
        self._flows += [_Flow(source, target, False), _Flow(target, source, True)]

    def _do(self, flow: _Flow, what: Any) -> None:
        """Do something with a flow; a connection that breaks on one side is closed on the other."""
        if flow not in self._flows:
            return
        try:
            what()
        except BlockingIOError:
            return
        except OSError:
            self._close(flow)

    def _close(self, flow: _Flow) -> None:
        for each in [each for each in self._flows if each.source in (flow.source, flow.target)]:
            self._flows.remove(each)
            each.source.close()

    def _end_what_is_over(self) -> None:
        for flow in [flow for flow in self._flows if flow.over]:
            flow.end()
            if all(each.over for each in self._flows if each.source in (flow.source, flow.target)):
                self._close(flow)

    def _take(self, flow: _Flow) -> None:
        data = flow.source.recv(_CHUNK_BYTES)
        flow.ended = not data
        for fault in [fault for fault in self._faults if fault.back == flow.back]:
            before = max(fault.at_bytes - self._passed[flow.back], 0)
            if before < len(data):
                self._faults.remove(fault)
                self._put(flow, data[:before])
                data = alter(fault, data[before:])
                self._strike(fault)
        self._put(flow, data)

    def _put(self, flow: _Flow, data: bytes) -> None:
        if data and flow in self._flows:
            flow.put(self._lines[flow.back].carry(self._now_s(), len(data)), data)
            self._passed[flow.back] += len(data)

    def _strike(self, fault: Fault) -> None:
        if fault.kind == "cut":
            self._flush()
            for flow in list(self._flows):
                self._close(flow)
        elif fault.kind == "stall":
            for line in self._lines:
                line.free_s = max(line.free_s, self._now_s()) + fault.duration_s
        elif fault.kind.startswith(("kill", "stop")):
            self._flush()
            self._owner.send({"fault": fault.kind, "duration_s": fault.duration_s})
            self._owner.receive()

    def _flush(self) -> None:
        """Let those bytes out that passed before the fault, as far as they are taken at once."""
        for flow in list(self._flows):
            while flow.queue and select.select([], [flow.target], [], 0)[1] and flow in self._flows:
                self._do(flow, flow.pass_on)


def main(config: Mapping[str, Any], owner: Channel) -> None:
    """Be a relay process.

    Parameters
    ----------
    config
        ``host`` to listen on, ``target`` (host and port of the destination), ``faults`` (records), and
        ``bandwidth_bytes_per_s``, ``rtt_s`` and ``steps`` of the link.
    owner
        Hears ``listening`` (the port), and ``fault`` when it is to kill or stop a side; answers when done.
    """
    shape = config["bandwidth_bytes_per_s"], config["rtt_s"] / 2, config["steps"]
    faults = [Fault(**fault) for fault in config["faults"]]
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if math.isfinite(shape[0]):
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _ROOM_BYTES)
        listener.bind((config["host"], 0))
        listener.listen()
        owner.send({"listening": listener.getsockname()[1]})
        _Relay(owner, listener, tuple(config["target"]), [Line(*shape), Line(*shape)], faults).run()
