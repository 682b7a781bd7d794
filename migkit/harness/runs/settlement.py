"""Where the guest is when a migration did not go as planned: decided here, once nobody else decides any more.

Both sides may hold the guest as it is at the switchover. An intact guest is never ended to tidy up: what is
ended is the copy that is not to run, after the one that is to run has answered.
"""

from __future__ import annotations

import contextlib
import dataclasses
import signal
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from migkit.errors import MigkitError, RunError
from migkit.harness.linux.channel import ClosedError
from migkit.harness.processes.member import Member
from migkit.interruption import undisturbed

if TYPE_CHECKING:
    from migkit.traces import Trace

__all__ = ["Handover", "InterruptedRunError", "Settled", "Whereabouts", "go_on", "settle", "telling"]

_GRACE_S: Final = 5.0  # for sides that are past the commit to end by themselves
_ANSWER_S: Final = 10.0
_SIDES: Final = ("source", "destination")
_INCOMPLETE: Final = "it had run at the destination, and pages that it needs never arrived there"


class InterruptedRunError(MigkitError):
    """The run was interrupted; the message says where the guest ran on."""

    exit_code = 130


@dataclasses.dataclass
class Handover:
    """How far a guest has been handed over, by what both sides said.

    Attributes
    ----------
    committed
        The source has let go of it, so the destination may run it at any moment.
    complete
        The destination holds all of it.
    running
        The destination has run it. Until then the guest at the source is as good, and nobody was told otherwise.
    """

    committed: bool = False
    complete: bool = False
    running: bool = False

    def note(self, message: Mapping[str, Any]) -> None:
        """Take what a side says."""
        self.committed |= "committed" in message
        self.complete |= "resumed" in message or bool(message.get("prepared", {}).get("complete"))
        self.running |= "running" in message or "resumed" in message


@dataclasses.dataclass(frozen=True)
class Settled:
    """Where the guest is.

    Attributes
    ----------
    guest
        Its process; None: it is lost.
    side
        ``source`` or ``destination``.
    words
        That, as a part of a sentence.
    """

    guest: Member | None
    side: str
    words: str


def settle(members: Mapping[str, Member], handover: Handover) -> Settled:
    """End both sides and all copies of the guest but one, which runs on; return which.

    Parameters
    ----------
    members
        Whoever took part, by role: ``here`` and ``there`` are the guest at the source and at the destination.
    handover
        What was heard so far; what the sides said and nobody has heard yet is added.
    """
    _end_sides(members, handover)
    if handover.running and not handover.complete:
        _end(members, "here", "there")
        return _lost(_INCOMPLETE)
    return _first_that_answers(_candidates(members, handover), handover)


def _end_sides(members: Mapping[str, Member], handover: Handover) -> None:
    """See to it that nobody gives orders to a guest any more, and take what was said last."""
    sides = [members[role] for role in _SIDES if role in members]
    for member in sides:
        if handover.committed and not member.process.is_stopped():
            member.process.wait(_GRACE_S)
        member.process.end()
    for member in sides:
        with contextlib.suppress(RunError, OSError):
            while member.channel.ready():
                handover.note(member.channel.receive())
    _end(members, "relay", "network")


def _end(members: Mapping[str, Member], *roles: str) -> None:
    for role in roles:
        if role in members:
            members[role].end()


def _candidates(members: Mapping[str, Member], handover: Handover) -> dict[str, Member]:
    """Return the guests that are intact, by side, the one that is to run first; other copies are ended."""
    here, there = members["here"], members.get("there")
    if there is None:
        return {"source": here}
    if not handover.complete:
        there.end()
        return {"source": here}
    if handover.running or (handover.committed and _runs(there)):
        return {"destination": there, "source": here}
    return {"source": here, "destination": there}


def _runs(guest: Member) -> bool:
    """Say whether a guest runs; of one that does not answer nobody has heard that it does."""
    with contextlib.suppress(RunError):
        return bool(guest.channel.ask({"do": "report"}, _ANSWER_S)["running"])
    return False


def _first_that_answers(candidates: Mapping[str, Member], handover: Handover) -> Settled:
    """Have the first guest that answers run on, and end the other; the first may be woken for that."""
    alive = {side: guest for side, guest in candidates.items() if guest.process.alive}
    if not alive:
        return _lost("its process has ended" if len(candidates) == 1 else "its processes at both sides have ended")
    first = next(iter(alive))
    chosen = next((side for side, guest in alive.items() if _answers(guest, wake=side == first)), first)
    for side, guest in candidates.items():
        if side != chosen:
            guest.end()
    settled = go_on(alive[chosen], chosen)
    if handover.running and chosen == "source":
        return dataclasses.replace(settled, words=f"what it did at the destination is undone; {settled.words}")
    return settled


def _answers(guest: Member, *, wake: bool) -> bool:
    if guest.process.is_stopped():
        if not wake:
            return False
        guest.process.signal(signal.SIGCONT)
    with contextlib.suppress(RunError):
        guest.channel.ask({"do": "report"}, _ANSWER_S)
        return True
    return False


def go_on(guest: Member, side: str) -> Settled:
    """Have the guest run on where it is; return that, or that it cannot."""
    if guest.process.is_stopped():
        guest.process.signal(signal.SIGCONT)
    try:
        report = guest.channel.ask({"do": "resume"}, _ANSWER_S)
    except RunError as error:
        if guest.process.alive and not isinstance(error, ClosedError):
            return Settled(guest, side, f"the guest is at the {side}; its process does not answer and was not ended")
        return _lost(f"its process at the {side} has ended")
    return Settled(guest, side, f"the guest runs on at the {side} (operation {report['operations']})")


def _lost(why: str) -> Settled:
    return Settled(None, "", f"THE GUEST IS LOST: {why}")


class Whereabouts:
    """Where the guest of a command is, by its last run that was proven; says it when it is called."""

    def __init__(self) -> None:
        self._words = "no guest was started"

    def note(self, trace: Trace) -> None:
        """Take what a run came to."""
        side = "destination" if trace.outcome.verdict == "converges" else "source"
        self._words = f"the guest runs on at the {side} (operation {trace.outcome.guest_operations})"

    def __call__(self) -> str:
        """Return it, as a part of a sentence."""
        return self._words


@contextlib.contextmanager
def telling(where: Callable[[], str]) -> Iterator[None]:
    """Have whatever ends the block before its time say where the guest is, as the last thing.

    Raises
    ------
    InterruptedRunError
        For an interruption.
    MigkitError
        Of the kind that was raised, as it is if it says so already; a ``RunError`` for what the system refused.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise _told(InterruptedRunError, "interrupted", where) from None
    except MigkitError as error:
        if hasattr(error, "__notes__"):
            raise
        raise _told(RunError if isinstance(error, RunError) else type(error), str(error), where) from error
    except (OSError, MemoryError) as error:
        what = "out of memory" if isinstance(error, MemoryError) else error.strerror or str(error)
        raise _told(RunError, what, where) from error


def _told(kind: type[MigkitError], what: str, where: Callable[[], str]) -> MigkitError:
    """Return an error that says where the guest is, and notes that it does."""
    with undisturbed():
        words = where()
    error = kind(f"{what}; {words}")
    error.add_note(words)
    return error
