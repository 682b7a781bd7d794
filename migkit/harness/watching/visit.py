"""Visit a running program once, to bring a userfaultfd of its memory out of it.

One thread is stopped, prepared and let go (see :mod:`migkit.harness.watching.chain`); a new thread of the
program, with a table of descriptors of its own, creates the userfaultfd there, and it is copied out.
Whoever visits may die at any instant: the program goes on as if nobody had come.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Final, NamedTuple

from migkit.harness.linux import calls, ptrace
from migkit.harness.linux.ptrace import TOP, Registers
from migkit.harness.watching import chain, ground, moment, rest
from migkit.harness.watching.moment import Moment

__all__ = ["AgainError", "LastsError", "RefusedError", "Taken", "Visitor"]

_STOPS_WITHIN_S: Final = 0.02
_RUNS_WITHIN_S: Final = 0.5
_SLEEP_ENDS_WITHIN_S: Final = 2.0
_FRESH_S: Final = 2e-3  # a call that began within this time is made again, with its time limit
_TAKEN_WITHIN_S: Final = 0.05
_POLL_S: Final = 2e-5
_RUN_FIRST: Final = ("running", "awaited")
_CODE_64_BIT: Final = 0x33
_UFFD_LINK: Final = "anon_inode:[userfaultfd]"
_RESTART_BLOCK: Final = TOP - 516
_RESTART_NO_HANDLER: Final = TOP - 514
_EINTR: Final = TOP - 4
_IO_URING_ENTER: Final = 426
_IO_URING_WAITS: Final = 1  # IORING_ENTER_GETEVENTS


class AgainError(Exception):
    """No moment for a visit; nothing happened. Says why."""


class LastsError(AgainError):
    """A thread waits for long in a call with a time limit. Says so; the end of this process lets the thread go."""


class RefusedError(Exception):
    """A thread cannot be visited unharmed; nothing happened. Says why."""


class Taken(NamedTuple):
    """A descriptor from the program.

    Attributes
    ----------
    descriptor
        A userfaultfd of the program's memory, before its handshake.
    stopped_s
        From asking the visited thread to stop until it was on its way again [s].
    thread
        Which thread was visited.
    """

    descriptor: int
    stopped_s: float
    thread: int


class Visitor:
    """What is known of a program before it is visited.

    Parameters
    ----------
    pid
        The program.
    gadgets
        Instructions that it holds.
    resumes
        Whether the thread may make ``restart_syscall``, by which the kernel goes on with a sleep.
    """

    def __init__(self, pid: int, gadgets: chain.Gadgets, *, resumes: bool = True) -> None:
        self.pid = pid
        self.resumes = resumes
        self._gadgets = gadgets
        self._ground = ground.Ground(pid, gadgets.restorer)
        self._before: set[int] | None = None

    def filters(self, at: Moment) -> list[bytes]:
        """Return the seccomp filters of a thread, which is stopped for it and goes on as if nothing had been.

        Raises
        ------
        OSError
            They may not be read.
        AgainError
            The thread did not stop.
        """
        self._stop(at)
        found: list[bytes] = []
        try:
            while (each := ptrace.seccomp_filter(at.thread, len(found))) is not None:
                found.append(each)
        finally:
            self._leave(at.thread)
        return found

    def visit(self, at: Moment, way: str = "vfork") -> Taken:
        """Visit a thread by one of the ways of :data:`migkit.harness.watching.chain.CALLS`; return the descriptor.

        Raises
        ------
        AgainError
            Nothing happened.
        RefusedError
            Nothing happened, and will not on this thread.
        OSError
            As of ``ptrace``.
        """
        self._before = set(ptrace.threads(self.pid)) if _nested(self.pid) else None
        waits = rest.seen(self.pid, at.thread) if at.kind in ("sleeping", "resting") else None
        began_s = self._stop(at)
        try:
            state, began_s = self._settled(at, began_s, waits)
            prepared = self._prepared(at.thread, state, way)
            calls.write_memory(self.pid, prepared.base, prepared.image)
        except BaseException:
            self._leave(at.thread)
            raise
        ptrace.set_registers(at.thread, prepared.start)
        ptrace.detach(at.thread)
        descriptor = self._take(prepared)
        return Taken(descriptor, time.perf_counter() - began_s, at.thread)

    def _stop(self, at: Moment) -> float:
        """Stop the thread, at the moment that it is at; return when it was asked to [s]."""
        try:
            if at.kind in _RUN_FIRST:
                self._await_running(at)
            ptrace.seize(at.thread)
            if at.kind not in _RUN_FIRST and moment.state_of(self.pid, at.thread) != "S":
                raise AgainError("the thread ran")
            began_s = time.perf_counter()
            ptrace.interrupt(at.thread)
            stop = ptrace.wait_stop(at.thread, _STOPS_WITHIN_S)
        except ProcessLookupError:
            raise AgainError("the thread has ended") from None
        if stop is None:
            raise AgainError("the thread did not stop in time")
        if stop.kind == "signal":
            self._pass_on(at.thread, stop.signal)
            raise AgainError("a signal came")
        if stop.signal:
            ptrace.detach(at.thread)
            raise AgainError("the program was stopped")
        return began_s

    def _await_running(self, at: Moment) -> None:
        """Wait until the thread runs, or has just run: how often it was given a processor tells."""
        if at.kind == "running" and moment.state_of(self.pid, at.thread) == "R":
            return
        limit = time.perf_counter() + _RUNS_WITHIN_S
        turns = os.open(f"/proc/{self.pid}/task/{at.thread}/schedstat", os.O_RDONLY | os.O_CLOEXEC)
        try:
            last, last_s = os.pread(turns, 64, 0), time.perf_counter()
            while last_s < limit:
                now, now_s = os.pread(turns, 64, 0), time.perf_counter()
                if now != last and now_s - last_s < _FRESH_S / 2:
                    return
                last, last_s = now, now_s
        finally:
            os.close(turns)
        if at.kind == "running":
            raise AgainError("it ran no longer")
        raise LastsError(f"it waits for more than {_RUNS_WITHIN_S:g} s in a call with a time limit")

    def _pass_on(self, thread: int, number: int) -> None:
        """Let a thread have the signal that stopped it; one that it ignores came only because it was traced."""
        if moment.ignores(self.pid, thread, number):
            self._leave(thread, number)
        else:
            ptrace.detach(thread, number)

    def _leave(self, thread: int, number: int = 0) -> None:
        """Let a stopped thread go on as if nothing had been: a call that the stop ended is made again."""
        try:
            registers = ptrace.registers(thread)
            ended = _ended_by_us(registers) or (registers.rax == _RESTART_BLOCK and not self.resumes)
            if registers.orig_rax != TOP - 1 and ended and not moment.interrupted(self.pid, thread):
                registers.rax = _RESTART_NO_HANDLER
                ptrace.set_registers(thread, registers)
        except (ProcessLookupError, FileNotFoundError):
            return
        ptrace.detach(thread, number)

    def _settled(self, at: Moment, began_s: float, waits: rest.Rest | None) -> tuple[chain.State, float]:
        """Return the stopped thread as its chain is to restore it, and when it was stopped [s]."""
        if moment.blocks_all(ptrace.signal_mask(at.thread)):
            raise AgainError("it is being visited, or blocks every signal for a moment")
        registers = ptrace.registers(at.thread)
        if waits is not None and not (_is_in(waits, registers) and rest.lasts(waits, self.pid, at.thread)):
            waits = None
        if at.kind == "sleeping" and registers.rax == _RESTART_BLOCK and not _repeatable(registers):
            registers, began_s = self._after_its_call(at.thread, registers)
        again = None
        if _ended_by_us(registers) or (registers.orig_rax != TOP - 1 and registers.rax == _RESTART_BLOCK):
            if moment.interrupted(self.pid, at.thread):
                raise AgainError("a signal came")
            if not _repeatable(registers):
                again = self._rest(at, registers, began_s, waits)
            registers.rax = _RESTART_NO_HANDLER
        mask, floats = ptrace.signal_mask(at.thread), ptrace.float_state(at.thread)
        return chain.State(registers, mask, floats, again, _wait_after(registers)), began_s

    def _rest(self, at: Moment, registers: Registers, began_s: float, waits: rest.Rest | None) -> rest.Again | None:
        """Return how a call with a time limit is made again; None: as it was, for it has only begun."""
        fresh = at.kind in _RUN_FIRST and time.perf_counter() - began_s < _FRESH_S
        if fresh and (_ended_by_us(registers) or not self.resumes):
            return None
        if waits is None or not rest.limited(waits.number, waits.arguments):
            raise AgainError("it waits in a call with a time limit, and what is left of that cannot be told")
        return rest.again(waits, began_s, self._ground.read)

    def _after_its_call(self, thread: int, within: Registers) -> tuple[Registers, float]:
        """Wait until the call that a stopped thread sleeps in ends; return its registers and when it was stopped [s].

        A call that lasts is interrupted once more.
        """
        limit = time.perf_counter() + _SLEEP_ENDS_WITHIN_S
        number, began_s = 0, None
        while True:
            ptrace.run_to_call(thread, number)
            stop = ptrace.wait_stop(thread, limit - time.perf_counter())
            if stop is None:
                began_s, limit = time.perf_counter(), time.perf_counter() + _STOPS_WITHIN_S
                ptrace.interrupt(thread)
                stop = ptrace.wait_stop(thread, _STOPS_WITHIN_S)
            if stop is None or (stop.kind == "interrupt" and (stop.signal or began_s is None)):
                raise AgainError("the program was stopped")
            number = stop.signal
            registers = ptrace.registers(thread)
            if stop.kind == "interrupt" and began_s is not None:
                registers.orig_rax = within.orig_rax  # the kernel went on with it by restart_syscall
                return registers, began_s
            if stop.kind == "call" and ptrace.at_exit(thread):
                if not TOP - 516 <= registers.rax <= TOP - 512:
                    return registers, time.perf_counter()
                if began_s is not None:
                    ptrace.interrupt(thread)  # the stop at the call's exit has taken the place of the first

    def _prepared(self, thread: int, state: chain.State, way: str) -> chain.Chain:
        if state.registers.cs != _CODE_64_BIT:
            raise RefusedError("it runs 32-bit code")
        prepared = chain.build(state, self._gadgets, way)
        trouble = self._ground.trouble(thread, state.registers, prepared.base)
        if trouble:
            raise AgainError(trouble)
        return prepared

    def _take(self, prepared: chain.Chain) -> int:
        """Return a copy of the new thread's userfaultfd."""
        limit = time.monotonic() + _TAKEN_WITHIN_S
        child = 0
        while time.monotonic() < limit:
            child = child or self._child(prepared.thread_at)
            if child and _is_userfaultfd(f"/proc/{self.pid}/task/{child}/fd/0"):
                return self._copy(child)
            time.sleep(_POLL_S)
        raise AgainError("it could not make a thread" if not child else "its descriptor was not there in time")

    def _child(self, address: int) -> int:
        """Return the new thread; 0: there is none yet. The program may count threads in a namespace of its own."""
        known = self._ground.word(address) & 0xFFFFFFFF
        if not known or self._before is None:
            return known
        fresh = (t for t in ptrace.threads(self.pid) if t not in self._before)
        return next((t for t in fresh if _number_within(self.pid, t) == known), 0)

    def _copy(self, child: int) -> int:
        """Copy the descriptor of the new thread, which ends then."""
        try:
            thread = os.pidfd_open(child, os.O_EXCL)
        except OSError as error:
            raise AgainError(f"its thread cannot be reached ({error.strerror})") from error
        try:
            descriptor = calls.syscall("pidfd_getfd", thread, 0, 0)
            self._release(thread, child)
        except OSError as error:
            raise AgainError(f"its descriptor cannot be taken ({error.strerror})") from error
        finally:
            os.close(thread)
        if not _is_userfaultfd(f"/proc/self/fd/{descriptor}"):
            os.close(descriptor)
            raise AgainError("its descriptor is another")
        return descriptor

    def _release(self, thread: int, child: int) -> None:
        """End the new thread's wait and see it end, for a while; it does so by itself."""
        with contextlib.suppress(ProcessLookupError):
            calls.syscall("pidfd_send_signal", thread, chain.RELEASE, 0, 0)
        limit = time.monotonic() + _TAKEN_WITHIN_S
        while Path(f"/proc/{self.pid}/task/{child}").exists() and time.monotonic() < limit:
            time.sleep(_POLL_S)


