"""Bring a userfaultfd out of a running program: find a thread and a moment, visit, try again.

Each visit is made by a process of its own that ends with it. So its end takes back what it may have
asked of a thread that did not stop, and the death of anybody at any instant leaves the program alone.
"""

from __future__ import annotations

import collections
import gc
import os
import random
import signal
import time
from collections.abc import Callable
from typing import Any, Final

from migkit.errors import CapabilityError, RunError
from migkit.harness.linux import calls, ptrace
from migkit.harness.linux.channel import Channel, ClosedError
from migkit.harness.watching import chain, moment, seccomp, visit, watchable
from migkit.harness.watching.moment import KINDS, SILENT, Moment

__all__ = ["Attachment", "attach"]

_PATIENCE_S: Final = 10.0
_FROM_S: Final = {
    "restful": 0.0,
    "running": 0.1,
    "sleeping": 0.05,
    "parental": 1.0,
    "awaited": 0.05,
    "patient": 1.0,
    "resting": 1.0,
}
_STILL_S: Final = 2.0  # for which a thread was not seen moving many bytes before it is stopped while it runs
_SILENCE_S: Final = 1.0  # for which no thread was at a silent moment before another kind will do
_PAUSE_S: Final = 0.005
_LOOKED_AT: Final = 64
_VISITS_WITHIN_S: Final = 5.0
_FAILURES: Final = 3


class Attachment:
    """A userfaultfd of a program and what it took.

    Attributes
    ----------
    descriptor
        Before its handshake.
    stopped_s
        How long the visited thread stood still, at the longest of all tries [s].
    tries
        Visits.
    """

    def __init__(self, descriptor: int, stopped_s: float, tries: int) -> None:
        self.descriptor, self.stopped_s, self.tries = descriptor, stopped_s, tries


def attach(pid: int, given_up: Callable[[], bool]) -> Attachment:
    """Return a userfaultfd of a running program.

    Parameters
    ----------
    pid
        The program, which was found fit by :func:`migkit.harness.watching.watchable.check`.
    given_up
        Asked between two visits: whether nobody wants it any more.

    Raises
    ------
    CapabilityError
        It cannot be visited, or no moment was found; it goes on as before.
    RunError
        Given up.
    """
    gadgets = chain.find_gadgets(pid)
    if gadgets is None:
        raise CapabilityError(f"process {pid}: its code lacks instructions that a visit needs; it was not touched")
    return _Search(pid, gadgets).run(given_up)


class _Search:
    def __init__(self, pid: int, gadgets: chain.Gadgets) -> None:
        self._pid, self._gadgets = pid, gadgets
        self._began_s = time.monotonic()
        self._silent_s = self._began_s
        self._failed: dict[int, int] = {}
        self._refused: dict[int, str] = {}
        self._moved_s: dict[int, float] = {}
        self._resumes: dict[int, bool] = {}
        self._lasting: set[int] = set()
        self._drawing: set[int] = set()
        self._reasons: collections.Counter[str] = collections.Counter()
        self._tries = 0
        self._stopped_s = 0.0

    def run(self, given_up: Callable[[], bool]) -> Attachment:
        while not given_up():
            threads = ptrace.threads(self._pid)
            if not watchable.lives(self._pid):
                raise CapabilityError(f"process {self._pid}: ended before it could be tracked")
            if time.monotonic() - self._began_s > _PATIENCE_S or all(t in self._refused for t in threads):
                raise self._hopeless(len(threads))
            chosen = self._choose([t for t in threads if t not in self._refused])
            if chosen is None:
                time.sleep(_PAUSE_S)
                continue
            found = self._visit(chosen)
            if found is not None:
                return found
        raise RunError(f"process {self._pid}: tracking was given up")

    def _hopeless(self, threads: int) -> CapabilityError:
        if threads and len(self._refused) >= threads:
            reason = next(iter(self._refused.values()))
            return CapabilityError(f"process {self._pid}: {reason}; it was left as it was")
        most = max(self._reasons, key=self._reasons.__getitem__, default="none of its threads was at such a moment")
        return CapabilityError(
            f"process {self._pid}: no moment was found within {_PATIENCE_S:g} s to visit one of its {threads} "
            f"threads unseen ({most}); it was left as it was, try again while it is busier"
        )

    def _choose(self, threads: list[int]) -> Moment | None:
        """Return the best moment of some threads; the oldest thread is always looked at."""
        some = threads[:1] + random.sample(threads[1:], min(len(threads) - 1, _LOOKED_AT))
        open_now = [m for m in map(self._known, moment.candidates(self._pid, some)) if self._is_open(m)]
        self._drawing |= {thread for thread in some if moment.draws_signals(self._pid, thread)}
        if len(threads) > 1 and time.monotonic() - self._began_s < _SILENCE_S:
            open_now = [m for m in open_now if m.thread not in {*self._drawing, threads[0]}]
        silent = [m for m in open_now if m.kind in SILENT]
        if silent:
            self._silent_s = time.monotonic()
        elif time.monotonic() - self._silent_s < _SILENCE_S:
            return None
        return min(silent or open_now, key=self._rank, default=None)

    def _rank(self, found: Moment) -> tuple[int, bool, int]:
        """Return what makes a moment better than another; the least is best."""
        failures = self._failed.get(found.thread, 0) // _FAILURES
        return failures, found.thread in self._drawing, KINDS.index(found.kind)

    def _known(self, found: Moment) -> Moment:
        """Return a moment as what earlier ones tell: a call that lasts is not waited for again."""
        if found.kind == moment.MOVING:
            self._moved_s[found.thread] = time.monotonic()
        lasts = found.thread in self._lasting and found.kind == "awaited"
        return Moment(found.thread, "resting") if lasts else found

    def _is_open(self, found: Moment) -> bool:
        now_s = time.monotonic()
        if found.kind == moment.MOVING or (
            found.kind == "running" and now_s - self._moved_s.get(found.thread, 0.0) < _STILL_S
        ):
            self._reasons["it moves many bytes in a call, which would report too few if it were stopped there"] += 1
            return False
        return now_s - self._began_s >= _FROM_S[found.kind]

    def _visit(self, chosen: Moment) -> Attachment | None:
        """Have a process of its own make one visit."""
        self._tries += 1
        with calls.hurried():
            resumes = self._resumes.get(chosen.thread)
            answer, descriptors = _in_a_process(lambda: _one_visit(self._pid, self._gadgets, chosen, resumes))
        self._stopped_s = max(self._stopped_s, answer.get("stopped_s", 0.0))
        if descriptors:
            return Attachment(descriptors[0], self._stopped_s, self._tries)
        self._failed[chosen.thread] = self._failed.get(chosen.thread, 0) + 1
        if "refused" in answer:
            self._refused[chosen.thread] = answer["refused"]
        if "lasts" in answer:
            self._lasting.add(chosen.thread)
        if "resumes" in answer:
            self._resumes[chosen.thread] = answer["resumes"]
        if "again" in answer:
            self._reasons[answer["again"]] += 1
        return None


