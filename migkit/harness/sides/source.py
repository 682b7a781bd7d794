"""The source: tracks, copies, decides, and lets go of the guest in two steps."""

from __future__ import annotations

import contextlib
import math
import select
import time
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from migkit.engine.packing import WINDOW_S
from migkit.errors import RunError
from migkit.harness.guests.attached import Attached
from migkit.harness.linux.channel import Channel
from migkit.harness.protocol import wire
from migkit.harness.protocol.connection import DEMANDS, MIGRATION, RECOVERY, STREAM, Connection
from migkit.harness.protocol.encoding.codec import by_name
from migkit.harness.protocol.encoding.differences import Differences
from migkit.harness.protocol.links import Links
from migkit.harness.protocol.streams import Streams
from migkit.harness.protocol.wire import ConnectionLostError, WireError
from migkit.harness.sides.pending import Pages
from migkit.harness.sides.push import Pusher
from migkit.harness.sides.recorder import Recorder, usage
from migkit.jit import callback
from migkit.policies import decision
from migkit.scenario import Scenario
from migkit.scenario.form import schema
from migkit.scenario.policy import pack
from migkit.units import PAGE_BYTES

__all__ = ["SLICE_S", "main"]

SLICE_S: Final = 0.05
_RETRY_S: Final = 0.05
_REASON_S: Final = 1.0


class CancelledError(RunError):
    """The owner wants the migration given up."""