def _ended_by_us(registers: Registers) -> bool:
    return bool(registers.orig_rax != TOP - 1 and registers.rax == _EINTR)


def _repeatable(registers: Registers) -> bool:
    return moment.without_limit(registers.orig_rax, _arguments(registers))


def _arguments(registers: Registers) -> tuple[int, ...]:
    return tuple(getattr(registers, name) for name in rest.ARGUMENTS)


def _is_in(waits: rest.Rest, registers: Registers) -> bool:
    return (waits.number, waits.arguments) == (registers.orig_rax, _arguments(registers))


def _wait_after(registers: Registers) -> tuple[int, ...] | None:
    """Return the wait that a call has still to do which has given work away: of io_uring, cut short by the stop."""
    descriptor, _, wanted, flags, *others = _arguments(registers)
    gave = registers.orig_rax == _IO_URING_ENTER and 0 < registers.rax < TOP // 2
    return (descriptor, 0, wanted, flags, *others) if gave and wanted and flags & _IO_URING_WAITS else None


def _is_userfaultfd(link: str) -> bool:
    try:
        return str(Path(link).readlink()) == _UFFD_LINK
    except OSError:
        return False


def _number_within(pid: int, thread: int) -> int:
    """Return a thread's number in the innermost namespace that it belongs to; 0: it is gone."""
    try:
        lines = Path(f"/proc/{pid}/task/{thread}/status").read_text(errors="replace").splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(next((line.split()[-1] for line in lines if line.startswith("NSpid")), "0"))


def _nested(pid: int) -> bool:
    """Whether the program counts its threads in another process id namespace than this process does."""
    try:
        return Path(f"/proc/{pid}/ns/pid").stat().st_ino != Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        return True