def _in_a_process(work: Callable[[], tuple[dict[str, Any], list[int]]]) -> tuple[dict[str, Any], list[int]]:
    """Return what a forked process answers, with its descriptors; nothing when it died."""
    ours, theirs = Channel.pair()
    pid = os.fork()
    if pid == 0:
        try:
            calls.die_with_parent(signal.SIGKILL)
            ours.close()
            gc.disable()
            theirs.send(*work())
        finally:
            os._exit(0)
    theirs.close()
    try:
        return ours.receive_with_descriptors(_VISITS_WITHIN_S)
    except (ClosedError, RunError):
        return {"again": "the visitor died or was held up"}, []
    finally:
        ours.close()
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _one_visit(
    pid: int, gadgets: chain.Gadgets, chosen: Moment, resumes: bool | None
) -> tuple[dict[str, Any], list[int]]:
    """Make one visit; ``resumes``: whether the thread may make ``restart_syscall``, as far as it is known."""
    told: dict[str, Any] = {}
    try:
        mode = watchable.status(pid, chosen.thread).get("Seccomp", "0")
        visitor = visit.Visitor(pid, gadgets, resumes=resumes if resumes is not None else mode == "0")
        way = _way(visitor, chosen, mode)
        told["resumes"] = visitor.resumes
        taken = visitor.visit(chosen, way)
    except visit.RefusedError as error:
        return told | {"refused": str(error)}, []
    except visit.LastsError as error:
        return told | {"again": str(error), "lasts": True}, []
    except visit.AgainError as error:
        return told | {"again": str(error)}, []
    except (ProcessLookupError, FileNotFoundError):
        return {"again": "a thread has ended"}, []
    except PermissionError as error:
        return {"refused": f"may not be traced ({error.strerror}); run as its user or as root"}, []
    except OSError as error:
        return told | {"again": str(error)}, []
    return {"stopped_s": taken.stopped_s}, [taken.descriptor]


def _way(visitor: visit.Visitor, chosen: Moment, mode: str) -> str:
    """Return a way of a visit that a thread's seccomp filters let pass; the first if it has none.

    Raises
    ------
    RefusedError
        They let none pass, or cannot be read.
    AgainError
        They may kill it when it is stopped where it is.
    """
    ways = list(chain.CALLS)
    if mode == "0":
        return ways[0]
    if mode == "1":
        raise visit.RefusedError("runs under strict seccomp, which kills it for any call of a visit")
    if not visitor.resumes and chosen.kind in ("sleeping", "resting"):
        raise visit.AgainError(
            "it sleeps in a call that goes on by restart_syscall when it is interrupted, "
            "which its seccomp filter may refuse"
        )
    try:
        filters = visitor.filters(chosen)
        visitor.resumes = seccomp.refusal(filters, *chain.RESUMES) is None
        refusals = {way: seccomp.first_refusal(filters, chain.CALLS[way]) for way in ways}
    except (ValueError, LookupError, OSError) as error:
        why = getattr(error, "strerror", None) or error
        raise visit.RefusedError(f"runs under seccomp filters that cannot be read ({why}); run as root") from error
    open_way = next((way for way in ways if refusals[way] is None), None)
    if open_way is None:
        raise visit.RefusedError(f"its seccomp filter refuses a visit: {refusals[ways[-1]]}")
    return open_way