class _Source:
    """One outgoing migration."""

    def __init__(self, config: Mapping[str, Any], owner: Channel, guest: Channel) -> None:
        self._config = config
        self._scenario: Scenario = schema.from_record(config["scenario"])
        self._owner = owner
        self._guest = Attached(guest, self._scenario.guest.memory_bytes)
        self._tracker = self._guest.open_tracker(config["tracker"])
        self._guest.prepare()
        owner.send({"tracker": self._tracker.name})
        self._state = decision.new_state()
        self._parameters = pack(self._scenario.policy, self._scenario.strategy)
        self._rule = callback(self._scenario.policy.decider)
        self._committed = False
        codec = by_name(self._scenario.strategy.compression)
        self._links = Links(config, self._guest.memory_bytes, codec)
        self._stuck_s: float | None = None
        self._stuck_pages = math.inf

    def migrate(self) -> None:
        """Run the migration from the request to the end, whichever it is."""
        if self._owner.receive()["do"] != "begin":
            raise CancelledError("the migration was cancelled before it began")
        self._start_ns = time.monotonic_ns()
        self._recorder = Recorder(self._owner, self._guest, self._start_ns)
        self._recorder.sample("setup", 0, self._guest.memory_bytes)
        with contextlib.closing(self._links):
            self._main = self._links.dial(MIGRATION)
            self._sender, self._receiver = self._main.sender, self._main.receiver
            self._streams = Streams(self._sender)
            try:
                self._copy()
            except (RunError, OSError) as error:
                self._give_up(self._cause(error))
            finally:
                self._streams.close()

    def _cause(self, error: Exception) -> Exception:
        """Return why the destination gave up, if it says so; a stream that breaks shows no more than that it did."""
        if isinstance(error, ConnectionLostError) and not self._committed:
            try:
                self._hear(_REASON_S)
            except RunError as reason:
                return error if isinstance(reason, ConnectionLostError) else reason
        return error

    def _give_up(self, error: Exception) -> None:
        """Before the commit: the guest runs on here. After it: the owner finds out where it runs."""
        if self._committed:
            raise RunError(f"connection lost after the commit; {error}") from error
        try:
            self._sender.message(wire.ABORT, {"reason": str(error)})
        except ConnectionLostError:
            self._main.close()
        with contextlib.suppress(RunError):  # a guest that does not answer is left to the owner
            self._guest.order("throttle", share=0.0)
            self._guest.order("resume")
        raise error

    def _copy(self) -> None:
        self._tracker.arm()
        if self._scenario.strategy.streams > 1:
            self._streams.spread(self._links.join(self._main, STREAM, self._scenario.strategy.streams))
        if self._scenario.xbzrle_cache_bytes is not None:
            self._links.remember(Differences(int(self._scenario.xbzrle_cache_bytes)))
        self._pages = Pages(self._guest, self._sender, self._streams)
        self._window_start_s, self._bandwidth = 0.0, 0.0  # as QEMU's: set-up too
        self._window_bytes, self._asked_round = self._links.sent_bytes, (0.0, self._links.sent_bytes)
        self._begin_round(self._now_s(), self._pages.remaining)
        match self._precopy():
            case decision.SWITCHOVER:
                self._switch_over()
            case decision.POSTCOPY:
                self._switch_over(push=True)
            case decision.ABORT:
                self._end_here("aborted", "the policy gave up")
            case decision.TIME_OUT:
                limit_s = self._scenario.policy.time_limit_s
                self._end_here("timed_out", f"not complete within the time limit of {limit_s:g} s")
            case action:
                raise RunError(f"policy: action {action} is not one that this source can take")

    def _now_s(self) -> float:
        return (time.monotonic_ns() - self._start_ns) * 1e-9

    # -- iterative copy ------------------------------------------------------------------

    def _precopy(self) -> int:
        """Send, window by window, until the policy says what else to do."""
        action = self._ask(decision.SYNCED)
        while action == decision.CONTINUE:
            self._send_slice()
            if self._window_left_bytes() <= 0:
                self._wait_for_window()
            rolled = self._roll_window()
            if rolled or not self._pages.remaining or self._is_question():
                action = self._decide(decision.WINDOW if self._pages.remaining else decision.EMPTY)
        return action

    def _send_slice(self, *, still: bool = False) -> None:
        """Send until nothing is left, the window is used up, or QEMU's 50 ms between looks have passed."""
        end_s = self._now_s() + SLICE_S
        while self._pages.remaining and self._window_left_bytes() > 0 and self._now_s() < end_s:
            self._pages.send(self._window_left_bytes(), still=still)
            self._hear()
        if not self._pages.remaining:
            self._streams.drain()

    def _decide(self, event: int) -> int:
        """Ask the policy, sync when it wants to, ask again."""
        action = self._ask(event)
        if action == decision.SYNC or (action == decision.CONTINUE and event == decision.EMPTY):
            self._sync()
            action = self._ask(decision.SYNCED)
        return action

    def _ask(self, event: int) -> int:
        state = self._state
        state.now_s = self._now_s()
        state.event = event
        state.remaining_bytes = self._pages.remaining * PAGE_BYTES
        state.bandwidth_bytes_per_s = self._bandwidth
        state.sent_bytes = self._links.sent_bytes
        state.iteration = self._recorder.iteration
        state.dirtied_pages = self._marked
        state.round_sent_bytes = self._links.sent_bytes - self._asked_round[1]
        state.round_start_s = self._asked_round[0]
        state.sent_pages = int(self._pages.sent.sum())
        state.guest_bytes = self._guest.memory_bytes
        throttle = state.throttle
        action = int(decision.decide(state, self._parameters, self._rule))
        if event == decision.SYNCED:
            self._asked_round = self._recorder.round_start_s, self._recorder.round_first_byte
        if state.throttle != throttle:
            self._guest.order("throttle", share=float(state.throttle))
        return action

    def _is_question(self) -> bool:
        """Say whether the policy, as it last answered, could now answer otherwise."""
        remaining_bytes = self._pages.remaining * PAGE_BYTES
        return bool(remaining_bytes < self._state.wake_remaining_bytes or self._now_s() >= self._state.wake_time_s)

    def _sync(self) -> None:
        self._streams.flush()
        start_s = self._now_s()
        ranges = self._tracker.collect()
        marked = self._pages.mark(ranges)
        if self._sender.differences is not None:
            self._sender.differences.turn += 1
        self._begin_round(start_s, marked)
        self._sender.message(wire.ROUND, self._pages.totals())

    def _begin_round(self, start_s: float, marked: int) -> None:
        self._marked = marked
        self._recorder.begin_round(start_s, self._now_s() - start_s, marked, self._pages, self._links.sent_bytes)

    # -- windows -------------------------------------------------------------------------

    def _window_left_bytes(self) -> float:
        budget = self._scenario.policy.max_bandwidth_bytes_per_s * WINDOW_S
        return budget - (self._links.sent_bytes + self._streams.pending_bytes - self._window_bytes)

    def _roll_window(self, phase: str = "precopy") -> bool:
        """Close the rate window when its time is over; windows keep to a grid of 100 ms."""
        now_s = self._now_s()
        elapsed_s = now_s - self._window_start_s
        if elapsed_s < WINDOW_S:
            return False
        self._bandwidth = (self._links.sent_bytes - self._window_bytes) / elapsed_s
        self._window_bytes = self._links.sent_bytes
        self._window_start_s = now_s if elapsed_s > 2 * WINDOW_S else self._window_start_s + WINDOW_S
        self._sample(phase)
        return True

    def _wait_for_window(self) -> None:
        """Wait for the end of the window, hearing what the owner and the destination say."""
        while (left_s := self._window_start_s + WINDOW_S - self._now_s()) > 0:
            self._hear(left_s)

    def _hear(self, timeout_s: float = 0.0) -> None:
        """Obey the owner, and notice a destination that gives up."""
        listened: list[Channel | Connection] = [self._owner, self._main]
        ready = select.select(listened, [], [], timeout_s)[0]
        if self._owner in ready and self._owner.receive().get("do") == "cancel":
            raise CancelledError("the migration was cancelled")
        if self._main in ready:
            self._receiver.receive(wire.PREPARED)
            raise RunError("wire: a PREPARED frame came where none was due")

    def _sample(self, phase: str) -> None:
        self._recorder.sample(phase, self._links.sent_bytes, self._pages.remaining * PAGE_BYTES)

    # -- switchover ----------------------------------------------------------------------

    def _switch_over(self, push: bool = False) -> None:
        """Stop the guest, send the rest (or, in post-copy, say what it is), and let go: prepare, commit, confirm."""
        if push:
            [self._demands] = self._links.join(self._main, DEMANDS)
        self._left_bytes = self._pages.remaining * PAGE_BYTES
        self._sample("stopcopy")
        self._marks_s = [self._now_s()]
        report = self._guest.order("stop")
        self._mark_time()
        self._sync()
        self._mark_time()
        push = push and self._pages.remaining > 0
        if push:
            self._pages.announce()
        else:
            self._send_rest()
        self._sender.blob(wire.STATE, self._guest.registers.tobytes())
        self._streams.flush()
        self._sender.message(wire.PREPARE, self._pages.totals())
        self._mark_time()
        self._receiver.receive(wire.PREPARED)
        self._mark_time()
        pusher = self._pages.pusher(self._scenario) if push else None
        self._commit(pusher)
        if pusher is not None:
            self._push(pusher)
        self._sample("done")
        total_s = self._now_s()
        self._tracker.close()  # of a guest that is nobody's any more: no part of its migration
        reason = "the guest runs at the destination"
        self._finish("converges", total_s, reason, self._downtime_parts(), report["operations"])

    def _send_rest(self) -> None:
        """Send what is pending: as in QEMU the cap ends with pre-copy, but not for a guest that was stopped first."""
        if self._scenario.strategy.name == "stopcopy":
            self._send_capped()
        while self._pages.remaining:
            self._pages.send(math.inf, still=True)
            self._hear()

    def _send_capped(self) -> None:
        while self._pages.remaining:
            self._send_slice(still=True)
            if self._pages.remaining and self._window_left_bytes() <= 0:
                self._wait_for_window()
            self._roll_window("stopcopy")

    def _commit(self, pusher: Pusher | None = None) -> None:
        self._committed = True
        self._owner.send({"committed": True})
        try:
            self._sender.message(wire.COMMIT)
            self._receiver.receive(wire.CONFIRM)
        except (ConnectionLostError, WireError) as error:
            if pusher is None:
                raise
            self._recover(pusher, error)
        self._mark_time()

    def _push(self, pusher: Pusher) -> None:
        """Bring what is absent at the destination, where the guest runs now, over new connections when they fail."""
        self._sample("postcopy")
        next_s = self._now_s() + WINDOW_S

        def pushed() -> None:
            nonlocal next_s
            self._pages.remaining = pusher.remaining
            if self._now_s() >= next_s:
                self._sample("postcopy")
                next_s += WINDOW_S

        while True:
            try:
                pusher.run(self._main, self._demands, self._config["patience_s"], pushed)
                break
            except (ConnectionLostError, WireError) as error:
                self._recover(pusher, error)
        self._pages.remaining = pusher.remaining
        self._pages.sent += pusher.sent

    def _recover(self, pusher: Pusher, cause: RunError) -> None:
        """Come back to the destination; its time ends when nothing arrives there between two failures."""
        limit_s = self._config["recovery_s"]
        if self._stuck_s is None:
            self._stuck_s = self._now_s()
        end_s = self._stuck_s + limit_s
        while True:
            self._main.close()
            self._demands.close()
            try:
                return self._come_back(pusher)
            except RunError as error:
                if self._now_s() > end_s:
                    raise RunError(f"{cause}; not recovered within {limit_s:g} s ({error})") from error
            if self._owner.ready(_RETRY_S) and self._owner.receive().get("do") == "give up":
                raise ConnectionLostError(f"{cause}; nobody is left to recover with") from cause

    def _come_back(self, pusher: Pusher) -> None:
        self._main = self._links.dial(RECOVERY)
        absent = [np.zeros((0, 2), np.int64)]
        while (frame := self._main.receiver.receive(wire.ABSENT, wire.JOIN)).kind == wire.ABSENT:
            absent.append(wire.page_ranges(frame, self._guest.memory_bytes // PAGE_BYTES))
        self._demands = self._links.dial(DEMANDS)
        pusher.resume(np.concatenate(absent))
        if pusher.remaining < self._stuck_pages:
            self._stuck_s, self._stuck_pages = None, pusher.remaining

    def _mark_time(self) -> None:
        self._marks_s.append(self._now_s())

    def _downtime_parts(self) -> dict[str, float]:
        names = ("quiesce_s", "final_sync_s", "final_copy_s", "load_s", "resume_s")
        return dict(zip(names, np.diff(self._marks_s).tolist(), strict=True))

    def _end_here(self, verdict: str, reason: str) -> None:
        """Give up by rule: the guest runs on at the source."""
        self._guest.order("throttle", share=0.0)
        self._sender.message(wire.ABORT, {"reason": reason})
        self._left_bytes = 0
        self._sample("done")
        self._tracker.close()
        self._finish(verdict, self._now_s(), reason, {}, self._guest.operations)

    def _finish(self, verdict: str, total_s: float, reason: str, parts: dict[str, float], operations: int) -> None:
        self._recorder.end_round(total_s, self._pages, self._links.sent_bytes)
        self._owner.send(
            {
                "usage": usage(),
                "outcome": {
                    "verdict": verdict,
                    "total_time_s": total_s,
                    "downtime_s": sum(parts.values()),
                    "transferred_bytes": self._links.sent_bytes,
                    "iterations": self._recorder.iteration,
                    "remaining_at_switchover_bytes": self._left_bytes,
                    "downtime_parts_s": parts,
                    "guest_operations": operations,
                    "reason": reason,
                },
            }
        )


def main(config: Mapping[str, Any], owner: Channel, guest: Channel) -> None:
    """Be a source process.

    Parameters
    ----------
    config
        ``scenario`` (record), ``tracker`` (name or None), ``host``, ``port``, ``token``, ``patience_s``,
        ``identity`` (folder or None) and the protocol ``version`` to speak.
    owner
        Says when to begin, may ``cancel`` before the commit, and says ``give up`` when the destination has ended;
        hears samples, rounds, ``committed`` and the outcome.
    guest
        To the guest process that is moved.
    """
    _Source(config, owner, guest).migrate()
